"""Runs an experiment from data to results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pluralbench.benchmarks import results
from pluralbench.benchmarks.experiments.identity import Identity
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.results.figure_arrays import (
    Named,
    fitting_maps,
    latents_path,
    load_latents,
    load_reward_maps,
    reward_maps_path,
    save_latents,
    save_reward_maps,
)
from pluralbench.benchmarks.results.folder_lock import folder_lock
from pluralbench.benchmarks.stages.fit import FittedLearner, fit_learner
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.pictures import latent_rows, reward_maps
from pluralbench.benchmarks.stages.policies import train_policies
from pluralbench.benchmarks.stages.prepare import Prepared, SeedDraws
from pluralbench.benchmarks.stages.record import begin, check_before_work
from pluralbench.benchmarks.stages.runs import Run, new_run
from pluralbench.benchmarks.stages.session import Session


def run_experiment(plan: Plan, session: Session) -> Path:
    """Runs every method and seed of a plan and writes the results; returns the suite's folder.

    Raises:
        ExperimentError: the session's folder holds another experiment; before any work.
        FolderInUseError: another process works there; before any work.
    """
    with folder_lock(session.folder, session.reporter.line):
        _run(plan, session)
    return session.folder


def _run(plan: Plan, session: Session) -> None:
    check_before_work(session.folder, plan, session.resume)
    announce(plan, session)
    drawn, identity = begin(plan, session)
    first_seed = min(results.read_record(session.folder, plan.environment.name)["seeds"])
    for prepared, draws in drawn:
        runs = runs_of(prepared, draws, identity, session)
        write_pictures(prepared, [run for run in runs if run.seed == first_seed], session)
        ledger = Ledger(prepared, identity, session, first_seed)
        for policy in dict.fromkeys(method.policy for method in plan.methods):
            own = [run for run in runs if run.method.policy == policy]
            train_policies(policy, prepared, own, session, ledger)


def announce(plan: Plan, session: Session) -> None:
    """Says what is about to be run, in one line, and where there is nothing to go on from."""
    if session.resume and not (session.folder / plan.environment.name).exists():
        session.reporter.line(f"{session.folder} has nothing of {plan.environment.name} to go on from: begun anew")
    session.reporter.line(
        f"{plan.environment.name}, {plan.population.name}: {' '.join(method.name for method in plan.methods)}, "
        f"seeds {' '.join(map(str, plan.experiment.seeds))}, on {plan.device}"
    )


def runs_of(prepared: Prepared, draws: Sequence[SeedDraws], identity: Identity, session: Session) -> list[Run]:
    """Every method with every seed, each learner fitted once for each seed."""
    plan, runs = prepared.plan, []
    for drawn in draws:
        _tell_rates(drawn, session)
        fitted: dict[str, FittedLearner] = {}
        for method in plan.methods:
            if method.learner not in fitted:
                fitted[method.learner] = fit_learner(prepared, drawn, method.learner, identity, session)
            runs.append(new_run(plan, method, fitted[method.learner]))
    return runs


def _tell_rates(drawn: SeedDraws, session: Session) -> None:
    """Says what became of the train users' questions where teachers skip, see ties or err, in one line.

    Nominal fractions are of utilities and not of questions: one in ten may be none at all.
    """
    rates, teacher = drawn.train.provenance["realised_rates"], drawn.train_users.teacher
    told = [
        f"{100 * rates[name]:.1f} % {words}"
        for name, fraction, words in (
            ("skip", teacher.skip_fraction, "were skipped"),
            ("equal", teacher.equal_fraction, "of the answers are ties"),
            ("flip", teacher.mistake_rate, "of the answers are mistakes"),
        )
        if np.any(fraction)
    ]
    if told:
        session.reporter.line(f"seed {drawn.seed}: of the train users' questions {', '.join(told)}")


def write_pictures(prepared: Prepared, runs: Sequence[Run], session: Session) -> None:
    """What the figures of one seed's reward models draw; joins what is there of other methods.

    There is no reward to draw of who asks nobody, and a latent that numbers a user's network tells nothing.
    """
    environment = prepared.plan.environment
    rewarded = [run for run in runs if not run.fitted.model.asks_nobody]
    latents: dict[str, dict[str, Any]] = {
        run.fitted.model.name: latent_rows(run.fitted, run.num_answers)
        for run in rewarded
        if run.user_latents.shape[1] > 0 and not run.fitted.model.per_user
    }
    maps: dict[str, dict[str, Any]] = {}
    if environment.state_grid is not None:
        grid = environment.state_grid()
        for run in rewarded:
            maps.update(reward_maps(prepared, run, grid))
    if latents:
        path = latents_path(session.folder, environment.name)
        save_latents(path, {**_kept(load_latents, path, session), **latents})
    if maps:
        path = reward_maps_path(session.folder, environment.name)
        save_reward_maps(path, {**fitting_maps(_kept(load_reward_maps, path, session), maps), **maps})


def _kept(load: Callable[[Path], Named], path: Path, session: Session) -> Named:
    """What is there of other methods; nothing, and a line, where it is damaged."""
    try:
        return load(path)
    except results.ResultsError as error:
        session.reporter.line(f"{error}: made again")
        return {}
