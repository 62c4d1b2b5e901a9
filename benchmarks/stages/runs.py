"""A run: one method with one seed, its reward model fitted; and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.benchmarks.experiments.methods import Method, policies
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.results.served_users import ServedUsers
from pluralbench.benchmarks.stages.evaluate import Act, Outcome
from pluralbench.benchmarks.stages.fit import FittedLearner
from pluralbench.benchmarks.stages.prepare import Prepared
from pluralbench.benchmarks.tracking import success_by_group
from pluralbench.envs.scripts import Script
from pluralbench.reward_learning.relabelling import relabel, relabel_starts
from pluralbench.reward_learning.reward_model import RewardFunction
from pluralbench.reward_learning.scaling import fit_scaling

Curve = list[tuple[int, NDArray[np.float64]]]
"""(updates or answers, success rate of each user (U,)) at every evaluation."""
NUM_ANSWERS = (1, 2, 4, 8, 16)
"""Numbers of answers at which a personal method is evaluated besides the experiment's own."""


@dataclass(frozen=True)
class Run:
    """One method and seed."""

    method: Method  # learner, scaling and policy
    fitted: FittedLearner  # the learner's reward model
    num_answers: int  # by which the test users are known
    serves_groups: bool = False  # the policy maximises the rewards of the model's K groups instead of one

    @property
    def seed(self) -> int:
        """Of users, answers, reward model and policy."""
        return self.fitted.draws.seed

    @property
    def goals(self) -> NDArray[np.float64]:
        """(U, G) what the users want for whom it acts."""
        return self.fitted.draws.acting_users.goals

    @property
    def start_seeds(self) -> NDArray[np.int64]:
        """(U,) what these users' episodes start from."""
        return self.fitted.draws.start_seeds[self.fitted.draws.acting]

    @cached_property
    def user_latents(self) -> Tensor:
        """(U, Z) posterior means of these users."""
        draws = self.fitted.draws
        return self.fitted.model.infer(draws.context(self.num_answers, draws.acting)).mean

    @property
    def is_personal(self) -> bool:
        """Whether the reward depends on what a user answered."""
        return self.user_latents.shape[1] > 0 and self.fitted.model.reads_answers

    @property
    def served_users(self) -> ServedUsers:
        """These users with their latents, and with the answers from which those were inferred."""
        draws, num_answers = self.fitted.draws, self.num_answers if self.is_personal else 0
        latents = self.user_latents.cpu().numpy().astype(np.float32)
        return ServedUsers(latents, draws.context(num_answers, draws.acting))

    @cached_property
    def rewards(self) -> Mapping[str, RewardFunction]:
        """What the policy is to maximise, by name: the model's reward, or that of each of its groups."""
        if not self.serves_groups:
            return {self.method.name: self.fitted.model}
        groups = self.fitted.model.groups()
        return {f"{self.method.name} group {group}": reward for group, reward in enumerate(groups)}

    def rewards_of_states(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scaled rewards (U, P) of states (P, S) for each of its users."""
        fitted, scaling, latents = self.fitted, self.method.scaling, self.user_latents
        classifier = fitted.classifier_for(scaling)
        different, of_user = latents[:1], torch.zeros(len(latents), dtype=torch.int64)
        if latents.shape[1]:
            different, of_user = torch.unique(latents, dim=0, return_inverse=True)
        reward = fit_scaling(scaling, fitted.model, different, fitted.comparison_states, classifier)
        seen, num = torch.as_tensor(states).to(latents.device), len(states)
        rows = [reward(seen, torch.full((num,), row, device=latents.device)) for row in range(len(different))]
        return np.asarray(torch.stack(rows)[of_user].cpu().numpy())

    @property
    def num_groups(self) -> int:
        """K, the groups that the policy tells apart; 0 where it maximises one reward."""
        return len(self.rewards) if self.serves_groups else 0

    def success_by_group(self, rates: NDArray[np.float64]) -> dict[str, float]:
        """Tags for a tracker: the mean of its users' success rates (U,), and that of each group."""
        users = self.fitted.draws.acting_users
        return success_by_group(rates, users.group_index, users.group_names)

    def known_by(self, num_answers: int) -> Run:
        """The run with its users known by their first `num_answers` answers."""
        return replace(self, num_answers=num_answers)

    def relabelled(self, prepared: Prepared) -> NDArray[np.float32]:
        """Rewards (N,) of every transition under its trajectory's latent, or (K, N) where groups are served."""
        rows = [relabel(prepared.dataset, reward, *self._seen()) for reward in self.rewards.values()]
        return np.stack(rows) if self.serves_groups else rows[0]

    def relabelled_starts(self, prepared: Prepared, rewards: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `relabelled`, which gave `rewards`, of the state in which every transition starts."""
        given = rewards if self.serves_groups else rewards[None]
        rows = [
            relabel_starts(prepared.dataset, own, reward, *self._seen())
            for own, reward in zip(given, self.rewards.values(), strict=True)
        ]
        return np.stack(rows) if self.serves_groups else rows[0]

    def _seen(self) -> tuple[Any, ...]:
        """What a reward is relabelled with: latents, which transition sees which, scaling, states, classifier."""
        fitted, scaling = self.fitted, self.method.scaling
        classifier = fitted.classifier_for(scaling)
        return fitted.latents, fitted.latent_index, scaling, fitted.comparison_states, classifier


def new_run(plan: Plan, method: Method, fitted: FittedLearner) -> Run:
    """The run of one of the plan's methods with a fitted learner."""
    serves_groups = policies.get(method.policy).serves_groups
    return Run(method, fitted, plan.experiment.evaluation.num_answers, serves_groups)


def tracked_as(plan: Plan, run: Run) -> str:
    """What trackers call a run."""
    return f"{plan.environment.name}/{run.method.name}/seed_{run.seed}"


@dataclass(frozen=True)
class TrainedRun:
    """What became of a run."""

    run: Run  # which
    outcome: Outcome  # final success by user
    act: Act | Script  # the policy, for observations (B, S) of the run's users in rows (B,)
    curve: Curve  # over updates, the last evaluation included
    metrics: list[tuple[int, dict[str, float]]]  # (updates, metrics of the learner) at every log interval
    by_answers: Curve  # over other numbers of answers; empty without latents
    seconds: float  # that the policy took; its share where several were trained together
    save: Callable[[Path], None] | None = None  # writes the policy into a folder
