"""success_rates.csv: final success of every method, seed and test user, checked whole whenever it is read."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pluralbench.benchmarks.results.names import ResultsError, check_name, check_text
from pluralbench.benchmarks.results.records import EXPERIMENT, SWEEP, read_record, read_sweeps
from pluralbench.benchmarks.results.tables import read_table, write_table
from pluralbench.lines import plain, shown

FILE = "success_rates.csv"
_COLUMNS_BEFORE = (
    "environment",
    "population",
    "method",
    "seed",
    "user",
    "group",
    "episodes",
    "successes",
    "success_rate",
)
"""While an episode was a success as soon as its goal was reached."""
COLUMNS = (*_COLUMNS_BEFORE, "reached")
_REFUSED: dict[tuple[str, ...], str] = {
    _COLUMNS_BEFORE: "made before success was judged at the end of an episode: run it again"
}
_COUNT = re.compile(r"0|[1-9][0-9]{0,17}")
_RATE = re.compile(r"[01](\.[0-9]{1,17})?")
_ROUNDED = 0.5e-4 + 1e-9
"""How far a rate with four decimals may lie from the exact one."""


@dataclass(frozen=True)
class SuccessRate:
    """Final success of one method for one test user: a row of success_rates.csv.

    `held_out` says that the user's group taught nothing; it stands in experiment.json, not in the row.
    """

    environment: str
    population: str
    method: str
    seed: int
    user: int
    group: str
    episodes: int
    successes: int  # episodes at the end of which things were as the user wants them
    reached: int  # episodes in which they were at any time, the papers' rule
    held_out: bool = False

    @property
    def success_rate(self) -> float:
        """Successes over all episodes."""
        return self.successes / self.episodes

    @property
    def reached_rate(self) -> float:
        """The same by the papers' rule."""
        return self.reached / self.episodes

    @property
    def run(self) -> tuple[str, str, str, int]:
        """What a repeated run replaces."""
        return self.environment, self.population, self.method, self.seed


def merge_success_rates(suite_folder: Path, rows: Iterable[SuccessRate]) -> None:
    """Adds rows to success_rates.csv; those of the same environment, population, method and seed are replaced."""
    new = list(rows)
    replaced = {row.run for row in new}
    kept = [row for row in read_rows(suite_folder) if row.run not in replaced]
    write_success_rates(suite_folder, kept + new)


def write_success_rates(suite_folder: Path, rows: Iterable[SuccessRate]) -> None:
    """Writes success_rates.csv anew, its rows in order."""
    texts = (
        (*row.run, row.user, row.group, row.episodes, row.successes, f"{row.success_rate:.4f}", row.reached)
        for row in sorted(rows, key=lambda row: (*row.run, row.user))
    )
    write_table(suite_folder / FILE, COLUMNS, texts)


def _no_results(folder: Path) -> ResultsError:
    """With the folders that were perhaps meant: those of suites and sweeps within, or the one above."""
    if not os.path.lexists(folder):
        return ResultsError(f"there is no folder {folder}")
    near = []
    with contextlib.suppress(OSError):
        within = {path.parent for path in folder.glob(f"*/{FILE}")}
        within |= {path.parents[1] for path in folder.glob(f"*/*/{SWEEP.format('*')}")}
        near = sorted(within)
        near += [folder.parent] if (folder.parent / FILE).exists() else []
    meant = f"; one of {', '.join(map(str, near[:5]))}?" if len(near) > 1 else f"; {near[0]}?" if near else ""
    return ResultsError(f"{folder} holds no results: no {FILE} in it{meant}")


def suite_folders(folder: Path) -> list[Path]:
    """The suites in a folder: those of a sweep's points that have been run, or else the folder itself.

    Raises:
        ResultsError: the record of a sweep is damaged.
    """
    names = dict.fromkeys(name for sweep in read_sweeps(folder) for name in sweep["points"].values())
    return [folder / name for name in names if (folder / name / FILE).exists()] or [folder]


def environments_in(suite_folder: Path) -> list[str]:
    """The environments that success_rates.csv has rows of.

    Raises:
        ResultsError: there is no such table, or it is damaged.
    """
    found = list(dict.fromkeys(row.environment for row in read_rows(suite_folder)))
    if not found:
        raise _no_results(suite_folder)
    return found


def read_success_rates(suite_folder: Path, environment: str | None = None) -> list[SuccessRate]:
    """The rows of success_rates.csv, with what experiment.json says of held-out groups.

    Args:
        suite_folder: of the suite.
        environment: of which environment; all of them if None.

    Raises:
        ResultsError: there are none, the table or an experiment.json is damaged, or these contradict each other.
    """
    rows = read_rows(suite_folder)
    if not rows:
        raise _no_results(suite_folder)
    rows = [row for row in rows if environment in (None, row.environment)]
    if not rows:
        raise ResultsError(f"{suite_folder} holds no results of {environment}")
    held_out = set()
    for name in {row.environment for row in rows}:
        record = read_record(suite_folder, name)
        held_out |= {(name, group["name"]) for group in record.get("groups", []) if not group["taught"]}
        _check_record(suite_folder, record, [row for row in rows if row.environment == name])
    return [replace(row, held_out=True) if (row.environment, row.group) in held_out else row for row in rows]


def read_rows(suite_folder: Path) -> list[SuccessRate]:
    """The rows of success_rates.csv alone, `held_out` unknown; none where there is no such file.

    Raises:
        ResultsError: it is damaged, or was made while success meant `reached`; the message names the line.
    """
    path = suite_folder / FILE
    if not path.exists():
        return []
    lines, rows = [], []
    for line, cells in read_table(path, COLUMNS, _REFUSED):
        try:
            rows.append(_row(cells))
        except ResultsError as error:
            raise ResultsError(f"{path}, line {line}: {error}") from error
        lines.append(line)
    if not rows:
        raise ResultsError(f"{path} holds a header and no row")
    _check_fit(path, lines, rows)
    return rows


def _check_record(suite_folder: Path, record: Mapping[str, Any], rows: Sequence[SuccessRate]) -> None:
    """Raises ResultsError where the rows of an environment are of another population or group than its record says."""
    groups = {group["name"] for group in record.get("groups", [])}
    for row in rows:
        if record and record["population"] != row.population:
            raise ResultsError(
                f"{suite_folder / FILE}: {plain(row.environment)} has the population {shown(row.population)}, its "
                f"{EXPERIMENT} says {shown(record['population'])}"
            )
        if groups and row.group not in groups:
            raise ResultsError(
                f"{suite_folder / FILE}: {plain(row.environment)} has the group {shown(row.group)}, which its "
                f"{EXPERIMENT} does not know"
            )


def _row(cells: Sequence[str]) -> SuccessRate:
    environment, population, method, seed, user, group, episodes, successes, rate, reached = cells
    row = SuccessRate(
        check_name(environment, "the environment"),
        check_text(population, "the population"),
        check_name(method, "the method"),
        _count(seed, "the seed"),
        _count(user, "the user"),
        check_text(group, "the group"),
        _count(episodes, "the number of episodes"),
        _count(successes, "the number of successes"),
        _count(reached, "the number of episodes that reached the goal"),
    )
    if row.episodes < 1:
        raise ResultsError("the number of episodes must be at least 1")
    if max(row.successes, row.reached) > row.episodes:
        raise ResultsError(f"{row.successes} successes and {row.reached} reached in {row.episodes} episodes")
    if not _RATE.fullmatch(rate) or abs(float(rate) - row.success_rate) > _ROUNDED:
        raise ResultsError(
            f"the success rate is {shown(rate)}, {row.successes} of {row.episodes} are {row.success_rate:.4f}"
        )
    return row


def _count(text: str, what: str) -> int:
    if not _COUNT.fullmatch(text):
        raise ResultsError(f"{what} must be a whole number from 0 up, is {shown(text)}")
    return int(text)


def _check_fit(path: Path, lines: Sequence[int], rows: Sequence[SuccessRate]) -> None:
    """Raises ResultsError unless the rows fit each other.

    An environment has one population; nobody stands twice in a run; a seed's users are the same people whatever the
    method; and every run of an environment serves as many users of each group.
    """
    first: dict[tuple[object, ...], tuple[int, str]] = {}
    runs: dict[tuple[str, str, str, int], Counter[str]] = {}
    begins: dict[tuple[str, str, str, int], int] = {}
    for line, row in zip(lines, rows, strict=True):
        known = first.setdefault((row.environment,), (line, row.population))
        if known[1] != row.population:
            raise ResultsError(
                f"{path}, line {line}: {plain(row.environment)} has the population {shown(row.population)}, in line "
                f"{known[0]} {shown(known[1])}: a folder holds one experiment"
            )
        known = first.setdefault((row.run, row.user), (line, ""))
        if known[0] != line:
            raise ResultsError(f"{path}, line {line}: repeats user {row.user} of {_run(row.run)} in line {known[0]}")
        known = first.setdefault((row.environment, row.seed, row.user), (line, row.group))
        if known[1] != row.group:
            raise ResultsError(
                f"{path}, line {line}: user {row.user} of seed {row.seed} is of {shown(row.group)}, in line {known[0]} "
                f"of {shown(known[1])}"
            )
        runs.setdefault(row.run, Counter())[row.group] += 1
        begins.setdefault(row.run, line)
    expected: dict[str, tuple[str, str, str, int]] = {}
    for run, groups in runs.items():
        other = expected.setdefault(run[0], run)
        for group in groups | runs[other]:
            if groups[group] != runs[other][group]:
                raise ResultsError(
                    f"{path}, line {begins[run]}: {_run(run)} has {groups[group]} users of {shown(group)}, "
                    f"{_run(other)} in line {begins[other]} has {runs[other][group]}: rows are missing or too many"
                )


def _run(run: tuple[str, str, str, int]) -> str:
    return f"{plain(run[2])} seed {run[3]}"
