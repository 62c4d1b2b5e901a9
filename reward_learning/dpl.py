"""Distributional preference learning: a reward with a spread, where people disagree without saying why.

Siththaranjan et al., ICLR 2024, arXiv 2312.08358. Two forms of the distribution of an observation's utility: a Gaussian
(`dpl-meanvar`) and K atoms on [0, 1] (`dpl-categorical`). Neither knows users, so the latent has size 0.

The paper compares single outcomes. For segments of T steps we add what the paper leaves open: the utility of a segment
is the sum of its steps' utilities, taken as independent. Means and variances then add, and categorical distributions
are convolved. With T = 1 both are the paper's own formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.network_learner import LearnerSettings, NetworkLearner
from pluralbench.reward_learning.networks import LearnerError
from pluralbench.reward_learning.preference_losses import (
    bradley_terry_nll,
    masked_mean,
    preference_accuracy,
    probability_nll,
)
from pluralbench.reward_learning.reward_model import Posterior
from pluralbench.reward_learning.training import Batch, Metrics, Prediction, Progress, train

PAPER_SLOPE = math.sqrt(2 * math.pi)
LINKS = ("logistic", "probit")
MIN_STD = 1e-2
"""Added to sigma. The means are free in scale, so it costs nothing; without it sigma shrinks to where z overflows."""


def mean_variance_score(mean_first: Tensor, var_first: Tensor, mean_second: Tensor, var_second: Tensor) -> Tensor:
    """Standardised difference of two Gaussian utilities, (mu_1 - mu_2) / sqrt(sigma_1^2 + sigma_2^2)."""
    return (mean_first - mean_second) * (var_first + var_second).rsqrt()


def mean_variance_probability(mean_first: Tensor, var_first: Tensor, mean_second: Tensor, var_second: Tensor) -> Tensor:
    """Probability that the first of two independent Gaussian utilities is the larger: Phi of the score, exactly."""
    return torch.special.ndtr(mean_variance_score(mean_first, var_first, mean_second, var_second))


def mean_variance_logits(mean_first: Tensor, var_first: Tensor, mean_second: Tensor, var_second: Tensor) -> Tensor:
    """Logit of the same probability as the paper trains it: sqrt(2 pi) times the score.

    sigmoid(sqrt(2 pi) x) is steeper than Phi(x): they differ by up to 0.095 (at x = 0.71). A model trained with it
    reports a sigma about 1.5 times the one that Phi gives; r^2 and quantiles inherit this.
    """
    return PAPER_SLOPE * mean_variance_score(mean_first, var_first, mean_second, var_second)


def sum_distribution(probabilities: Tensor) -> Tensor:
    """Distribution of the sum of T independent categorical utilities.

    Args:
        probabilities: (..., T, A), each row the probabilities of A equally spaced atoms.

    Returns:
        (..., T (A - 1) + 1), the convolution of the T rows; the row itself where T = 1.
    """
    num_steps, num_atoms = probabilities.shape[-2:]
    if num_steps == 1:
        return probabilities.squeeze(-2)
    size = num_steps * (num_atoms - 1) + 1
    spectrum = torch.fft.rfft(probabilities, n=size).prod(-2)
    summed = torch.fft.irfft(spectrum, n=size).clamp_min(0.0)
    return summed / summed.sum(-1, keepdim=True)


def categorical_probability(first: Tensor, second: Tensor) -> Tensor:
    """Probability that the first of two independent categorical utilities is the larger, ties counted half.

    sum_ij p_1(i) p_2(j) (1[i > j] + 1/2 1[i = j]), for (..., A) and (..., A) over the same atoms.
    """
    below = second.cumsum(-1) - 0.5 * second
    return (first * below).sum(-1)


def categorical_moments(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of (..., A) probabilities over A atoms spread evenly on [0, 1]; each (...)."""
    atoms = torch.linspace(0.0, 1.0, probabilities.shape[-1], device=probabilities.device)
    mean = probabilities @ atoms
    return mean, (probabilities * (atoms - mean[..., None]).square()).sum(-1)


def categorical_quantile(probabilities: Tensor, level: float) -> Tensor:
    """Quantile of (..., A) probabilities, each atom's mass spread evenly over its A-th part of [0, 1].

    So the distribution function is a line from bin edge to bin edge, and the quantile is where it meets `level`.
    """
    num_atoms = probabilities.shape[-1]
    cdf = probabilities.cumsum(-1)
    index = (cdf < level).sum(-1, keepdim=True).clamp_max(num_atoms - 1)
    mass = probabilities.gather(-1, index)
    missing = level - (cdf.gather(-1, index) - mass)
    return ((index + (missing / mass.clamp_min(1e-12)).clamp(0.0, 1.0)) / num_atoms).squeeze(-1)


def hidden_context_r2(mean: Tensor, var: Tensor) -> Tensor:
    """Share of the utility's variance that the observation explains, Var(mean) / (Var(mean) + E[var]).

    Low values reveal that people answer by something the observation does not show.

    Args:
        mean: (N,) expected utility of each observation.
        var: (N,) variance of each observation's utility.
    """
    explained = mean.var(correction=0)
    return explained / (explained + var.mean())


def batch_entropy(probabilities: Tensor) -> Tensor:
    """Entropy of the average of (N, A) distributions; the categorical loss rewards it, so that no atom dies."""
    average = probabilities.mean(0)
    return -torch.xlogy(average, average).sum()


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


@dataclass(frozen=True)
class MeanVarianceSettings(DPLSettings):
    """Settings of `dpl-meanvar`.

    Attributes:
        link: `logistic`, the paper's sigmoid(sqrt(2 pi) z), or `probit`, the exact Phi(z).
        variance_penalty: weight of the mean of sigma_1^2 + sigma_2^2 in the loss.
    """

    link: str = "logistic"
    variance_penalty: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.link not in LINKS:
            raise LearnerError(f"unknown link {self.link!r} (known: {', '.join(LINKS)})")


@dataclass(frozen=True)
class CategoricalSettings(DPLSettings):
    """Settings of `dpl-categorical`.

    Attributes:
        num_atoms: atoms on [0, 1].
        entropy_weight: weight of the entropy of the batch's average distribution, which the loss rewards.
    """

    num_atoms: int = 10
    entropy_weight: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_atoms < 2:
            raise LearnerError(f"num_atoms must be at least 2, is {self.num_atoms}")


class _DistributionalLearner(NetworkLearner):
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
        """Nothing about anybody: mean and log_var are (U, 0)."""
        nothing = torch.zeros(context.num_users, 0, device=self.device)
        return Posterior(nothing, nothing.clone())

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Expected reward (...) of observations (..., S), or its quantile at `risk_quantile`.

        Latents (..., 0) only lend their leading shape.
        """
        outputs = self.network(self.check_observations(observations))
        level = self.settings.risk_quantile
        rewards = self.quantile(outputs, level) if level else self.moments(outputs)[0]
        return rewards.expand(torch.broadcast_shapes(rewards.shape, latents.shape[:-1]))

    @torch.no_grad()
    def distribution(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), of the utility of observations (..., S)."""
        return self.moments(self.network(self.check_observations(observations)))

    def hidden_context(self, observations: Tensor) -> float:
        """r^2 over observations (N, S): the share of the utility's variance that they explain."""
        return hidden_context_r2(*self.distribution(observations)).item()

    def answer_probability(self, segments: Tensor, latents: Tensor) -> Tensor:
        """Probability (U, K) that the first of two segments (U, K, 2, T, S) is preferred, whoever is asked."""
        return self.probability(self.network(self.check_observations(segments)))

    def preference_outputs(self, observations: Tensor, latents: Tensor) -> Tensor:
        """Distribution (..., P) of the utility of observations (..., S), for `preference_probability`.

        The scaling `spo` averages that probability, which is what people prefer: `risk_quantile` has no say in it.
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


class DPLMeanVariance(_DistributionalLearner):
    """Gaussian utilities: the network gives (mean, o) and sigma = softplus(o), kept above `MIN_STD`."""

    name: ClassVar[str] = "dpl-meanvar"
    settings_type: ClassVar[type[LearnerSettings]] = MeanVarianceSettings
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


class DPLCategorical(_DistributionalLearner):
    """Categorical utilities: the network gives the logits of the atoms."""

    name: ClassVar[str] = "dpl-categorical"
    settings_type: ClassVar[type[LearnerSettings]] = CategoricalSettings
    settings: CategoricalSettings

    def build(self) -> nn.Module:
        """A reward network with an output for each atom."""
        return self.reward_network(num_outputs=self.settings.num_atoms, output_scale=self.settings.output_scale)

    def atom_probabilities(self, observations: Tensor) -> Tensor:
        """Distribution (..., A) of the utility of observations (..., S) over the atoms linspace(0, 1, A)."""
        return F.softmax(self.network(self.check_observations(observations)), dim=-1)

    def moments(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (...), from logits (..., A)."""
        return categorical_moments(F.softmax(outputs, dim=-1))

    def quantile(self, outputs: Tensor, level: float) -> Tensor:
        """Where the interpolated distribution function meets `level`."""
        return categorical_quantile(F.softmax(outputs, dim=-1), level)

    def probability(self, outputs: Tensor) -> Tensor:
        """Exact for the sums of independent steps."""
        first, second = sum_distribution(F.softmax(outputs, dim=-1)).unbind(-2)
        return categorical_probability(first, second)

    def distribution_parameters(self, outputs: Tensor) -> Tensor:
        """Probabilities of the atoms, (..., A)."""
        return F.softmax(outputs, dim=-1)

    def preference_probability(self, first: Tensor, second: Tensor) -> Tensor:
        """Probability (...) that the first is preferred, from two `preference_outputs` (..., A) that broadcast."""
        return categorical_probability(first, second)

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """-log P(preferred segment) less the weighted entropy of the batch's average distribution."""
        outputs = self.network(batch.segments)  # (U, K, 2, T, A)
        probability = self.probability(outputs)
        loss = masked_mean(probability_nll(probability, batch.labels), batch.mask)
        entropy = batch_entropy(F.softmax(outputs[batch.mask], dim=-1).flatten(0, -2))
        accuracy = preference_accuracy(probability.detach(), batch.labels, batch.mask)
        metrics = {"nll": loss.detach(), "entropy": entropy.detach(), "accuracy": accuracy}
        return loss - self.settings.entropy_weight * entropy, metrics
