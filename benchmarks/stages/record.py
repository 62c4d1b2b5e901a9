"""experiment.json: which experiment a folder holds; a run of another one is refused before any work."""

from __future__ import annotations

from pathlib import Path

from pluralbench.benchmarks import results
from pluralbench.benchmarks.experiments.identity import Identity, check_same, joined
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.experiments.settings import ExperimentError
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


def check_folder(suite_folder: Path, environment: str, identity: Identity) -> None:
    """Raises ExperimentError where the folder holds another experiment than this identity, or does not say which."""
    record = results.read_record(suite_folder, environment)
    rates = results.read_success_rates(suite_folder) if (suite_folder / "success_rates.csv").exists() else []
    if record:
        check_same(record.get("identity") or {}, identity, suite_folder / environment)
        if "settings" not in record.get("identity", {}):
            raise ExperimentError(f"{suite_folder} holds results without an identity: use --suite NAME or --out DIR")
    elif any(rate.environment == environment for rate in rates):
        raise ExperimentError(
            f"{suite_folder} holds results of {environment} without an experiment.json that says which experiment "
            "they are of: use --suite NAME or --out DIR"
        )


def check_before_work(suite_folder: Path, plan: Plan) -> None:
    """As `check_folder`, by what is known of the plan's identity before any data is touched."""
    check_folder(suite_folder, plan.environment.name, identity_before_work(plan))


Drawn = list[tuple[Prepared, list[SeedDraws]]]
"""The seeds that share a dataset, with it."""


def begin(plan: Plan, session: Session) -> tuple[Drawn, Identity]:
    """Prepares the data and draws every seed; notes the experiment once it is sure that the folder holds no other."""
    drawn = []
    for data_seed, seeds in data_seeds(plan).items():
        prepared = prepare(plan, session, data_seed)
        drawn.append((prepared, [draw_seed(prepared, seed) for seed in seeds]))
    identity = identity_of(identity_before_work(plan), drawn)
    check_folder(session.folder, plan.environment.name, identity)
    write_record(session.folder, plan, drawn[0][1][0].test_users, identity)
    return drawn, identity


def write_record(suite_folder: Path, plan: Plan, users: Users, identity: Identity) -> None:
    """Notes the experiment, or joins this run's methods and seeds to those that are there; `users` name the groups."""
    before = results.read_record(suite_folder, plan.environment.name)
    methods = dict.fromkeys([*(method.name for method in plan.methods), *before.get("methods", [])])
    write_json(
        suite_folder / plan.environment.name / "experiment.json",
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
