"""From relabelled rewards to policies, and from policies to the success of each user."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.evaluation import Outcome, run_episodes, seeds_for
from benchmarks.experiment import Experiment, Method
from benchmarks.preparation import Prepared, SeedData
from benchmarks.rewards import RelabelledRun
from envs.environments import Progress
from iql.data import ReplayData
from iql.policy import Policy
from iql.training import train


@dataclass(frozen=True)
class Run:
    """One method and seed, ready to be trained.

    Attributes:
        method: learner and scaling.
        data: the seed's users and answers.
        relabelled: rewards and latents of every transition.
        user_latents: (U, Z) posterior means of the evaluation users.
        goals: (U, G) what they want.
    """

    method: Method
    data: SeedData
    relabelled: RelabelledRun
    user_latents: NDArray[np.float32]
    goals: NDArray[np.float64]


@dataclass
class TrainedRun:
    """What became of a run: success by user over training, and the learner's own metrics."""

    run: Run
    outcome: Outcome | None = None
    curve: list[tuple[int, NDArray[np.float64]]] = field(default_factory=list)
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    seconds: float = 0.0
    errors: tuple[str, ...] = ()


def stacks_of(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs of equal latent size together: they train as one stack."""
    sizes = sorted({run.user_latents.shape[1] for run in runs})
    return [[run for run in runs if run.user_latents.shape[1] == size] for size in sizes]


def replay_data(prepared: Prepared, stack: Sequence[Run], device: str) -> ReplayData:
    """The dataset once, with rewards and latents of every run beside it."""
    most = max(len(run.relabelled.latents) for run in stack)
    latents = np.stack([_padded(run.relabelled.latents, most) for run in stack])  # (E, M, Z)
    return ReplayData(
        observations=prepared.dataset.observations,
        actions=prepared.dataset.actions,
        next_observations=prepared.dataset.next_observations,
        terminals=prepared.dataset.terminals,
        timeouts=prepared.dataset.timeouts,
        rewards=np.stack([run.relabelled.rewards for run in stack]),
        latents=latents,
        latent_index=np.stack([run.relabelled.latent_index for run in stack]),
        device=device,
    )


def _padded(rows: NDArray[np.float32], num: int) -> NDArray[np.float32]:
    return np.concatenate([rows, np.zeros((num - len(rows), rows.shape[1]), rows.dtype)])


def policy_of_users(policy: Policy, stack: Sequence[Run], device: str) -> Callable[..., NDArray[np.float32]]:
    """The deterministic policies of E runs for their U users, as one function of job rows (job = run * U + user)."""
    latents = torch.as_tensor(np.concatenate([run.user_latents for run in stack]), device=device)  # (E * U, Z)
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
        actions = policy.act(stacked, stacked_latents, deterministic=True).cpu().numpy()
        return np.asarray(actions[run_of, slot])

    return act


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
    trained = [TrainedRun(run) for run in stack]
    goals = np.concatenate([run.goals for run in stack])
    num_users = len(stack[0].goals)
    seeds = seeds_for([run.data.seed for run in stack], num_users)
    start = time.perf_counter()

    def evaluate(step: int, policy: Policy, metrics: Sequence[dict[str, float]]) -> None:
        last = step >= experiment.iql.num_updates
        episodes = settings.episodes if last else settings.curve_episodes
        outcome = run_episodes(
            prepared.environment, policy_of_users(policy, stack, device), goals, episodes, seeds
        )
        by_run = outcome.successes.reshape(len(stack), num_users)
        for position, result in enumerate(trained):
            result.curve.append((step, by_run[position] / episodes))
            result.metrics.append((step, metrics[position]))
            result.errors += outcome.errors
            if last:
                result.outcome = replace(
                    outcome,
                    successes=by_run[position],
                    mean_steps=outcome.mean_steps.reshape(len(stack), num_users)[position],
                )

    policy = train(
        replay_data(prepared, stack, device),
        experiment.iql,
        seeds=[run.data.seed for run in stack],
        progress=progress,
        evaluate_every=max(1, experiment.iql.num_updates // settings.num_curve_points),
        on_evaluate=evaluate,
        checkpoint_folder=checkpoint_folder,
        resume=resume,
    )
    for result in trained:
        result.seconds = (time.perf_counter() - start) / len(stack)
    return policy, trained
