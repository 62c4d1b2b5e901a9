"""Distributional preference learning: a reward with a spread, where users disagree without saying why.

Siththaranjan et al., ICLR 2024, arXiv 2312.08358. Two forms of the distribution of an observation's utility: a Gaussian
(`dpl-meanvar`) and K atoms on [0, 1] (`dpl-categorical`). Neither knows users, so the latent has size 0.

The paper compares single outcomes. For segments of T steps we add what the paper leaves open: the utility of a segment
is the sum of its steps' utilities, taken as independent. Means and variances then add, and categorical distributions
are convolved. With T = 1 both are the paper's own formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.network_learner import LearnerSettings, NetworkLearner
from pluralbench.reward_learning.reward_model import Posterior, broadcast_over_latents
from pluralbench.reward_learning.training import Batch, Metrics, Prediction, train
from pluralbench.reward_learning.utility_distributions import hidden_context_r2


@dataclass(frozen=True)
class DPLSettings(LearnerSettings):
    """Settings of both forms.

    Attributes:
        risk_quantile: level in (0, 1) of the quantile that `reward` returns, 0.01 for the paper's risk-averse reward;
            0 returns the expected reward.
        output_scale: the last layer starts this much smaller, which the paper found to steady the training.
    """

    risk_quantile: float = 0.0
    output_scale: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.risk_quantile < 1:
            raise LearnerError(
                f"risk_quantile must lie in (0, 1), or be 0 for the expected reward; is {self.risk_quantile}"
            )


class DistributionalLearner(NetworkLearner):
    """What both forms share: everything but the distribution.

    The network's last axis holds the parameters of the distribution; users and comparisons are axes before it.
    """

    settings: DPLSettings

    def fit(
        self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None
    ) -> list[dict[str, float]]:
        """Learns from all answers alike; returns one row of metrics per validation."""
        network = self.start(preferences, seed)
        return train(network, preferences, self.loss, self._predict, self.settings, seed, self.device, progress)

    def infer(self, context: PreferenceDataset) -> Posterior:
        """The empty posterior (U, 0): nothing is learned about a user."""
        return Posterior.empty(context.num_users, self.device)

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Expected reward (...) of observations (..., S), or its quantile at `risk_quantile`.

        Latents (..., 0) only lend their leading shape.
        """
        outputs = self.network(self.check_observations(observations))
        level = self.settings.risk_quantile
        return broadcast_over_latents(self.quantile(outputs, level) if level else self.moments(outputs)[0], latents)

    @torch.no_grad()
    def distribution(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), of the utility of observations (..., S)."""
        return self.moments(self.network(self.check_observations(observations)))

    def hidden_context(self, observations: Tensor) -> float:
        """r^2 over observations (N, S): the share of the utility's variance that they explain."""
        return hidden_context_r2(*self.distribution(observations)).item()

    def answer_probability(self, segments: Tensor, latents: Tensor) -> Tensor:
        """Probability (U, K) that the first of two segments (U, K, 2, T, S) is preferred, whoever is asked."""
        probability = self.probability(self.network(self.check_observations(segments)))
        return broadcast_over_latents(probability, latents[:, None])

    def preference_outputs(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Distribution (..., P) of the utility of observations (..., S), for `preference_probability`.

        The scaling `spo` averages that probability, which is what users prefer: `risk_quantile` does not enter it.
        """
        outputs = self.distribution_parameters(self.network(self.check_observations(observations)))
        return outputs.expand(*torch.broadcast_shapes(outputs.shape[:-1], latents.shape[:-1]), -1)

    def distribution_parameters(self, outputs: Tensor) -> Tensor:
        """What the probability is computed from, (..., P), from outputs (..., O)."""
        raise NotImplementedError

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """Loss on a batch of users, with its metrics."""
        raise NotImplementedError

    def probability(self, outputs: Tensor) -> Tensor:
        """Probability (...) that the first segment is preferred, from outputs (..., 2, T, O)."""
        raise NotImplementedError

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), of one step's utility, from outputs (..., O)."""
        raise NotImplementedError

    def quantile(self, outputs: Tensor, level: float) -> Tensor:
        """Quantile (...) of one step's utility, from outputs (..., O)."""
        raise NotImplementedError

    def _predict(self, batch: Batch) -> Prediction:
        return Prediction(self.probability(self.network(batch.segments)), batch.mask)
