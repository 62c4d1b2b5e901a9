"""Policies for which nothing is trained: one greedy step, an exact plan, and scripts that ask nobody."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.experiments.settings import Experiment, ExperimentError
from pluralbench.benchmarks.stages.evaluate import BY_ANSWERS, FINAL, Act, run_episodes
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.policies import PolicyStage
from pluralbench.benchmarks.stages.prepare import Prepared
from pluralbench.benchmarks.stages.runs import NUM_ANSWERS, Run, TrainedRun, tracked_as
from pluralbench.benchmarks.stages.session import Session
from pluralbench.envs import Environment
from pluralbench.envs.scripts import RandomScript, Script
from pluralbench.envs.vectors import make_single
from pluralbench.reward_learning.scaling import fit_scaling

MAX_TOUR_GOALS = 256


class ImmediatePolicy(PolicyStage):
    """Base of these: `acting` says how a run's policy acts."""

    @abstractmethod
    def acting(self, environment: Environment, run: Run) -> Act | Script:
        """The policy of one run; jobs are its users' rows."""

    def parts(self, prepared: Prepared, runs: Sequence[Run]) -> list[list[Run]]:
        """Each run by itself."""
        return [[run] for run in runs]

    def train(self, prepared: Prepared, runs: Sequence[Run], session: Session, ledger: Ledger) -> None:
        """Evaluates run after run."""
        pending = [run for run in runs if not ledger.is_finished(run)]
        if not pending:
            return
        with session.reporter.stage(f"{self.name} policies") as progress:
            for position, run in enumerate(pending):
                evaluated = self._evaluated(prepared, run)
                rates = run.success_by_group(evaluated.outcome.success_rates)
                session.tracker.scalars(tracked_as(prepared.plan, run), 0, rates)
                ledger.finish(evaluated)
                progress(position + 1, len(pending))

    def _evaluated(self, prepared: Prepared, run: Run) -> TrainedRun:
        settings, environment = prepared.plan.experiment.evaluation, prepared.plan.environment
        start = time.perf_counter()
        act = self.acting(environment, run)
        outcome = run_episodes(environment, act, run.goals, settings.episodes, FINAL, run.start_seeds)
        by_answers = []
        for num in NUM_ANSWERS if run.is_personal else ():
            fewer = self.acting(environment, run.known_by(num))
            found = run_episodes(environment, fewer, run.goals, settings.curve_episodes, BY_ANSWERS, run.start_seeds)
            by_answers.append((num, found.success_rates))
        seconds = time.perf_counter() - start
        return TrainedRun(run, outcome, act, [(0, outcome.success_rates)], [], by_answers, seconds)


class GreedyPolicy(ImmediatePolicy):
    """The paper's policy for the household tasks: one step, to wherever the learned reward is highest.

    pi(o, z) = argmax over actions a of r(outcome(o, a), z), where the one-step outcome model predicts what an action
    that goes well leads to. What really happens is up to physics.
    """

    name = "greedy"

    @classmethod
    def check(cls, experiment: Experiment, environment: Environment, method: Method) -> None:
        """Raises ExperimentError where the environment has no one-step outcome model."""
        if environment.outcomes is None:
            raise ExperimentError(f"{method.name}: {environment.name} has no one-step outcome model: use --policy iql")

    def acting(self, environment: Environment, run: Run) -> Act:
        """One step ahead for the run's users."""
        return greedy_policy(environment, run)


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


class PlannedPolicy(ImmediatePolicy):
    """The best path for the learned reward, planned exactly by the environment: what is left is the reward's fault."""

    name = "planned"

    @classmethod
    def check(cls, experiment: Experiment, environment: Environment, method: Method) -> None:
        """Raises ExperimentError where the environment has no planner."""
        if environment.planner is None or environment.state_grid is None:
            raise ExperimentError(f"{method.name}: {environment.name} has no planner: use another policy")

    def acting(self, environment: Environment, run: Run) -> Script:
        """Along each user's plan."""
        assert environment.planner is not None  # `check` has seen to that
        assert environment.state_grid is not None
        grid = environment.state_grid()
        return environment.planner(run.rewards_of_states(grid.observations[grid.reachable]))


class BehaviourPolicy(ImmediatePolicy):
    """What made the data."""

    name = "behaviour"
    asks_nobody = True

    @classmethod
    def check(cls, experiment: Experiment, environment: Environment, method: Method) -> None:
        """Raises ExperimentError where the data come from a file."""
        if experiment.dataset:
            raise ExperimentError(f"{method.name}: the data come from a file, which does not act; leave it out")

    def acting(self, environment: Environment, run: Run) -> Script:
        """The environment's behaviour policy, by default random actions."""
        if environment.behaviour is not None:
            return environment.behaviour()
        env = make_single(environment)
        env.close()
        return RandomScript(env.action_space)


class TourPolicy(ImmediatePolicy):
    """Visits the goals of everybody who may be met and asks nobody: what passing by is worth.

    Where one step decides there is nothing to visit: it does what is worth most in the mean over everybody.
    """

    name = "tour"
    asks_nobody = True

    @classmethod
    def check(cls, experiment: Experiment, environment: Environment, method: Method) -> None:
        """Raises ExperimentError where the environment has neither a tour nor a one-step outcome model."""
        if environment.tour is None and environment.outcomes is None:
            raise ExperimentError(f"{method.name}: {environment.name} has no tour: leave it out")

    def acting(self, environment: Environment, run: Run) -> Act | Script:
        """The tour of all goals that the run's users have."""
        goals = np.unique(run.goals, axis=0)[:MAX_TOUR_GOALS]
        if environment.tour is not None:
            return environment.tour(goals)
        assert environment.outcomes is not None  # `check` has seen to that
        task, outcomes_of = environment.make_task(), environment.outcomes

        def act(observations: NDArray[np.float32], jobs: NDArray[np.int64]) -> NDArray[np.int64]:
            outcomes = outcomes_of(observations)[:, :, None]  # (B, A, 1, S)
            return np.asarray(task.utility(outcomes, goals).mean(-1).argmax(-1))

        return act
