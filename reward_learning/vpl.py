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

from pluralbench.ranges import LARGEST, MOST, WIDEST_LAYER, check_number, check_whole
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.network_learner import LearnerSettings, NetworkLearner
from pluralbench.reward_learning.networks import FlatEncoder, RewardNetwork, SetEncoder, check_pooling
from pluralbench.reward_learning.preference_losses import (
    cosine_cyclic_weight,
    free_bits,
    gaussian_kl,
    preference_accuracy,
    user_nll,
)
from pluralbench.reward_learning.reward_model import Posterior
from pluralbench.reward_learning.training import Batch, Metrics, random_context


@dataclass(frozen=True)
class VPLSettings(LearnerSettings):
    """Settings of VPL."""

    latent_size: int = 8
    """Z (32 in the paper)."""
    encoder: Literal["set", "flat"] = "set"
    """`set`, or `flat` for the paper's."""
    pooling: Literal["mean", "attention"] = "mean"
    """Of the set encoder."""
    conditioning: Literal["concat", "film"] = "concat"
    """How the reward takes the latent."""
    kl_weight: float = 1.0
    """Beta, where 1 is the evidence lower bound."""
    annealing_cycles: int = 4
    """Cycles in which the weight rises to beta along a cosine; 0 holds it constant."""
    free_bits: float = 0.0
    """Nats per latent dimension that cost nothing."""
    learned_prior: bool = True
    """Learn the prior's mean and variance; else N(0, I)."""
    vary_context: bool = True
    """Show the encoder a random number of each user's answers while training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(LearnerError, self, 1, WIDEST_LAYER, "latent_size")
        check_whole(LearnerError, self, 0, MOST, "annealing_cycles")
        check_number(LearnerError, self, 0, LARGEST, "kl_weight", "free_bits")
        check_pooling(self.pooling, self.hidden_size)


class VPLNetwork(nn.Module):
    """Encoder q(z | answers), reward r(s, z) and prior p(z), whose mean and variance are learned or stay N(0, I)."""

    def __init__(self, encoder: nn.Module, decoder: RewardNetwork, latent_size: int, learned_prior: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.prior_mean = nn.Parameter(torch.zeros(latent_size), requires_grad=learned_prior)
        self.prior_log_var = nn.Parameter(torch.zeros(latent_size), requires_grad=learned_prior)


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
            shape = self.sizes["num_comparisons"], self.sizes["segment_length"]
            layers = settings.hidden_size, settings.num_layers
            encoder = FlatEncoder(self.features(), *shape, *layers, self.latent_size)
        decoder = self.reward_network(self.latent_size, conditioning=settings.conditioning)
        return VPLNetwork(encoder, decoder, self.latent_size, settings.learned_prior)

    def encode(self, batch: Batch) -> Posterior:
        """What the encoder says; the prior for users who gave no answer."""
        answered = batch.mask.any(-1, keepdim=True)
        mean, log_var = self.network.encoder(batch.segments, batch.labels, batch.mask)
        mean = torch.where(answered, mean, self.network.prior_mean)
        log_var = torch.where(answered, log_var, self.network.prior_log_var)
        return Posterior(mean, log_var)

    def prior(self, num_users: int) -> Posterior:
        """p(z), once for each of `num_users` users about whom nothing is known."""
        network = self.network
        shape = (num_users, self.latent_size)
        return Posterior(network.prior_mean.detach().expand(shape), network.prior_log_var.detach().expand(shape))

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """r(s, z), (...), of observations (..., S) and latents (..., Z), leading axes broadcast."""
        rewards: Tensor = self.network.decoder(self.check_observations(observations), latents.to(self.device))
        return rewards.squeeze(-1)

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """Negative evidence lower bound per user (VPL, eq. 3), the KL term weighed by the annealing."""
        settings, network = self.settings, self.network
        context = batch.with_mask(random_context(batch.mask, generator)) if settings.vary_context else batch
        posterior = self.encode(context)
        logits = self.logits(batch, posterior.sample(generator))
        nll = user_nll(logits, batch.labels, batch.mask).mean()
        kl = gaussian_kl(posterior.mean, posterior.log_var, network.prior_mean, network.prior_log_var)
        weight = settings.kl_weight * cosine_cyclic_weight(progress, settings.annealing_cycles)
        loss = nll + weight * free_bits(kl, settings.free_bits)
        accuracy = preference_accuracy(logits.sigmoid(), batch.labels, batch.mask)
        return loss, {"nll": nll, "kl": kl.sum(-1).mean(), "accuracy": accuracy}
