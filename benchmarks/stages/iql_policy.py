"""Policies by IQL: runs of equal shape are trained together as one stack, and evaluated as they go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pluralbench.benchmarks.experiments.identity import digest
from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.experiments.settings import Experiment
from pluralbench.benchmarks.stages.evaluate import BY_ANSWERS, FINAL, Act, Outcome, run_episodes
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.policies import PolicyStage
from pluralbench.benchmarks.stages.prepare import Prepared
from pluralbench.benchmarks.stages.runs import NUM_ANSWERS, Curve, Run, TrainedRun, tracked_as
from pluralbench.benchmarks.stages.session import Session
from pluralbench.envs import Environment
from pluralbench.iql import MaxMinSettings, Policy, ReplayData, TrainingResult, train, train_maxmin
from pluralbench.iql.cloning import CloningLearner


class IQLPolicy(PolicyStage):
    """One policy of observation and latent for all users of a run."""

    name = "iql"
    spans_latents = True

    def parts(self, prepared: Prepared, runs: Sequence[Run]) -> list[list[Run]]:
        """One stack each."""
        return _stacks(runs, prepared.plan.experiment.iql.latent_centres)

    def train(self, prepared: Prepared, runs: Sequence[Run], session: Session, ledger: Ledger) -> None:
        """Trains stack after stack."""
        folder = session.folder / prepared.plan.environment.name / "checkpoints"
        for stack in self.parts(prepared, runs):
            pending = [run for run in stack if not ledger.is_finished(run)]
            if not pending:
                continue
            # Sums in a stack of another height round otherwise: one that was interrupted goes on whole.
            whole = folder / _file_name(stack)
            own = stack if session.resume and whole.exists() else pending
            names = " ".join(dict.fromkeys(run.method.name for run in own))
            title = f"policies of {names}, {len(_distinct(own))} trained together"
            with session.reporter.stage(title) as progress:
                trained = self._train_stack(prepared, own, folder / _file_name(own), session, progress)
            for one in trained:
                if any(one.run is run for run in pending):  # those that are finished stay as they are
                    ledger.finish(one)

    def _train_stack(
        self, prepared: Prepared, stack: Sequence[Run], checkpoints: Path, session: Session, progress: Any
    ) -> list[TrainedRun]:
        plan, settings = prepared.plan, prepared.plan.experiment.evaluation
        num_updates = plan.experiment.iql.num_updates
        goals = np.concatenate([run.goals for run in stack])
        starts = np.concatenate([run.start_seeds for run in stack])
        policies = _distinct(stack)  # those that are trained; the others share one of them
        rows = [next(row for row, other in enumerate(policies) if _same(run, other)) for run in stack]

        def evaluate(step: int, policy: Policy) -> dict[str, Any]:
            act = acting_for(policy, rows, stack, plan.device)
            episodes, seed = (settings.curve_episodes, step) if step < num_updates else (settings.episodes, FINAL)
            outcome = run_episodes(plan.environment, act, goals, episodes, seed, starts)
            num_users = len(stack[0].goals)
            for place, run in enumerate(stack):
                own = outcome.success_rates[place * num_users : (place + 1) * num_users]
                session.tracker.scalars(tracked_as(plan, run), step, run.success_by_group(own))
            return outcome.as_dict()

        def track(step: int, metrics: Mapping[str, Any]) -> None:
            for run, row in zip(stack, rows, strict=True):
                values = {f"policy/{name}": float(value[row]) for name, value in metrics.items()}
                session.tracker.scalars(tracked_as(plan, run), step, values)

        if not session.resume:
            shutil.rmtree(checkpoints, ignore_errors=True)
        start = time.perf_counter()
        result = self._optimise(
            plan.experiment,
            _replay_data(prepared, policies),
            [run.seed for run in policies],
            device=plan.device,
            progress=progress,
            log_every=max(1, num_updates // 20),
            evaluate_every=evaluation_interval(num_updates, settings.num_curve_points),
            on_evaluate=evaluate,
            on_metrics=track,
            checkpoint_folder=checkpoints,
            checkpoint_every=max(1, num_updates // 10),
            resume=session.resume,
        )
        seconds = (time.perf_counter() - start) / len(stack)
        by_answers = self._by_answers(plan, result.policy, rows, stack)
        return [_trained(result, rows, stack, place, by_answers, seconds, plan.device) for place in range(len(stack))]

    def _by_answers(self, plan: Plan, policy: Policy, rows: Sequence[int], stack: Sequence[Run]) -> Curve:
        """Success (runs * U,) by every number of answers, all in one evaluation from the same starts."""
        if not any(run.is_personal for run in stack):
            return []
        known = [run.known_by(num) for num in NUM_ANSWERS for run in stack]
        goals = np.concatenate([run.goals for run in known])
        starts = np.concatenate([run.start_seeds for run in known])
        act = acting_for(policy, [*rows] * len(NUM_ANSWERS), known, plan.device)
        episodes = plan.experiment.evaluation.curve_episodes
        rates = run_episodes(plan.environment, act, goals, episodes, BY_ANSWERS, starts).success_rates
        return list(zip(NUM_ANSWERS, rates.reshape(len(NUM_ANSWERS), -1), strict=True))

    def _optimise(self, experiment: Experiment, data: ReplayData, seeds: list[int], **options: Any) -> TrainingResult:
        return train(data, experiment.iql, seeds, **options)


class MaxMinPolicy(IQLPolicy):
    """One policy for several groups: the most that the worst-off one can get."""

    name = "maxmin"
    version = 2
    serves_groups = True

    @classmethod
    def check(cls, experiment: Experiment, environment: Environment, method: Method) -> None:
        """Raises IQLError where the settings of IQL have no max-min version."""
        cls._settings(experiment)

    def _optimise(self, experiment: Experiment, data: ReplayData, seeds: list[int], **options: Any) -> TrainingResult:
        return train_maxmin(data, self._settings(experiment), seeds, **options)

    @staticmethod
    def _settings(experiment: Experiment) -> MaxMinSettings:
        return MaxMinSettings(**vars(experiment.iql), group_weights=experiment.group_weights)


class CloningPolicy(IQLPolicy):
    """Behaviour cloning."""

    name = "bc"
    spans_latents = False
    asks_nobody = True

    def _optimise(self, experiment: Experiment, data: ReplayData, seeds: list[int], **options: Any) -> TrainingResult:
        return train(data, experiment.iql, seeds, learner_class=CloningLearner, **options)


def evaluation_interval(num_updates: int, num_points: int) -> int:
    """Updates between evaluations, of which there are `num_points` at most, with the one after the last update."""
    return -(-num_updates // num_points)


def _same(first: Run, second: Run) -> bool:
    """Whether both would train the same policy, and differ only in what they know of their users."""
    model, other = first.fitted.model, second.fitted.model
    shared = model.trains_policy_of == other.trains_policy_of != "" and model.settings == other.settings
    return (
        first.seed == second.seed and first.method.scaling == second.method.scaling and (model is other or bool(shared))
    )


def _distinct(stack: Sequence[Run]) -> list[Run]:
    """The runs that train a policy of their own."""
    found: list[Run] = []
    for run in stack:
        if not any(_same(run, other) for other in found):
            found.append(run)
    return found


def _stacks(runs: Sequence[Run], latent_centres: int) -> list[list[Run]]:
    """Runs of equal latent size and number of groups together, apart from those with few latents.

    Networks see few latents by what they are near (`iql.latent_codes`) if all runs of the stack have few.
    """
    sizes = [(run.user_latents.shape[1], run.num_groups, len(run.fitted.latents) <= latent_centres) for run in runs]
    return [[run for run, own in zip(runs, sizes, strict=True) if own == size] for size in sorted(set(sizes))]


def _file_name(stack: Sequence[Run]) -> str:
    """A folder for a stack's checkpoints; no two stacks share it."""
    names = "_".join(dict.fromkeys(run.method.name for run in stack))
    return f"{names[:60]}-{digest([[run.method.name, run.seed, run.num_groups] for run in stack])[:8]}"


def _replay_data(prepared: Prepared, stack: Sequence[Run]) -> ReplayData:
    """The dataset once, with rewards and latents of every run beside it."""
    dataset, shaping = prepared.dataset, prepared.plan.experiment.iql.shaping
    rewards = [run.relabelled(prepared) for run in stack]
    before = (
        [run.relabelled_starts(prepared, own) for run, own in zip(stack, rewards, strict=True)] if shaping else None
    )
    latents = [run.fitted.latents.cpu().numpy().astype(np.float32) for run in stack]
    counts = [len(rows) for rows in latents]
    return ReplayData.from_arrays(
        dataset.observations,
        dataset.actions,
        dataset.next_observations,
        dataset.terminals,
        dataset.timeouts,
        rewards=np.stack(rewards),
        latents=np.stack([np.resize(rows, (max(counts), rows.shape[1])) for rows in latents]),  # (E, M, Z)
        latent_index=np.stack([run.fitted.latent_index for run in stack]),
        rewards_before=None if before is None else np.stack(before),
        latent_counts=None if len(set(counts)) == 1 else counts,
        device=prepared.plan.device,
    )


def acting_for(policy: Policy, rows: Sequence[int], stack: Sequence[Run], device: str) -> Act:
    """The deterministic policies `rows` of some runs for their U users, as one function of jobs (run * U + user)."""
    latents = torch.cat([run.user_latents for run in stack]).to(device)  # (runs * U, Z)
    num_runs, num_users, row_of = policy.num_runs, len(stack[0].user_latents), np.asarray(rows)

    def act(observations: NDArray[np.float32], jobs: NDArray[np.int64]) -> NDArray[np.float32]:
        run_of = row_of[jobs // num_users]
        counts = np.bincount(run_of, minlength=num_runs)
        order = np.argsort(run_of, kind="stable")
        slot = np.empty(len(jobs), dtype=np.int64)
        slot[order] = np.concatenate([np.arange(count) for count in counts])
        stacked = torch.zeros(num_runs, counts.max(), observations.shape[1], device=device)
        stacked_latents = torch.zeros(num_runs, counts.max(), latents.shape[1], device=device)
        stacked[run_of, slot] = torch.as_tensor(observations, device=device)
        stacked_latents[run_of, slot] = latents[torch.as_tensor(jobs, device=device)]
        return np.asarray(policy.act(stacked, stacked_latents)[run_of, slot])

    return act


def _trained(
    result: TrainingResult, rows: Sequence[int], stack: Sequence[Run], place: int, by_answers: Curve, seconds: float,
    device: str,
) -> TrainedRun:  # fmt: skip
    """What the stack's result says of one of its runs."""
    run, row, num_users = stack[place], rows[place], len(stack[0].goals)
    jobs = slice(place * num_users, (place + 1) * num_users)
    evaluations = [(int(one["step"]), Outcome.from_dict(one["value"])) for one in result.evaluations]
    policy = result.policy.of_run(row)
    return TrainedRun(
        run,
        evaluations[-1][1].of_jobs(jobs),
        acting_for(policy, [0], [run], device),
        [(step, outcome.success_rates[jobs]) for step, outcome in evaluations],
        [(int(one["step"]), {k: float(v[row]) for k, v in one.items() if k != "step"}) for one in result.metrics],
        [(num, rates[jobs]) for num, rates in by_answers] if run.is_personal else [],
        seconds,
        policy.save,
    )
