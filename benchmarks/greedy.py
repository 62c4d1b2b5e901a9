"""The paper's policy for the household tasks: one step, to wherever the learned reward is highest.

pi(o, z) = argmax over actions a of r(outcome(o, a), z), where the outcome is what the task expects of an action that
goes well. What really happens is up to physics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pluralbench.benchmarks.evaluation import run_episodes
from pluralbench.benchmarks.experiment import Experiment
from pluralbench.benchmarks.policies import NUM_ANSWERS, Run, TrainedRun, is_personal, known_by
from pluralbench.benchmarks.preparation import Prepared, comparison_states
from pluralbench.benchmarks.rewards import pair_classifier_of
from pluralbench.envs.environments import Progress
from pluralbench.envs.multigoal import ForeseeingTask
from pluralbench.reward_learning.scaling import ScaledReward, fit_scaling


def evaluate_greedy(
    experiment: Experiment, prepared: Prepared, runs: Sequence[Run], progress: Progress | None = None
) -> list[TrainedRun]:
    """Success of the greedy policy of every run for each of its held-out users."""
    episodes = experiment.evaluation.episodes
    trained = []
    for position, run in enumerate(runs):
        start = time.perf_counter()
        act = greedy_policy(experiment, prepared, run)
        outcome = run_episodes(prepared.environment, act, run.goals, episodes, seed=run.data.seed)
        by_answers = []
        for num_answers in NUM_ANSWERS if is_personal(run) else ():
            act = greedy_policy(experiment, prepared, known_by(run, num_answers))
            fewer = run_episodes(
                prepared.environment, act, run.goals, experiment.evaluation.curve_episodes, seed=num_answers
            )
            by_answers.append((num_answers, fewer.success_rates))
        seconds = time.perf_counter() - start
        trained.append(TrainedRun(run, outcome, [(0, outcome.success_rates)], [], by_answers, seconds))
        if progress is not None:
            progress(position + 1, len(runs))
    return trained


def greedy_policy(experiment: Experiment, prepared: Prepared, run: Run) -> Callable[..., Any]:
    """The greedy policy of one run for its users."""
    task = prepared.task
    assert isinstance(task, ForeseeingTask)  # `resolve` has seen to that
    states = torch.as_tensor(comparison_states(experiment, prepared, run.data.seed)).to(run.user_latents.device)
    classifier = pair_classifier_of(run.method, run.model, run.data, str(run.user_latents.device))
    reward = fit_scaling(run.method.scaling, run.model, run.user_latents, states, classifier)
    return greedy_actions(task, reward, run.user_latents.device)


def greedy_actions(task: ForeseeingTask, reward: ScaledReward, device: torch.device) -> Callable[..., Any]:
    """Choices (B,) for observations (B, S) of the users in rows (B,)."""

    def act(observations: NDArray[np.float32], users: NDArray[np.int64]) -> NDArray[np.int64]:
        outcomes = torch.as_tensor(task.outcomes(observations)).to(device)  # (B, A, S)
        num, choices = outcomes.shape[:2]
        rows = torch.as_tensor(users, device=device).repeat_interleave(choices)
        return np.asarray(reward(outcomes.flatten(0, 1), rows).reshape(num, choices).argmax(1).cpu().numpy())

    return act
