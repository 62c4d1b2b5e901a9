"""No reward at all, for the policies that ask nobody: the data's own, its clone, and the tour of everybody's goals."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.reward_learning.reward_model import History, Posterior, RewardModel, broadcast_over_latents


class NoReward(RewardModel):
    """Reads no answers; the reward is 0 everywhere and for everybody."""

    name: ClassVar[str] = "no-reward"
    asks_nobody: ClassVar[bool] = True

    def fit(self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None) -> History:
        """Learns nothing."""
        return []

    def infer(self, context: PreferenceDataset) -> Posterior:
        """No latents, (U, 0)."""
        return Posterior.exactly(torch.zeros(context.num_users, 0, device=self.device))

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Zeros (...) for observations (..., S)."""
        return broadcast_over_latents(torch.zeros(observations.shape[:-1], device=observations.device), latents)
