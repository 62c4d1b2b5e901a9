"""Bradley-Terry-Luce: one reward for all users, the baseline that averages their differences away.

Where users disagree, its fit aggregates them by Borda count (Siththaranjan et al., ICLR 2024).
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from pluralbench.reward_learning.network_learner import NetworkLearner
from pluralbench.reward_learning.networks import RewardNetwork
from pluralbench.reward_learning.reward_model import broadcast_over_latents


class BTL(NetworkLearner):
    """p(A preferred to B) = sigmoid(r(A) - r(B)) with r summed over the steps of a segment; no users, Z = 0."""

    name: ClassVar[str] = "btl"

    def build(self) -> RewardNetwork:
        """r(s)."""
        return self.reward_network()

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """r(s), (...), of observations (..., S); latents (..., 0) only lend their leading shape."""
        return broadcast_over_latents(self.network(self.check_observations(observations)).squeeze(-1), latents)
