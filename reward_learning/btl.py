"""Bradley-Terry-Luce: one reward for all users, the baseline that averages their differences away.

Where users disagree, its fit aggregates them by Borda count (Siththaranjan et al., ICLR 2024).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.reward_learning.network_learner import NetworkLearner
from pluralbench.reward_learning.networks import RewardNetwork
from pluralbench.reward_learning.preference_losses import bradley_terry_loss, preference_logits, segment_returns
from pluralbench.reward_learning.reward_model import Posterior, broadcast_over_latents
from pluralbench.reward_learning.training import Batch, Metrics, Prediction, train


class BTL(NetworkLearner):
    """p(A preferred to B) = sigmoid(r(A) - r(B)) with r summed over the steps of a segment; no users, Z = 0."""

    name: ClassVar[str] = "btl"

    def build(self) -> RewardNetwork:
        """r(s)."""
        return self.reward_network()

    def fit(
        self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None
    ) -> list[dict[str, float]]:
        """Learns one reward from all users' answers alike."""
        network = self.start(preferences, seed)
        return train(network, preferences, self._loss, self._predict, self.settings, seed, self.device, progress)

    def infer(self, context: PreferenceDataset) -> Posterior:
        """The empty posterior (U, 0): nothing is learned about a user."""
        return Posterior.empty(context.num_users, self.device)

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """r(s), (...), of observations (..., S); latents (..., 0) only lend their leading shape."""
        return broadcast_over_latents(self.network(self.check_observations(observations)).squeeze(-1), latents)

    def _logits(self, batch: Batch) -> Tensor:
        return preference_logits(segment_returns(self.network(batch.segments).squeeze(-1)))

    def _loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        return bradley_terry_loss(self._logits(batch), batch.labels, batch.mask)

    def _predict(self, batch: Batch) -> Prediction:
        return Prediction(self._logits(batch).sigmoid(), batch.mask)
