"""Policies by IQL: runs of equal shape are trained together as one stack, and evaluated as they go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pluralbench.benchmarks.experiments.identity import digest
from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.experiments.settings import Experiment
from pluralbench.benchmarks.stages.evaluate import Act, Outcome, run_episodes
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.policies import PolicyStage
from pluralbench.benchmarks.stages.prepare import Prepared
from pluralbench.benchmarks.stages.runs import NUM_ANSWERS, Curve, Run, TrainedRun
from pluralbench.benchmarks.stages.session import Session
from pluralbench.envs import Environment
from pluralbench.iql import MaxMinSettings, Policy, ReplayData, TrainingResult, train, train_maxmin


class IQLPolicy(PolicyStage):
    """One policy of observation and latent for all users of a run."""

    name = "iql"

    def train(self, prepared: Prepared, runs: Sequence[Run], session: Session, ledger: Ledger) -> None:
        """Trains stack after stack."""
        folder = session.folder / prepared.plan.environment.name / "checkpoints"
        for stack in _stacks(runs):
            pending = [run for run in stack if not ledger.is_finished(run)]
            if not pending:
                continue
            # A run's episodes start where its place in the stack says: a stack that was interrupted goes on whole.
            whole = folder / _file_name(stack)
            own = stack if session.resume and whole.exists() else pending
            title = f"policies of {' '.join(dict.fromkeys(run.method.name for run in own))}, {len(own)} runs together"
            with session.reporter.stage(title) as progress:
                trained = self._train_stack(prepared, own, folder / _file_name(own), session.resume, progress)
            for one in trained:
                ledger.finish(one)

    def _train_stack(
        self, prepared: Prepared, stack: Sequence[Run], checkpoints: Path, resume: bool, progress: Any
    ) -> list[TrainedRun]:
        plan, settings = prepared.plan, prepared.plan.experiment.evaluation
        num_updates = plan.experiment.iql.num_updates
        goals = np.concatenate([run.goals for run in stack])

        def evaluate(step: int, policy: Policy) -> dict[str, Any]:
            episodes = settings.episodes if step >= num_updates else settings.curve_episodes
            act = acting_for(policy, stack, plan.device)
            return run_episodes(plan.environment, act, goals, episodes, seed=step).as_dict()

        if not resume:
            shutil.rmtree(checkpoints, ignore_errors=True)
        start = time.perf_counter()
        result = self._optimise(
            plan.experiment,
            _replay_data(prepared, stack),
            [run.seed for run in stack],
            device=plan.device,
            progress=progress,
            log_every=max(1, num_updates // 20),
            evaluate_every=max(1, num_updates // settings.num_curve_points),
            on_evaluate=evaluate,
            checkpoint_folder=checkpoints,
            checkpoint_every=max(1, num_updates // 10),
            resume=resume,
        )
        seconds = (time.perf_counter() - start) / len(stack)
        by_answers: Curve = []
        for num_answers in NUM_ANSWERS if any(run.is_personal for run in stack) else ():
            act = acting_for(result.policy, [run.known_by(num_answers) for run in stack], plan.device)
            outcome = run_episodes(plan.environment, act, goals, settings.curve_episodes, seed=num_answers)
            by_answers.append((num_answers, outcome.success_rates))
        return [_trained(result, stack, row, by_answers, seconds, plan.device) for row in range(len(stack))]

    def _optimise(self, experiment: Experiment, data: ReplayData, seeds: list[int], **options: Any) -> TrainingResult:
        return train(data, experiment.iql, seeds, **options)


class MaxMinPolicy(IQLPolicy):
    """One policy for several groups: the most that the worst-off one can get."""

    name = "maxmin"
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


def _stacks(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs of equal latent size and number of groups together."""
    sizes = [(run.user_latents.shape[1], run.num_groups) for run in runs]
    return [[run for run, own in zip(runs, sizes, strict=True) if own == size] for size in sorted(set(sizes))]


def _file_name(stack: Sequence[Run]) -> str:
    """A folder for a stack's checkpoints; no two stacks share it."""
    names = "_".join(dict.fromkeys(run.method.name for run in stack))
    return f"{names[:60]}-{digest([[run.method.name, run.seed, run.num_groups] for run in stack])[:8]}"


def _replay_data(prepared: Prepared, stack: Sequence[Run]) -> ReplayData:
    """The dataset once, with rewards and latents of every run beside it."""
    dataset = prepared.dataset
    latents = [run.fitted.latents.cpu().numpy().astype(np.float32) for run in stack]
    most = max(len(rows) for rows in latents)
    return ReplayData.from_arrays(
        dataset.observations,
        dataset.actions,
        dataset.next_observations,
        dataset.terminals,
        dataset.timeouts,
        rewards=np.stack([run.relabelled(prepared) for run in stack]),
        latents=np.stack([np.resize(rows, (most, rows.shape[1])) for rows in latents]),  # (E, M, Z), padding is unused
        latent_index=np.stack([run.fitted.latent_index for run in stack]),
        device=prepared.plan.device,
    )


def acting_for(policy: Policy, stack: Sequence[Run], device: str) -> Act:
    """The deterministic policies of E runs for their U users, as one function of job rows (job = run * U + user)."""
    latents = torch.cat([run.user_latents for run in stack]).to(device)  # (E * U, Z)
    num_runs, num_users = len(stack), len(stack[0].user_latents)

    def act(observations: NDArray[np.float32], jobs: NDArray[np.int64]) -> NDArray[np.float32]:
        run_of = jobs // num_users
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
    result: TrainingResult, stack: Sequence[Run], row: int, by_answers: Curve, seconds: float, device: str
) -> TrainedRun:
    """What the stack's result says of one of its runs."""
    run, num_users = stack[row], len(stack[0].goals)
    jobs = slice(row * num_users, (row + 1) * num_users)
    evaluations = [(int(one["step"]), Outcome.from_dict(one["value"])) for one in result.evaluations]
    policy = result.policy.of_run(row)
    return TrainedRun(
        run,
        evaluations[-1][1].of_jobs(jobs),
        acting_for(policy, [run], device),
        [(step, outcome.success_rates[jobs]) for step, outcome in evaluations],
        [(int(one["step"]), {k: float(v[row]) for k, v in one.items() if k != "step"}) for one in result.metrics],
        [(num, rates[jobs]) for num, rates in by_answers] if run.is_personal else [],
        seconds,
        policy.save,
    )
