"""LoRe: every user's reward is a blend of a few shared ones, and a new user fits only the blend (arXiv 2504.14439).

r_u(s) = sum_b softmax(w_u)_b r_b(s), with r_b(s) = <V_b, phi(s)> the outputs of one network: a matrix of rewards, users
by observations, whose rank is at most the number B of bases. What differs from the source, and why:

- The weights of a train user are not parameters of their own. Whenever a batch is drawn they are fitted to a random
  number of the user's answers, just as a new user's will be, and the gradient step moves the bases, the weights held
  fixed, towards the user's other answers. Fitting both to the same few answers explains noise: in one dimension the
  likelihood of unseen answers was then worse than chance.
- A Gaussian prior around the population's mean weights makes the fit defined for any number of answers, none included.
  Its curvature with that of the answers gives variances (Laplace), which the source does not have. They say how sure
  each weight is, but not how the weights go together: policies learn from the fitted weights themselves.

The latent is w itself, and Z = B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.ranges import LARGEST, MOST, WIDEST_LAYER, check_number, check_whole
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.network_learner import LearnerSettings, NetworkLearner
from pluralbench.reward_learning.networks import RewardNetwork
from pluralbench.reward_learning.preference_losses import answer_logits, bradley_terry_loss, user_nll, with_mistakes
from pluralbench.reward_learning.reward_model import Posterior
from pluralbench.reward_learning.training import Batch, Metrics, context_and_targets, random_context

MEAN_RATE = 0.05
"""Share by which the population's mean weights follow each batch's."""

STEP_SIZES = (1.0, 0.5, 0.25, 0.1, 0.02, 0.0)
"""Tried by the line search of `fit_weights`; the last one stays where it is."""


def blend(basis_rewards: Tensor, weights: Tensor) -> Tensor:
    """sum_b softmax(w)_b r_b: rewards (...) from basis rewards (..., B) and weights (..., B)."""
    return (basis_rewards * F.softmax(weights, dim=-1)).sum(-1)


class Evidence(NamedTuple):
    """What users' weights are fitted to."""

    differences: Tensor
    """(U, K, B), basis return of the first segment minus that of the second."""
    labels: Tensor
    """(U, K)."""
    mask: Tensor
    """(U, K) bool."""
    prior_mean: Tensor
    """(B,), the answer where there are no answers."""
    prior_std: float
    """Of each weight."""
    mistake_rate: float = 0.0
    """Share of the answers that are flipped."""


def log_posterior(weights: Tensor, evidence: Evidence) -> Tensor:
    """Log-posterior (U,) of users' weights (U, B), up to a constant: their answers and a Gaussian prior."""
    differences, labels, mask, prior_mean, prior_std, mistake_rate = evidence
    logits = (differences @ F.softmax(weights, dim=-1)[..., None]).squeeze(-1)
    penalty = 0.5 * ((weights - prior_mean) / prior_std).square().sum(-1)
    return -user_nll(answer_logits(logits, mistake_rate), labels, mask) - penalty


@torch.no_grad()
def fit_weights(evidence: Evidence, num_steps: int = 15) -> tuple[Tensor, Tensor]:
    """Each user's most probable blending weights, by Gauss-Newton steps from the prior mean, with a line search.

    Args:
        evidence: of U users.
        num_steps: Gauss-Newton steps.

    Returns:
        The weights (U, B) and the variances (U, B) of their Laplace approximation; with no answers these are the
        prior's own. The result does not depend on the order of the answers, and skipped ones change nothing.
    """
    differences = torch.where(evidence.mask[..., None], evidence.differences, 0.0)
    evidence = evidence._replace(differences=differences)
    weights = evidence.prior_mean.expand(len(differences), -1)
    users = torch.arange(len(differences), device=differences.device)
    for _ in range(num_steps):
        gradient, precision = _curvature(weights, evidence)
        step = torch.linalg.solve(precision, gradient)
        tries = torch.stack([weights + size * step for size in STEP_SIZES])  # (tries, U, B)
        scores = torch.stack([log_posterior(trial, evidence) for trial in tries])
        weights = tries[scores.argmax(0), users]
    _, precision = _curvature(weights, evidence)
    return weights, torch.linalg.inv(precision).diagonal(dim1=-2, dim2=-1)


def _curvature(weights: Tensor, evidence: Evidence) -> tuple[Tensor, Tensor]:
    """Gradient (U, B) and Gauss-Newton curvature (U, B, B) of the log-posterior; the latter is positive definite."""
    differences, labels, mask, prior_mean, prior_std, mistake_rate = evidence
    shares = F.softmax(weights, dim=-1)
    logits = (differences @ shares[..., None]).squeeze(-1)
    slopes = shares[:, None] * (differences - logits[..., None])  # (U, K, B), d logit / d weights
    chances = logits.sigmoid()
    if mistake_rate > 0:
        meant, chances = chances, with_mistakes(chances, mistake_rate)
        # d logit of the answer / d logit of what is meant
        spread = (chances * (1 - chances)).clamp(min=torch.finfo(chances.dtype).tiny)  # 0 where both round to 0 or 1
        gain = (1 - 2 * mistake_rate) * meant * (1 - meant) / spread
        slopes = slopes * gain[..., None]
    residual = torch.where(mask, labels - chances, 0.0)
    gradient = (slopes * residual[..., None]).sum(1) - (weights - prior_mean) / prior_std**2
    information = torch.where(mask, chances * (1 - chances), 0.0)
    precision = (slopes * information[..., None]).transpose(1, 2) @ slopes
    identity = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    return gradient, precision + identity / prior_std**2


@dataclass(frozen=True)
class LoReSettings(LearnerSettings):
    """Settings of `lore`."""

    num_bases: int = 8
    """B, the number of shared rewards."""
    prior_std: float = 3.0
    """Of each weight around the population's mean; large values let a user be one basis alone."""
    num_steps: int = 10
    """Gauss-Newton steps that fit a user's weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(LearnerError, self, 1, WIDEST_LAYER, "num_bases")
        check_whole(LearnerError, self, 1, MOST, "num_steps")
        check_number(LearnerError, self, 0, LARGEST, "prior_std", above=True)


class LoReNetwork(nn.Module):
    """Basis rewards, a network with B outputs, and the population's mean weights."""

    population_mean: Tensor

    def __init__(self, bases: RewardNetwork, num_bases: int) -> None:
        super().__init__()
        self.bases = bases
        self.register_buffer("population_mean", torch.zeros(num_bases))

    def differences(self, batch: Batch) -> Tensor:
        """Basis returns (U, K, B) of the first segments minus those of the second."""
        first, second = self.bases(batch.segments).sum(-2).unbind(2)
        return first - second


class LoRe(NetworkLearner):
    """Low-rank personal rewards; new users fit their blending weights by Gauss-Newton steps, the bases stay."""

    name: ClassVar[str] = "lore"
    settings_type: ClassVar[type] = LoReSettings
    has_prior: ClassVar[bool] = True
    settings: LoReSettings

    def build(self) -> LoReNetwork:
        """The untrained network."""
        self.latent_size = self.settings.num_bases
        return LoReNetwork(self.reward_network(num_outputs=self.latent_size), self.latent_size)

    def encode(self, batch: Batch) -> Posterior:
        """Each user's weights and their Laplace variances; the prior where there are no answers."""
        weights, variance = self._weights(self.network.differences(batch), batch.labels, batch.mask)
        return Posterior(weights, variance.log())

    def posterior_for_policy(self, context: PreferenceDataset, generator: torch.Generator) -> Posterior:
        """The fitted weights (U, B) themselves, as in the source."""
        return Posterior.exactly(self.infer(context).mean)

    def prior(self, num_users: int) -> Posterior:
        """The prior over weights, once for each of `num_users` users about whom nothing is known."""
        mean = self.network.population_mean.expand(num_users, -1)
        return Posterior(mean, torch.full_like(mean, self.settings.prior_std).square().log())

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """The blend (...) of observations (..., S) for weights (..., B), leading axes broadcast."""
        return blend(self.network.bases(self.check_observations(observations)), latents.to(self.device))

    def _weights(self, differences: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        settings, mean = self.settings, self.network.population_mean
        evidence = Evidence(differences.detach(), labels, mask, mean, settings.prior_std, settings.mistake_rate)
        return fit_weights(evidence, settings.num_steps)

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """Of the answers that the weights were not fitted to; 0 where users skipped all of these."""
        differences = self.network.differences(batch)
        context = random_context(batch.mask, generator, fewest=0)
        weights, _ = self._weights(differences, batch.labels, batch.mask & context)
        self.network.population_mean.lerp_(weights.mean(0), MEAN_RATE)
        logits = answer_logits(blend(differences, weights[:, None]), self.settings.mistake_rate)
        return bradley_terry_loss(logits, batch.labels, batch.mask & ~context)

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """As blends of the differences in return."""
        context, targets = context_and_targets(batch.mask)
        differences = self.network.differences(batch)
        weights, _ = self._weights(differences, batch.labels, batch.mask & context)
        return with_mistakes(blend(differences, weights[:, None]).sigmoid(), self.settings.mistake_rate), targets
