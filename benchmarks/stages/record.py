"""experiment.json: which experiment a folder holds; a run of another one is refused before any work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pluralbench.benchmarks import results
from pluralbench.benchmarks.experiments.identity import Identity, check_same, clashes, joined
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.benchmarks.results.folder_lock import check_not_in_use
from pluralbench.benchmarks.results.records import CONFIG, EXPERIMENT
from pluralbench.benchmarks.results.runs import run_folders
from pluralbench.benchmarks.results.success_rates import FILE as RATES
from pluralbench.benchmarks.stages.mending import mend_rates
from pluralbench.benchmarks.stages.prepare import (
    Prepared,
    SeedDraws,
    data_seeds,
    draw_seed,
    identity_before_work,
    identity_of,
    prepare,
)
from pluralbench.benchmarks.stages.session import Session
from pluralbench.files import write_json
from pluralbench.preference_oracles.users import Users

ELSEWHERE = "use --suite NAME or --out DIR"
Known = tuple[Mapping[str, Any], str]
"""An experiment.json, empty where there is none, and a line where that was damaged."""


def check_folder(suite_folder: Path, environment: str, identity: Identity, resume: bool = False) -> Known:
    """What the folder holds of an environment, once it is sure that an experiment of this identity belongs there.

    Raises:
        ExperimentError: it holds another experiment or does not say which, or something that would be written anew is
            damaged and `resume` is not there to make it again.
    """
    try:
        results.read_rows(suite_folder)
    except results.ResultsError as error:
        if not resume:
            raise ExperimentError(
                f"{error}; put it right, add --resume to make the table again from its runs, or {ELSEWHERE}"
            ) from error
    record, note = _known_record(suite_folder, environment, resume)
    if record:
        check_same(record["identity"], identity, suite_folder / environment)
        if "settings" not in record["identity"]:
            raise ExperimentError(f"{suite_folder} holds results without an identity: {ELSEWHERE}")
    return record, note


def check_before_work(suite_folder: Path, plan: Plan, resume: bool = False) -> None:
    """As `check_folder`, by what is known of the plan's identity before any data is touched.

    Raises:
        FolderInUseError: another process works in the folder.
    """
    check_not_in_use(suite_folder)
    check_folder(suite_folder, plan.environment.name, identity_before_work(plan), resume)


def _known_record(suite_folder: Path, environment: str, resume: bool) -> Known:
    path = suite_folder / environment / EXPERIMENT
    try:
        record = results.read_record(suite_folder, environment)
        reason = "" if record else f"{path}: no such file, so that nobody knows which experiment its results are of"
    except results.ResultsError as error:
        record, reason = {}, str(error)
    if record:
        return record, ""
    if not _holds_runs(suite_folder, environment):
        return record, f"{reason}: made anew" if path.exists() else ""
    if not resume:
        raise ExperimentError(f"{reason}; add --resume to make it again from its runs' {CONFIG}, or {ELSEWHERE}")
    return _from_configs(suite_folder, environment, reason), f"{reason}: made again from its runs' {CONFIG}"


def _holds_runs(suite_folder: Path, environment: str) -> bool:
    if any(True for _ in run_folders(suite_folder, environment)):
        return True
    try:
        return any(row.environment == environment for row in results.read_rows(suite_folder))
    except results.ResultsError:
        return True


def _from_configs(suite_folder: Path, environment: str, reason: str) -> dict[str, Any]:
    """An experiment.json but its groups, as the config.json of all runs say.

    Raises:
        ExperimentError: one of them is damaged or missing, or they contradict each other.
    """
    identity: Identity = {}
    runs = {}
    try:
        for method, seed, folder in run_folders(suite_folder, environment):
            own = results.read_config(folder / CONFIG)["identity"]
            if names := clashes(identity, own):
                raise results.ResultsError(f"{folder / CONFIG}: another {names[0]} than the runs before")
            identity = joined(identity, own)
            runs[method, seed] = own.get("settings", {}).get("population", "")
        for row in _rows_if_sound(suite_folder):
            if row.environment == environment and (row.method, row.seed) not in runs:
                raise results.ResultsError(f"{suite_folder / RATES}: {row.method} seed {row.seed} has no {CONFIG}")
    except results.ResultsError as error:
        raise ExperimentError(
            f"{reason}; nor can it be made again ({error}): {ELSEWHERE}, or remove {suite_folder / environment}"
        ) from error
    return {
        "environment": environment,
        "population": next(iter(runs.values()), ""),
        "methods": list(dict.fromkeys(method for method, _ in runs)),
        "seeds": sorted({seed for _, seed in runs}),
        "groups": [],
        "identity": identity,
    }


def _rows_if_sound(suite_folder: Path) -> list[results.SuccessRate]:
    try:
        return results.read_rows(suite_folder)
    except results.ResultsError:
        return []


Drawn = list[tuple[Prepared, list[SeedDraws]]]
"""The seeds that share a dataset, with it."""


def begin(plan: Plan, session: Session) -> tuple[Drawn, Identity]:
    """Prepares the data and draws every seed; notes the experiment once it is sure that the folder holds no other."""
    drawn = []
    for data_seed, seeds in data_seeds(plan).items():
        prepared = prepare(plan, session, data_seed)
        drawn.append((prepared, [draw_seed(prepared, seed) for seed in seeds]))
    identity = identity_of(identity_before_work(plan), drawn)
    before, note = check_folder(session.folder, plan.environment.name, identity, session.resume)
    if note:
        session.reporter.line(note)
    write_record(session.folder, plan, drawn[0][1][0].test_users, identity, before)
    if session.resume:
        mend_rates(session, plan.environment.name)
    return drawn, identity


def write_record(suite_folder: Path, plan: Plan, users: Users, identity: Identity, before: Mapping[str, Any]) -> None:
    """Notes the experiment, or joins this run's methods and seeds to those of `before`; `users` name the groups."""
    methods = dict.fromkeys([*(method.name for method in plan.methods), *before.get("methods", [])])
    write_json(
        suite_folder / plan.environment.name / EXPERIMENT,
        {
            "environment": plan.environment.name,
            "population": plan.population.name,
            "methods": list(methods),
            "seeds": sorted({*before.get("seeds", []), *plan.experiment.seeds}),
            "groups": [
                {"name": name, "taught": taught} for name, taught in zip(users.group_names, users.taught, strict=True)
            ],
            "identity": joined(before.get("identity", {}), identity),
        },
    )
