"""The paper's policy for the household tasks: one step, to wherever the learned reward is highest.

pi(o, z) = argmax over actions a of r(outcome(o, a), z), where the one-step outcome model predicts what an action that
goes well leads to. What really happens is up to physics.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.experiments.settings import Experiment, ExperimentError
from pluralbench.benchmarks.stages.evaluate import Act, run_episodes
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.policies import PolicyStage
from pluralbench.benchmarks.stages.prepare import Prepared
from pluralbench.benchmarks.stages.runs import NUM_ANSWERS, Run, TrainedRun
from pluralbench.benchmarks.stages.session import Session
from pluralbench.envs import Environment
from pluralbench.reward_learning.scaling import fit_scaling


class GreedyPolicy(PolicyStage):
    """One step ahead by the environment's one-step outcome model; nothing is trained."""

    name = "greedy"

    @classmethod
    def check(cls, experiment: Experiment, environment: Environment, method: Method) -> None:
        """Raises ExperimentError where the environment has no one-step outcome model."""
        if environment.outcomes is None:
            raise ExperimentError(f"{method.name}: {environment.name} has no one-step outcome model: use --policy iql")

    def train(self, prepared: Prepared, runs: Sequence[Run], session: Session, ledger: Ledger) -> None:
        """Evaluates run after run."""
        pending = [run for run in runs if not ledger.is_finished(run)]
        if not pending:
            return
        with session.reporter.stage("greedy policies") as progress:
            trained = []
            for position, run in enumerate(pending):
                trained.append(_evaluated(prepared, run))
                progress(position + 1, len(pending))
        for one in trained:
            ledger.finish(one)


def _evaluated(prepared: Prepared, run: Run) -> TrainedRun:
    settings, environment = prepared.plan.experiment.evaluation, prepared.plan.environment
    start = time.perf_counter()
    act = greedy_policy(environment, run)
    outcome = run_episodes(environment, act, run.goals, settings.episodes, seed=run.seed)
    by_answers = []
    for num_answers in NUM_ANSWERS if run.is_personal else ():
        fewer = greedy_policy(environment, run.known_by(num_answers))
        rates = run_episodes(environment, fewer, run.goals, settings.curve_episodes, seed=num_answers).success_rates
        by_answers.append((num_answers, rates))
    seconds = time.perf_counter() - start
    return TrainedRun(run, outcome, act, [(0, outcome.success_rates)], [], by_answers, seconds)


def greedy_policy(environment: Environment, run: Run, latents: Tensor | None = None) -> Act:
    """The greedy policy of one run for users with latents (U, Z), its own users if None."""
    assert environment.outcomes is not None  # `check` has seen to that
    fitted, scaling = run.fitted, run.method.scaling
    latents = run.user_latents if latents is None else latents
    reward = fit_scaling(scaling, fitted.model, latents, fitted.comparison_states, fitted.classifier_for(scaling))
    outcomes_of, device = environment.outcomes, latents.device

    def act(observations: NDArray[np.float32], users: NDArray[np.int64]) -> NDArray[np.int64]:
        outcomes = torch.as_tensor(outcomes_of(observations)).to(device)  # (B, A, S)
        num, choices = outcomes.shape[:2]
        rows = torch.as_tensor(users, device=device).repeat_interleave(choices)
        return np.asarray(reward(outcomes.flatten(0, 1), rows).reshape(num, choices).argmax(1).cpu().numpy())

    return act
