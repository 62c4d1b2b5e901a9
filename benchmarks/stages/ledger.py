"""What is finished, and how a finished run is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.benchmarks import results
from pluralbench.benchmarks.experiments.identity import Identity, clashes, run_digest
from pluralbench.benchmarks.experiments.methods import policies
from pluralbench.benchmarks.provenance import provenance
from pluralbench.benchmarks.results.metrics import FILE as METRICS
from pluralbench.benchmarks.results.records import CONFIG, SUMMARY
from pluralbench.benchmarks.results.runs import POLICY, read_run
from pluralbench.benchmarks.results.served_users import FILE as USERS
from pluralbench.benchmarks.results.served_users import load_served_users, save_served_users
from pluralbench.benchmarks.stages.blame import blame
from pluralbench.benchmarks.stages.prepare import Prepared
from pluralbench.benchmarks.stages.rollouts import record_rollouts
from pluralbench.benchmarks.stages.runs import Run, TrainedRun
from pluralbench.benchmarks.stages.session import Session
from pluralbench.errors import InputError
from pluralbench.files import write_json
from pluralbench.iql import Policy
from pluralbench.reward_learning.scalings import SPO_PAIRS
from pluralbench.settings import as_json


@dataclass(frozen=True)
class Ledger:
    """Writes runs into the suite's folder and knows those that are there."""

    prepared: Prepared  # plan and dataset
    identity: Identity  # of the whole experiment
    session: Session  # where and how
    first_seed: int  # of the folder; of it pictures are made
    _done: set[tuple[str, int]] = field(default_factory=set)  # method and seed of what is known to be finished

    def is_finished(self, run: Run) -> bool:
        """Whether a run of exactly this kind is there whole, and the session goes on from what is there.

        What is damaged in it is told of in one line.
        """
        if not self.session.resume:
            return False
        folder = self._folder(run)
        files = read_run(folder)
        damage = [*files.damage, *_damage_of_policy(folder)] if files.begun else []
        if files.config is not None and clashes(files.config["identity"], self.identity):
            damage.append(f"{folder / CONFIG}: is of another experiment")
        if files.summary is not None and files.summary["digest"] != self._digest(run):
            damage.append(f"{folder / SUMMARY}: is of another experiment")
        for reason in damage:
            self.session.reporter.line(f"{run.method.name} seed {run.seed} is damaged ({reason}): run again")
        if files.summary is None or damage:
            return False
        self._done.add((run.method.name, run.seed))
        return True

    def unfinished(self, runs: Sequence[Run]) -> list[Run]:
        """Of these runs those that are not finished."""
        return [run for run in runs if (run.method.name, run.seed) not in self._done and not self.is_finished(run)]

    def finish(self, trained: TrainedRun) -> None:
        """Writes config.json, metrics.csv, rows of success_rates.csv, the policy, its users, and summary.json last."""
        run, folder = trained.run, self._folder(trained.run)
        (folder / SUMMARY).unlink(missing_ok=True)
        write_json(folder / CONFIG, self._config(run))
        results.write_metrics(folder / METRICS, _metrics(trained))
        rates = self._success_rates(trained)
        results.merge_success_rates(self.session.folder, rates)
        if trained.save is not None:
            trained.save(folder / POLICY)
        save_served_users(folder / USERS, run.served_users)
        if self._is_shown(run):
            with self.session.reporter.stage("pictures of rollouts"):
                record_rollouts(self.prepared.plan, trained, self.session.folder)
        write_json(folder / SUMMARY, {"digest": self._digest(run), **self._summary(trained, rates)})
        self._done.add((run.method.name, run.seed))
        for message in dict.fromkeys(message for _, message in trained.outcome.errors):
            self.session.reporter.line(
                f"  {run.method.name} seed {run.seed}: an episode raised and counts as a failure: {message}"
            )

    def _folder(self, run: Run) -> Path:
        plan = self.prepared.plan
        return results.seed_folder(self.session.folder, plan.environment.name, run.method.name, run.seed)

    def _digest(self, run: Run) -> str:
        policy = policies.get(run.method.policy).name
        own = self.identity, run.fitted.model.name, run.method.scaling, policy, run.method.name
        return run_digest(*own, run.seed, self.prepared.data_seed)

    def _is_shown(self, run: Run) -> bool:
        """Rollouts are shown of the first seed of the method named last: in the presets the one it is about."""
        return run.seed == self.first_seed and run.method == self.prepared.plan.methods[-1]

    def _config(self, run: Run) -> dict[str, Any]:
        plan = self.prepared.plan
        settings = {run.fitted.model.name: plan.settings_of(run.method.learner)}
        if run.method.scaling == SPO_PAIRS:
            settings[SPO_PAIRS] = as_json(plan.classifier_settings)
        keys = {"users": run.seed, "answers": run.seed, "data": self.prepared.data_seed}
        return {
            "experiment": as_json(replace(plan.experiment, methods=(run.method.name,), learner_settings=settings)),
            "seed": run.seed,
            "identity": self.identity | {part: {str(key): self.identity[part][str(key)]} for part, key in keys.items()},
            **provenance(plan.device),
        }

    def _success_rates(self, trained: TrainedRun) -> list[results.SuccessRate]:
        plan, run = self.prepared.plan, trained.run
        users, outcome = run.fitted.draws.acting_users, trained.outcome
        counts = zip(users.ids, users.group_index, outcome.successes, outcome.reached, strict=True)
        return [
            results.SuccessRate(
                plan.environment.name, plan.population.name, run.method.name, run.seed,
                int(user), users.group_names[group], outcome.episodes, int(successes), int(reached),
            )
            for user, group, successes, reached in counts
        ]  # fmt: skip

    def _summary(self, trained: TrainedRun, rates: Sequence[results.SuccessRate]) -> dict[str, Any]:
        run, outcome, task = trained.run, trained.outcome, self.prepared.plan.task
        found = blame(self.prepared, run)
        faults = {
            "reward_right": found.reward_right,
            "policy_right": found.policy_right(outcome.success_rates),
            "planned_success": found.planned_success,
        }
        users = [
            {
                "user": rate.user,
                "group": rate.group,
                "goal": task.goal_name(goal),
                "success_rate": rate.success_rate,
                "reached_rate": rate.reached_rate,
                "mean_steps": float(outcome.mean_steps[row]),
                **{name: float(values[row]) for name, values in outcome.infos.items()},
                **{name: _known(values[row : row + 1]) for name, values in faults.items()},
                "reward_right": None if np.isnan(found.reward_right[row]) else bool(found.reward_right[row]),
            }
            for row, (rate, goal) in enumerate(zip(rates, run.goals, strict=True))
        ]
        return {
            "success_rate": float(np.mean([rate.success_rate for rate in rates])),
            "reached_rate": float(np.mean([rate.reached_rate for rate in rates])),
            **{name: _known(values) for name, values in faults.items()},
            "users": users,
            "episodes_that_raised": [message for _, message in outcome.errors],
            "policy": trained.metrics[-1][1] if trained.metrics else {},
            "reward_model": run.fitted.diagnostics,
            "seconds": {"reward_model": run.fitted.seconds, "policy": trained.seconds},
        }


def _damage_of_policy(folder: Path) -> list[str]:
    """What is wrong with a run's policy, as `iql.Policy` writes it, and with its users; nothing where there are none.

    A policy may be of another kind, and runs of before kept no users.
    """
    damage = []
    try:
        if any((folder / POLICY / f"policy.{ending}").exists() for ending in ("json", "safetensors")):
            Policy.load(folder / POLICY)
        if (folder / USERS).exists():
            load_served_users(folder / USERS)
    except InputError as error:
        damage.append(str(error))
    return damage


def _known(values: NDArray[np.float64]) -> float | None:
    """The mean of what is known, None where nothing is: NaN stands for unknown."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _metrics(trained: TrainedRun) -> list[tuple[str, float, str, float]]:
    """Rows of metrics.csv."""
    run = trained.run
    users = run.fitted.draws.acting_users.ids
    rows = [
        ("reward", float(row.get("update", i)), key, value)
        for i, row in enumerate(run.fitted.training)
        for key, value in row.items()
        if key != "update"
    ]
    rows += [("policy", float(step), key, value) for step, metrics in trained.metrics for key, value in metrics.items()]
    for step, point in trained.curve:
        rows += [("success", float(step), f"user {u}", float(v)) for u, v in zip(users, point, strict=True)]
        rows.append(("success", float(step), "mean", float(point.mean())))
    return rows + [("answers", float(num), "mean", float(rates.mean())) for num, rates in trained.by_answers]
