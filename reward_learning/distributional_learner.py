"""Distributional preference learning: a reward with a spread, where users disagree without saying why.

Siththaranjan et al., ICLR 2024, arXiv 2312.08358. Two forms of the distribution of an observation's utility: a Gaussian
(`dpl-meanvar`) and K atoms on [0, 1] (`dpl-categorical`). Neither knows users, so the latent has size 0.

The paper compares single outcomes. For segments of T steps we add what the paper leaves open: the utility of a segment
is the sum of its steps' utilities, taken as independent. Means and variances then add, and categorical distributions
are convolved. With T = 1 both are the paper's own formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluralbench.ranges import LARGEST, WIDEST_LAYER, check_number, check_whole
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.network_learner import LearnerSettings, NetworkLearner
from pluralbench.reward_learning.preference_losses import (
    answer_logits,
    bradley_terry_nll,
    log_with_mistakes,
    masked_mean,
    preference_accuracy,
    probability_nll,
    with_mistakes,
)
from pluralbench.reward_learning.reward_model import broadcast_over_latents
from pluralbench.reward_learning.training import Batch, Metrics
from pluralbench.reward_learning.utility_distributions import (
    PAPER_SLOPE,
    batch_entropy,
    categorical_moments,
    categorical_probability,
    categorical_quantile,
    hidden_context_r2,
    mean_variance_logits,
    mean_variance_probability,
    mean_variance_score,
    sum_distribution,
)

MIN_STD = 1e-2
"""Added to sigma. The means are free in scale, so it costs nothing; without it sigma shrinks to where z overflows."""


@dataclass(frozen=True)
class DPLSettings(LearnerSettings):
    """Settings of both forms."""

    risk_quantile: float = 0.0
    """Level in (0, 1) of the quantile that `reward` returns, 0.01 for the paper's risk-averse reward; 0 returns the
    expected reward."""
    output_scale: float = 0.01
    """The last layer starts this much smaller, which the paper found to steady the training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(LearnerError, self, 0, LARGEST, "output_scale", above=True)
        check_number(LearnerError, self, 0, 1, "risk_quantile")
        if self.risk_quantile == 1:
            raise LearnerError(
                f"risk_quantile must lie in (0, 1), or be 0 for the expected reward; is {self.risk_quantile}"
            )


class DistributionalLearner(NetworkLearner):
    """What both forms share: everything but the distribution and the loss.

    The network's last axis holds O outputs, from which the P parameters of a distribution come; users and comparisons
    are axes before it.
    """

    settings: DPLSettings

    def distribution_parameters(self, outputs: Tensor) -> Tensor:
        """Parameters (..., P) of one step's utility, from outputs (..., O)."""
        raise NotImplementedError

    def segment_parameters(self, outputs: Tensor) -> Tensor:
        """Parameters (..., P) of a segment's utility, from outputs (..., T, O)."""
        raise NotImplementedError

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), of one step's utility, from outputs (..., O)."""
        raise NotImplementedError

    def quantile(self, outputs: Tensor, level: float) -> Tensor:
        """Quantile (...) of one step's utility, from outputs (..., O)."""
        raise NotImplementedError

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

    def probability(self, outputs: Tensor) -> Tensor:
        """Probability (...) that the first segment is preferred, from outputs (..., 2, T, O)."""
        return self.preference_probability(*self.segment_parameters(outputs).unbind(-2))

    def answer_probability(self, segments: Tensor, latents: Tensor) -> Tensor:
        """Probability (U, K) that the first of two segments (U, K, 2, T, S) is named, whoever is asked."""
        preferred = self.probability(self.network(self.check_observations(segments)))
        probability = with_mistakes(preferred, self.settings.mistake_rate)
        return broadcast_over_latents(probability, latents[:, None])

    def preference_outputs(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Distribution (..., P) of the utility of observations (..., S), for `preference_probability`.

        The scaling `spo` averages that probability, which is what users prefer: `risk_quantile` does not enter it.
        """
        parameters = self.distribution_parameters(self.network(self.check_observations(observations)))
        return broadcast_over_latents(parameters, latents[..., None, :])

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Chances of all answers, as trained."""
        return with_mistakes(self.probability(self.network(batch.segments)), self.settings.mistake_rate), batch.mask


@dataclass(frozen=True)
class MeanVarianceSettings(DPLSettings):
    """Settings of `dpl-meanvar`."""

    link: Literal["logistic", "probit"] = "logistic"
    """`logistic`, the paper's sigmoid(sqrt(2 pi) z), or `probit`, the exact Phi(z)."""
    variance_penalty: float = 0.0
    """Weight of the mean of sigma_1^2 + sigma_2^2 in the loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(LearnerError, self, 0, LARGEST, "variance_penalty")


class DPLMeanVariance(DistributionalLearner):
    """Gaussian utilities, P = (mean, variance): the network gives (mean, o); sigma = softplus(o), above `MIN_STD`."""

    name: ClassVar[str] = "dpl-meanvar"
    settings_type: ClassVar[type] = MeanVarianceSettings
    settings: MeanVarianceSettings

    def build(self) -> nn.Module:
        """A reward network with two outputs."""
        return self.reward_network(num_outputs=2, output_scale=self.settings.output_scale)

    def distribution_parameters(self, outputs: Tensor) -> Tensor:
        """Mean and variance, (..., 2)."""
        return torch.stack(self.moments(outputs), dim=-1)

    def segment_parameters(self, outputs: Tensor) -> Tensor:
        """Mean and variance, (..., 2), of the sum of independent steps."""
        return torch.stack([part.sum(-1) for part in self.moments(outputs)], dim=-1)

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), from outputs (..., 2)."""
        mean, raw_std = outputs.unbind(-1)
        return mean, (F.softplus(raw_std) + MIN_STD).square()

    def quantile(self, outputs: Tensor, level: float) -> Tensor:
        """Mu + Phi^-1(level) sigma."""
        mean, var = self.moments(outputs)
        return mean + torch.special.ndtri(torch.tensor(level, device=mean.device)) * var.sqrt()

    def preference_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Through the setting's link, from means and variances (..., 2) that broadcast."""
        moments = (*first.unbind(-1), *second.unbind(-1))
        if self.settings.link == "probit":
            return mean_variance_probability(*moments)
        return mean_variance_logits(*moments).sigmoid()

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """softplus(-sqrt(2 pi) z) for the preferred segment, or -log Phi(z); and the penalty on the variance."""
        parameters = self.segment_parameters(self.network(batch.segments))  # (U, K, 2, 2)
        (mean_first, mean_second), (var_first, var_second) = (part.unbind(-1) for part in parameters.unbind(-1))
        score = mean_variance_score(mean_first, var_first, mean_second, var_second)
        if self.settings.link == "probit":
            preferred = torch.special.log_ndtr(score), torch.special.log_ndtr(-score)
            won, lost = log_with_mistakes(*preferred, self.settings.mistake_rate)
            nll = -(batch.labels * won + (1 - batch.labels) * lost)
        else:
            nll = bradley_terry_nll(answer_logits(PAPER_SLOPE * score, self.settings.mistake_rate), batch.labels)
        loss = masked_mean(nll, batch.mask)
        variance = masked_mean(var_first + var_second, batch.mask)
        accuracy = preference_accuracy(torch.special.ndtr(score.detach()), batch.labels, batch.mask)
        metrics = {"nll": loss.detach(), "variance": variance.detach(), "accuracy": accuracy}
        return loss + self.settings.variance_penalty * variance, metrics


@dataclass(frozen=True)
class CategoricalSettings(DPLSettings):
    """Settings of `dpl-categorical`."""

    num_atoms: int = 10
    """Atoms on [0, 1]."""
    entropy_weight: float = 0.1
    """Weight of the entropy of the batch's average distribution, which the loss rewards."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(LearnerError, self, 2, WIDEST_LAYER, "num_atoms")
        check_number(LearnerError, self, 0, LARGEST, "entropy_weight")


class DPLCategorical(DistributionalLearner):
    """Categorical utilities, P the atoms' probabilities: the network gives their logits."""

    name: ClassVar[str] = "dpl-categorical"
    settings_type: ClassVar[type] = CategoricalSettings
    settings: CategoricalSettings

    def build(self) -> nn.Module:
        """A reward network with an output for each atom."""
        return self.reward_network(num_outputs=self.settings.num_atoms, output_scale=self.settings.output_scale)

    def atom_probabilities(self, observations: Tensor) -> Tensor:
        """Distribution (..., A) of the utility of observations (..., S) over the atoms linspace(0, 1, A)."""
        return F.softmax(self.network(self.check_observations(observations)), dim=-1)

    def distribution_parameters(self, outputs: Tensor) -> Tensor:
        """Probabilities of the atoms, (..., A)."""
        return F.softmax(outputs, dim=-1)

    def segment_parameters(self, outputs: Tensor) -> Tensor:
        """Exact for the sum of independent steps."""
        return sum_distribution(F.softmax(outputs, dim=-1))

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), from logits (..., A)."""
        return categorical_moments(F.softmax(outputs, dim=-1))

    def quantile(self, outputs: Tensor, level: float) -> Tensor:
        """Where the interpolated distribution function meets `level`."""
        return categorical_quantile(F.softmax(outputs, dim=-1), level)

    def preference_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Probability (...) that the first is preferred, from two `preference_outputs` (..., A) that broadcast."""
        return categorical_probability(first, second)

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """-log P(preferred segment) less the weighted entropy of the batch's average distribution."""
        outputs = self.network(batch.segments)  # (U, K, 2, T, A)
        probability = self.probability(outputs)
        answered = with_mistakes(probability, self.settings.mistake_rate)
        loss = masked_mean(probability_nll(answered, batch.labels), batch.mask)
        entropy = batch_entropy(F.softmax(outputs[batch.mask], dim=-1).flatten(0, -2))
        accuracy = preference_accuracy(probability.detach(), batch.labels, batch.mask)
        metrics = {"nll": loss.detach(), "entropy": entropy.detach(), "accuracy": accuracy}
        return loss - self.settings.entropy_weight * entropy, metrics
