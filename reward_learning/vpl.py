"""Variational preference learning: a latent for each user, inferred from that user's own answers.

Poddar et al., NeurIPS 2024, arXiv 2408.10075, section 4. What differs from the released code, and why:

- The encoder takes a set of answers of any size (`encoder="flat"` is the paper's for control, of fixed size and order).
- While training, the encoder sees a random number of a user's answers and the decoder explains all of them
  (`vary_context`), so that one answer and sixteen both give a sensible posterior. The released code shows all.
- The KL term has its factor 1/2, and a weight of 1 is the evidence lower bound of all answers of one user.
- The prior's mean and variance are learned without mixtures of pseudo-inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.network_learner import LearnerSettings, NetworkLearner
from pluralbench.reward_learning.networks import FlatEncoder, RewardNetwork, SetEncoder
from pluralbench.reward_learning.preference_losses import (
    bradley_terry_nll,
    cosine_cyclic_weight,
    free_bits,
    gaussian_kl,
    masked_sum,
    preference_accuracy,
    preference_logits,
    segment_returns,
)
from pluralbench.reward_learning.reward_model import Posterior
from pluralbench.reward_learning.training import (
    Batch,
    Metrics,
    Prediction,
    PreferenceBatches,
    context_and_targets,
    train,
)


@dataclass(frozen=True)
class VPLSettings(LearnerSettings):
    """Settings of VPL.

    Attributes:
        latent_size: Z (32 in the paper).
        encoder: `set`, or `flat` for the paper's.
        pooling: of the set encoder: `mean` or `attention`.
        conditioning: how the reward takes the latent: `concat` or `film`.
        kl_weight: beta, where 1 is the evidence lower bound.
        annealing_cycles: cycles in which the weight rises to beta along a cosine; 0 holds it constant.
        free_bits: nats per latent dimension that cost nothing.
        learned_prior: learn the prior's mean and variance; else N(0, I).
        vary_context: show the encoder a random number of each user's answers while training.
    """

    latent_size: int = 8
    encoder: Literal["set", "flat"] = "set"
    pooling: Literal["mean", "attention"] = "mean"
    conditioning: Literal["concat", "film"] = "concat"
    kl_weight: float = 1.0
    annealing_cycles: int = 4
    free_bits: float = 0.0
    learned_prior: bool = True
    vary_context: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latent_size < 1:
            raise LearnerError(f"latent_size must be at least 1, is {self.latent_size}")
        for name in ("kl_weight", "annealing_cycles", "free_bits"):
            if getattr(self, name) < 0:
                raise LearnerError(f"{name} must not be negative, is {getattr(self, name)}")


class VPLNetwork(nn.Module):
    """Encoder q(z | answers), prior p(z) and reward r(s, z).

    Args:
        encoder: segments (U, K, 2, T, S), labels (U, K) and mask (U, K) to mean and log-variance, each (U, Z).
        decoder: the reward network.
        latent_size: Z.
        learned_prior: whether the prior's mean and log-variance are parameters; else it stays N(0, I).
    """

    def __init__(self, encoder: nn.Module, decoder: RewardNetwork, latent_size: int, learned_prior: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.prior_mean = nn.Parameter(torch.zeros(latent_size), requires_grad=learned_prior)
        self.prior_log_var = nn.Parameter(torch.zeros(latent_size), requires_grad=learned_prior)

    def posterior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (U, Z); the prior for users who gave no answer."""
        mean, log_var = self.encoder(batch.segments, batch.labels, batch.mask)
        answered = batch.mask.any(-1, keepdim=True)
        return torch.where(answered, mean, self.prior_mean), torch.where(answered, log_var, self.prior_log_var)

    def logits(self, batch: Batch, latents: Tensor) -> Tensor:
        """Logits (U, K) of preferring the first segment, for one latent per user (U, Z)."""
        rewards = self.decoder(batch.segments, latents[:, None, None, None, :]).squeeze(-1)  # (U, K, 2, T)
        return preference_logits(segment_returns(rewards))


class VPL(NetworkLearner):
    """p(A preferred to B | z) = sigmoid(r(A, z) - r(B, z)), with z inferred from the user's answers."""

    name: ClassVar[str] = "vpl"
    settings_type: ClassVar[type] = VPLSettings
    has_prior: ClassVar[bool] = True
    settings: VPLSettings

    def build(self) -> VPLNetwork:
        """The untrained network."""
        settings = self.settings
        self.latent_size = settings.latent_size
        encoder: nn.Module
        if settings.encoder == "set":
            encoder = SetEncoder(self.features(), settings.hidden_size, self.latent_size, settings.pooling)
        else:
            num_comparisons, segment_length = self.sizes["num_comparisons"], self.sizes["segment_length"]
            encoder = FlatEncoder(
                self.features(),
                num_comparisons,
                segment_length,
                settings.hidden_size,
                settings.num_layers,
                self.latent_size,
            )
        decoder = self.reward_network(self.latent_size, conditioning=settings.conditioning)
        return VPLNetwork(encoder, decoder, self.latent_size, settings.learned_prior)

    def fit(
        self, preferences: PreferenceDataset, seed: int, progress: Progress | None = None
    ) -> list[dict[str, float]]:
        """Maximises the evidence lower bound of each user's answers."""
        network = self.start(preferences, seed)
        return train(network, preferences, self._loss, self._predict, self.settings, seed, self.device, progress)

    @torch.no_grad()
    def infer(self, context: PreferenceDataset) -> Posterior:
        """q(z | answers) of each user, from any number of answers in any order; the prior where there are none."""
        batches = PreferenceBatches(context, self.device)
        chunks = [
            self.network.posterior(batches.take_range(start, start + 1024))
            for start in range(0, batches.num_users, 1024)
        ]
        if not chunks:
            return self.prior(0)
        means, log_vars = zip(*chunks, strict=True)
        return Posterior(torch.cat(means), torch.cat(log_vars))

    def prior(self, num_users: int) -> Posterior:
        """p(z), once for each of `num_users` users about whom nothing is known."""
        network = self.network
        shape = (num_users, self.latent_size)
        return Posterior(network.prior_mean.detach().expand(shape), network.prior_log_var.detach().expand(shape))

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """r(s, z), (...), of observations (..., S) and latents (..., Z), leading axes broadcast."""
        rewards: Tensor = self.network.decoder(self.check_observations(observations), latents.to(self.device))
        return rewards.squeeze(-1)

    def _loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """Negative evidence lower bound per user (VPL, eq. 3), the KL term weighed by the annealing."""
        settings, network = self.settings, self.network
        context = batch.with_mask(random_context(batch.mask, generator)) if settings.vary_context else batch
        mean, log_var = network.posterior(context)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        logits = network.logits(batch, mean + (0.5 * log_var).exp() * noise)
        nll = masked_sum(bradley_terry_nll(logits, batch.labels), batch.mask).mean()
        kl = gaussian_kl(mean, log_var, network.prior_mean, network.prior_log_var)
        weight = settings.kl_weight * cosine_cyclic_weight(progress, settings.annealing_cycles)
        loss = nll + weight * free_bits(kl, settings.free_bits)
        accuracy = preference_accuracy(logits.sigmoid(), batch.labels, batch.mask)
        return loss, {"nll": nll, "kl": kl.sum(-1).mean(), "accuracy": accuracy}

    def _predict(self, batch: Batch) -> Prediction:
        context, targets = context_and_targets(batch.mask)
        mean, _ = self.network.posterior(batch.with_mask(context))
        return Prediction(self.network.logits(batch, mean).sigmoid(), targets)


def random_context(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Keeps a random number, uniform in 1..K, of each user's comparisons: (U, K) bool; `mask` gives the shape."""
    num_users, num_comparisons = mask.shape
    size = torch.randint(1, num_comparisons + 1, (num_users, 1), generator=generator)
    rank = torch.rand(num_users, num_comparisons, generator=generator).argsort(-1).argsort(-1)
    return (rank < size).to(mask.device)
