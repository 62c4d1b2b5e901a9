"""The oracle: knows every user's goal and the environment's own utility. The upper bound of the comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.users import Users
from pluralbench.progress import Progress
from pluralbench.ranges import check_number
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.reward_model import History, Posterior, RewardModel


@dataclass(frozen=True)
class OracleSettings:
    """Settings of the oracle."""

    rationality: float = float("inf")
    """Beta of its preference probability sigmoid(beta (u(A) - u(B))), which the scaling `spo` averages; infinite
    prefers the better one always and makes `spo` the rank of the utility."""

    def __post_init__(self) -> None:
        check_number(LearnerError, self, 0, float("inf"), "rationality", above=True)


class Oracle(RewardModel):
    """Latents are goals, rewards are utilities, computed by NumPy; nothing is learned and answers are not read."""

    name: ClassVar[str] = "oracle"
    settings_type: ClassVar[type] = OracleSettings
    knows_truth: ClassVar[bool] = True
    reads_answers: ClassVar[bool] = False
    trains_policy_of: ClassVar[str] = "oracle"
    goals_met: NDArray[np.float64] | None = None
    task: MultiGoalTask
    settings: OracleSettings

    def __init__(self, settings: Any = None, device: str = "cpu", task: MultiGoalTask | None = None) -> None:
        super().__init__(settings, device, task)
        self.latent_size = self.task.goal_size

    def fit(self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None) -> History:
        """Learns nothing."""
        return []

    def meet(self, users: Users) -> None:
        """Remembers what everybody wants: the policy is trained for all of them, held-out groups too."""
        self.goals_met = users.goals

    def posterior_for_policy(self, context: PreferenceDataset, generator: torch.Generator) -> Posterior:
        """The goals of all users that it has met, else those of the context."""
        return self.exactly(context.goals if self.goals_met is None else self.goals_met)

    def infer(self, context: PreferenceDataset) -> Posterior:
        """The users' goals, exactly: mean (U, G) and log-variance -inf."""
        return self.exactly(context.goals)

    def exactly(self, goals: ArrayLike) -> Posterior:
        """Goals (U, G) as latents that are known exactly."""
        return Posterior.exactly(torch.as_tensor(np.asarray(goals), dtype=torch.float32, device=self.device))

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Utility (...) of observations (..., S) for goals (..., G), leading axes broadcast."""
        utility = self.task.utility(observations.cpu().numpy(), latents.cpu().numpy().astype(np.float64))
        return torch.as_tensor(np.asarray(utility, dtype=np.float32), device=self.device)

    def preference_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Probability (...) that the first is preferred, from two `preference_outputs` that broadcast."""
        difference = (first - second).squeeze(-1)
        if np.isinf(self.settings.rationality):
            return 0.5 * (1 + difference.sign())
        return (self.settings.rationality * difference).sigmoid()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Refuses a file for a task with goals of another size; files hold no task."""
        if self.latent_size != self.task.goal_size:
            raise LearnerError(
                f"an oracle for goals of {self.latent_size} numbers, "
                f"the task {self.task.name} has {self.task.goal_size}"
            )
