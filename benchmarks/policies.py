"""From relabelled rewards to policies, and from policies to the success of each user."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.benchmarks.evaluation import Outcome, run_episodes
from pluralbench.benchmarks.experiment import Experiment, Method
from pluralbench.benchmarks.preparation import Prepared, SeedData
from pluralbench.benchmarks.rewards import relabel_run, rewards_served
from pluralbench.envs.environments import Progress
from pluralbench.iql.data import ReplayData
from pluralbench.iql.maxmin_iql import MaxMinSettings, train_maxmin
from pluralbench.iql.policy import Policy
from pluralbench.iql.training import TrainingResult, train
from pluralbench.reward_learning.reward_model import RewardModel

NUM_ANSWERS = (1, 2, 4, 8, 16)
"""Numbers of answers at which a personal method is evaluated besides the experiment's own."""


@dataclass(frozen=True)
class Run:
    """One method and seed, its reward model fitted.

    Attributes:
        method: learner, scaling and policy.
        data: the seed's users and answers.
        model: the learner's reward model.
        user_latents: (U, Z) posterior means of the evaluation users.
        goals: (U, G) what they want.
    """

    method: Method
    data: SeedData
    model: RewardModel
    user_latents: Tensor
    goals: NDArray[np.float64]


@dataclass(frozen=True)
class TrainedRun:
    """What became of a run.

    Attributes:
        run: which.
        outcome: final success by user.
        curve: (updates, success rate of each user (U,)) at every evaluation, the last one included.
        metrics: (updates, metrics of the learner) at every log interval.
        by_answers: (answers, success rate of each user (U,)) for other numbers of answers; empty without latents.
        seconds: its share of the stack's time.
    """

    run: Run
    outcome: Outcome
    curve: list[tuple[int, NDArray[np.float64]]]
    metrics: list[tuple[int, dict[str, float]]]
    by_answers: list[tuple[int, NDArray[np.float64]]]
    seconds: float


def known_by(run: Run, num_answers: int) -> Run:
    """The run with its users known by their first `num_answers` answers."""
    users = run.data.held_out.take_users(run.data.evaluation_rows)
    return replace(run, user_latents=run.model.infer(users.take_queries(np.arange(num_answers))).mean)


def is_personal(run: Run) -> bool:
    """Whether the run's reward depends on what a user answered."""
    return run.user_latents.shape[1] > 0 and run.model.name != "oracle"


def num_groups(run: Run) -> int:
    """K, the groups that the run's policy tells apart; 0 where it knows one reward."""
    return len(rewards_served(run.method, run.model)) if run.method.policy == "maxmin" else 0


def stacks_of(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs of equal latent size and number of groups together: they train as one stack."""
    sizes = [(run.user_latents.shape[1], num_groups(run)) for run in runs]
    return [[run for run, own in zip(runs, sizes, strict=True) if own == size] for size in sorted(set(sizes))]


def stack_name(stack: Sequence[Run]) -> str:
    """The methods of a stack, with its number of groups where it has any: no two stacks share a name."""
    names = " ".join(dict.fromkeys(run.method.name for run in stack))
    groups = num_groups(stack[0])
    return f"{names} for {groups} groups" if groups else names


def replay_data(experiment: Experiment, prepared: Prepared, stack: Sequence[Run], device: str) -> ReplayData:
    """The dataset once, with rewards and latents of every run beside it."""
    relabelled = [relabel_run(experiment, prepared, run.data, run.method, run.model, device) for run in stack]
    most = max(len(run.latents) for run in relabelled)
    return ReplayData.from_arrays(
        prepared.dataset.observations,
        prepared.dataset.actions,
        prepared.dataset.next_observations,
        prepared.dataset.terminals,
        prepared.dataset.timeouts,
        rewards=np.stack([run.rewards for run in relabelled]),
        latents=np.stack([_padded(run.latents, most) for run in relabelled]),  # (E, M, Z)
        latent_index=np.stack([run.latent_index for run in relabelled]),
        device=device,
    )


def _padded(rows: NDArray[np.float32], num: int) -> NDArray[np.float32]:
    return np.resize(rows, (num, rows.shape[1]))  # repeats rows, which no transition points to


def policy_of_users(policy: Policy, stack: Sequence[Run], device: str) -> Callable[..., NDArray[np.float32]]:
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


def _train(experiment: Experiment, stack: Sequence[Run], data: ReplayData, **options: Any) -> TrainingResult:
    """IQL on one reward of each run, or on the K rewards of its groups."""
    seeds = [run.data.seed for run in stack]
    if not num_groups(stack[0]):
        return train(data, experiment.iql, seeds, **options)
    settings = MaxMinSettings(**vars(experiment.iql), group_weights=experiment.group_weights)
    return train_maxmin(data, settings, seeds, **options)


def train_stack(
    experiment: Experiment,
    prepared: Prepared,
    stack: Sequence[Run],
    device: str,
    checkpoint_folder: Path,
    resume: bool,
    progress: Progress | None = None,
) -> tuple[Policy, list[TrainedRun]]:
    """Trains a stack of runs together and evaluates it for every held-out user as it goes."""
    settings = experiment.evaluation
    goals = np.concatenate([run.goals for run in stack])
    num_users = len(stack[0].goals)

    def evaluate(step: int, policy: Policy) -> dict[str, Any]:
        last = step >= experiment.iql.num_updates
        episodes = settings.episodes if last else settings.curve_episodes
        act = policy_of_users(policy, stack, device)
        return run_episodes(prepared.environment, act, goals, episodes, seed=step).as_dict()

    if not resume:
        shutil.rmtree(checkpoint_folder, ignore_errors=True)
    start = time.perf_counter()
    result = _train(
        experiment,
        stack,
        replay_data(experiment, prepared, stack, device),
        device=device,
        progress=progress,
        log_every=max(1, experiment.iql.num_updates // 20),
        evaluate_every=max(1, experiment.iql.num_updates // settings.num_curve_points),
        on_evaluate=evaluate,
        checkpoint_folder=checkpoint_folder,
        checkpoint_every=max(1, experiment.iql.num_updates // 10),
        resume=resume,
    )
    seconds = (time.perf_counter() - start) / len(stack)
    by_answers: list[tuple[int, NDArray[np.float64]]] = []
    for num_answers in NUM_ANSWERS if any(map(is_personal, stack)) else ():
        act = policy_of_users(result.policy, [known_by(run, num_answers) for run in stack], device)
        outcome = run_episodes(prepared.environment, act, goals, settings.curve_episodes, seed=num_answers)
        by_answers.append((num_answers, outcome.success_rates))
    evaluations = [(int(row["step"]), Outcome.from_dict(row["value"])) for row in result.evaluations]
    jobs = [slice(position * num_users, (position + 1) * num_users) for position in range(len(stack))]
    return result.policy, [
        TrainedRun(
            run,
            evaluations[-1][1].of_jobs(jobs[position]),
            [(step, outcome.success_rates[jobs[position]]) for step, outcome in evaluations],
            [
                (int(row["step"]), {k: float(v[position]) for k, v in row.items() if k != "step"})
                for row in result.metrics
            ],
            [(num, rates[jobs[position]]) for num, rates in by_answers] if is_personal(run) else [],
            seconds,
        )
        for position, run in enumerate(stack)
    ]
