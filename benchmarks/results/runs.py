"""The runs of an experiment as their folders hold them: which are whole, and what is wrong with the others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluralbench.benchmarks.results.metrics import FILE as METRICS
from pluralbench.benchmarks.results.metrics import Row, read_metrics
from pluralbench.benchmarks.results.names import ResultsError
from pluralbench.benchmarks.results.records import CONFIG, SUMMARY, read_config, read_summary
from pluralbench.benchmarks.results.success_rates import FILE as RATES
from pluralbench.benchmarks.results.success_rates import SuccessRate
from pluralbench.lines import is_one_line, one_line

MISSING, UNFINISHED, DAMAGED = "missing", "not finished", "damaged"
POLICY = "policy"
"""Folder of a run's policy."""
_SEED = "seed_"
_LONGEST_SEED = 19
_NO_METHODS = ("reward_models", "checkpoints")
"""Folders beside those of the methods."""


def seed_folder(suite_folder: Path, environment: str, method: str, seed: int) -> Path:
    """Where one seed of one method keeps its files."""
    return suite_folder / environment / method / f"{_SEED}{seed}"


def run_folders(suite_folder: Path, environment: str) -> Iterator[tuple[str, int, Path]]:
    """Method, seed and folder of every run of an environment that has a folder, in order."""
    for path in sorted((suite_folder / environment).glob(f"*/{_SEED}*")):
        number = path.name.removeprefix(_SEED)
        is_number = number.isascii() and number.isdigit() and len(number) < _LONGEST_SEED
        if path.parent.name not in _NO_METHODS and is_number and is_one_line(path.parent.name) and path.is_dir():
            yield path.parent.name, int(number), path


@dataclass(frozen=True)
class RunFiles:
    """What one seed of one method has in its folder; the file that is not there or damaged is None."""

    config: Mapping[str, Any] | None = None
    metrics: Sequence[Row] | None = None
    summary: Mapping[str, Any] | None = None
    damage: tuple[str, ...] = ()  # a line for each file that is there and damaged, or that a finished run lacks
    begun: bool = False  # something of the run is there that a committed reference does not keep

    @property
    def is_whole(self) -> bool:
        """Whether the run is finished and all its files are sound."""
        return self.summary is not None and not self.damage


def read_run(folder: Path) -> RunFiles:
    """Reads the files of a run's folder; raises nothing for damaged ones."""
    readers = {CONFIG: read_config, METRICS: read_metrics, SUMMARY: read_summary}
    found: dict[str, Any] = {}
    damage = {}
    for name, read in readers.items():
        try:
            if (folder / name).exists():
                found[name] = read(folder / name)
        except ResultsError as error:
            damage[name] = str(error)
    if CONFIG in found and not _is_of(found[CONFIG], folder):
        damage[CONFIG] = f"{folder / CONFIG}: is of another run than its folder's"
    if SUMMARY in found:  # written last
        damage |= {
            name: f"{folder / name}: no such file" for name in readers if name not in found and name not in damage
        }
    begun = any((folder / name).exists() for name in (METRICS, SUMMARY, POLICY))
    return RunFiles(found.get(CONFIG), found.get(METRICS), found.get(SUMMARY), tuple(damage.values()), begun)


def _is_of(config: Mapping[str, Any], folder: Path) -> bool:
    """Whether a run's settings are of the environment, method and seed that its folder is named after."""
    environment = config["identity"].get("environment", {}).get("name", folder.parts[-3])
    methods = config["experiment"].get("methods")
    return (environment, methods, f"{_SEED}{config['seed']}") == (folder.parts[-3], [folder.parent.name], folder.name)


def rates_of(folder: Path, environment: str, method: str, seed: int) -> list[SuccessRate]:
    """The rows of success_rates.csv of a whole run, from what its own files say.

    Raises:
        ResultsError: its config.json does not say of how many episodes its summary.json is.
    """
    files = read_run(folder)
    if not files.is_whole:
        raise ResultsError(files.damage[0] if files.damage else f"{folder}: not finished")
    assert files.config is not None
    assert files.summary is not None
    settings = files.config["identity"].get("settings", {})
    episodes = (files.config["experiment"].get("evaluation") or {}).get("episodes")
    population = settings.get("population")
    if not isinstance(population, str) or type(episodes) is not int or episodes < 1:
        raise ResultsError(f"{folder / CONFIG}: does not say which population was served in how many episodes")
    rows = []
    for user in files.summary["users"]:
        counts = [user[name] * episodes for name in ("success_rate", "reached_rate")]
        successes, reached = map(round, counts)
        if max(abs(counts[0] - successes), abs(counts[1] - reached)) > 1e-6:
            raise ResultsError(f"{folder / SUMMARY}: user {user['user']} has rates that are not of {episodes} episodes")
        rows.append(
            SuccessRate(
                environment, population, method, seed, user["user"], user["group"], episodes, successes, reached
            )
        )
    return rows


@dataclass(frozen=True)
class Fault:
    """A run of an experiment that is not whole."""

    method: str
    seed: int
    kind: str  # MISSING, UNFINISHED or DAMAGED
    reason: str = ""  # of what is damaged, in one line; files are named from the suite's folder on


@dataclass(frozen=True)
class Runs:
    """The runs of an environment in a suite's folder."""

    files: Mapping[tuple[str, int], RunFiles] = field(default_factory=dict)  # by method and seed
    faults: tuple[Fault, ...] = ()  # what is not whole, in the order of the experiment
    num_seeds: int = 0  # of the experiment

    def of_method(self, method: str) -> list[RunFiles]:
        """The files of a method's seeds, in order."""
        return [files for (name, _), files in sorted(self.files.items(), key=lambda item: item[0][1]) if name == method]

    @property
    def not_whole(self) -> set[str]:
        """The methods of which a run is missing, not finished or damaged."""
        return {fault.method for fault in self.faults}

    @property
    def lines(self) -> list[str]:
        """What is not whole, for people: a line for each method's missing seeds and for each damaged run."""
        found = []
        for method in dict.fromkeys(fault.method for fault in self.faults):
            own = [fault for fault in self.faults if fault.method == method]
            for kind in (MISSING, UNFINISHED):
                seeds = [str(fault.seed) for fault in own if fault.kind == kind]
                if len(seeds) == 1:
                    found.append(f"seed {seeds[0]} of {method} is {kind}")
                elif seeds:
                    found.append(f"{len(seeds)} of {self.num_seeds} seeds of {method} are {kind}: {', '.join(seeds)}")
            found += [f"{method} seed {one.seed} is damaged ({one.reason})" for one in own if one.kind == DAMAGED]
        return [one_line(line) for line in found]


def read_runs(suite_folder: Path, environment: str, record: Mapping[str, Any]) -> Mapping[tuple[str, int], RunFiles]:
    """The files of every run that an experiment.json (`read_record`) lists or that has a folder, by method and seed.

    To be read before success_rates.csv: a run that is written meanwhile is then whole in both or in the table alone.
    """
    listed = [(method, seed) for method in record.get("methods", []) for seed in record.get("seeds", [])]
    there = [(method, seed) for method, seed, _ in run_folders(suite_folder, environment)]
    return {run: read_run(seed_folder(suite_folder, environment, *run)) for run in dict.fromkeys([*listed, *there])}


def judged(
    suite_folder: Path,
    environment: str,
    record: Mapping[str, Any],
    files: Mapping[tuple[str, int], RunFiles],
    rates: Sequence[SuccessRate],
) -> Runs:
    """Says which runs are not whole.

    A run is missing where experiment.json lists it and there are neither rows nor finished files of it. Rows without
    files are whole: a committed reference keeps no more.
    """
    rows: dict[tuple[str, int], dict[int, SuccessRate]] = {}
    for rate in rates:
        rows.setdefault((rate.method, rate.seed), {})[rate.user] = rate
    listed = {(method, seed) for method in record.get("methods", []) for seed in record.get("seeds", [])}
    faults = []
    for run in dict.fromkeys([*files, *rows]):
        own = files.get(run, RunFiles())
        reasons = list(own.damage)
        if own.summary is not None and not reasons and not _agree(rows.get(run, {}), own.summary):
            folder = seed_folder(suite_folder, environment, *run)
            reasons.append(f"{suite_folder / RATES}: other rows than {folder / SUMMARY} says")
        if reasons:
            faults += [Fault(*run, DAMAGED, reason.replace(f"{suite_folder}{os.sep}", "")) for reason in reasons]
        elif own.summary is None and own.begun:
            faults.append(Fault(*run, UNFINISHED))
        elif run not in rows and run in listed:
            faults.append(Fault(*run, MISSING))
    seeds = {seed for _, seed in (*listed, *rows)}
    return Runs(files, tuple(faults), len(seeds))


def _agree(rows: Mapping[int, SuccessRate], summary: Mapping[str, Any]) -> bool:
    """Whether the rows of a run say of its users what its summary says."""
    users = {user["user"]: user for user in summary["users"]}
    return rows.keys() == users.keys() and all(
        row.group == users[row.user]["group"]
        and abs(row.success_rate - users[row.user]["success_rate"]) < 1e-6
        and abs(row.reached_rate - users[row.user]["reached_rate"]) < 1e-6
        for row in rows.values()
    )
