"""`dpl-meanvar`: distributional preference learning with a Gaussian utility for each observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluralbench.reward_learning.distributional_learner import DistributionalLearner, DPLSettings
from pluralbench.reward_learning.preference_losses import bradley_terry_nll, masked_mean, preference_accuracy
from pluralbench.reward_learning.training import Batch, Metrics
from pluralbench.reward_learning.utility_distributions import (
    PAPER_SLOPE,
    mean_variance_logits,
    mean_variance_probability,
    mean_variance_score,
)

MIN_STD = 1e-2
"""Added to sigma. The means are free in scale, so it costs nothing; without it sigma shrinks to where z overflows."""


@dataclass(frozen=True)
class MeanVarianceSettings(DPLSettings):
    """Settings of `dpl-meanvar`.

    Attributes:
        link: `logistic`, the paper's sigmoid(sqrt(2 pi) z), or `probit`, the exact Phi(z).
        variance_penalty: weight of the mean of sigma_1^2 + sigma_2^2 in the loss.
    """

    link: Literal["logistic", "probit"] = "logistic"
    variance_penalty: float = 0.0


class DPLMeanVariance(DistributionalLearner):
    """Gaussian utilities: the network gives (mean, o) and sigma = softplus(o), kept above `MIN_STD`."""

    name: ClassVar[str] = "dpl-meanvar"
    settings_type: ClassVar[type] = MeanVarianceSettings
    settings: MeanVarianceSettings

    def build(self) -> nn.Module:
        """A reward network with two outputs."""
        return self.reward_network(num_outputs=2, output_scale=self.settings.output_scale)

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), from outputs (..., 2)."""
        mean, raw_std = outputs.unbind(-1)
        return mean, (F.softplus(raw_std) + MIN_STD).square()

    def quantile(self, outputs: Tensor, level: float) -> Tensor:
        """Mu + Phi^-1(level) sigma."""
        mean, var = self.moments(outputs)
        return mean + torch.special.ndtri(torch.tensor(level, device=mean.device)) * var.sqrt()

    def probability(self, outputs: Tensor) -> Tensor:
        """As trained: through the setting's link."""
        return self._linked(*self._segment_moments(outputs))

    def distribution_parameters(self, outputs: Tensor) -> Tensor:
        """Mean and variance, (..., 2)."""
        return torch.stack(self.moments(outputs), dim=-1)

    def preference_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Probability (...) that the first is preferred, from two `preference_outputs` (..., 2) that broadcast."""
        return self._linked(*first.unbind(-1), *second.unbind(-1))

    def _linked(self, mean_first: Tensor, var_first: Tensor, mean_second: Tensor, var_second: Tensor) -> Tensor:
        if self.settings.link == "probit":
            return mean_variance_probability(mean_first, var_first, mean_second, var_second)
        return mean_variance_logits(mean_first, var_first, mean_second, var_second).sigmoid()

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """softplus(-sqrt(2 pi) z) for the preferred segment, or -log Phi(z); and the penalty on the variance."""
        mean_first, var_first, mean_second, var_second = self._segment_moments(self.network(batch.segments))
        score = mean_variance_score(mean_first, var_first, mean_second, var_second)
        if self.settings.link == "probit":
            won, lost = torch.special.log_ndtr(score), torch.special.log_ndtr(-score)
            nll = -(batch.labels * won + (1 - batch.labels) * lost)
        else:
            nll = bradley_terry_nll(PAPER_SLOPE * score, batch.labels)
        loss = masked_mean(nll, batch.mask)
        variance = masked_mean(var_first + var_second, batch.mask)
        accuracy = preference_accuracy(torch.special.ndtr(score.detach()), batch.labels, batch.mask)
        metrics = {"nll": loss.detach(), "variance": variance.detach(), "accuracy": accuracy}
        return loss + self.settings.variance_penalty * variance, metrics

    def _segment_moments(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, var = self.moments(outputs)  # (..., 2, T)
        mean, var = mean.sum(-1), var.sum(-1)
        return mean[..., 0], var[..., 0], mean[..., 1], var[..., 1]
