"""Swap-guided preference learning: a latent that must turn over when a user's answers do.

Kim and Kim, ICLR 2026, arXiv 2603.12595: a remedy against posteriors that collapse and decoders that ignore them.

From the source (the paper's abstract and the released code): the guidance loss on the base posterior, a cosine for the
means that goes to -1 and one for the log-variances that goes to +1, weighted 1 : 0.1; an inverse autoregressive flow on
top, whose shift takes what the swap of all answers reverses (a half difference) and whose scale takes what it leaves
alone (a half sum); scale and shift of the decoder's hidden units by the latent (FiLM); the prior N(0, I); a Monte Carlo
KL with one free nat.

Our reading: half difference and half sum are taken of the whole encoder's outputs under the given and the swapped
answers, where the code takes them of the embeddings of chosen and rejected texts. The shift network is odd and the
scale network even by construction, so that the flow never undoes the opposition that the guidance asks for; in the code
only the biases are left out. The encoder is VPL's set encoder, and FiLM acts on every hidden layer of the decoder. The
diagonal Gaussian that `infer` returns has the mean and variance of the posterior after the flow. The code's clamping of
the base posterior to [-1, 1] is left out, and the free nat is granted to the batch's mean KL.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.ranges import LARGEST, MOST, MOST_LAYERS, WIDEST_LAYER, check_number, check_whole
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.network_learner import CHUNK_USERS, LearnerSettings, NetworkLearner
from pluralbench.reward_learning.networks import RewardNetwork, SetEncoder, check_pooling
from pluralbench.reward_learning.preference_losses import cosine_cyclic_weight, preference_accuracy, user_nll
from pluralbench.reward_learning.preferential_flow import PreferentialFlow
from pluralbench.reward_learning.reward_model import Posterior
from pluralbench.reward_learning.training import Batch, Metrics, PreferenceBatches, random_context

NUM_MOMENT_PAIRS = 32
"""Pairs of opposite base samples from which `infer` takes the moments of the posterior after the flow."""


def swap_guidance_loss(
    mean: Tensor, log_var: Tensor, swapped_mean: Tensor, swapped_log_var: Tensor, log_var_weight: float = 0.1
) -> tuple[Tensor, dict[str, Tensor]]:
    """Pulls the posterior of a user and that of the same user with every answer swapped to opposite means.

    1/2 (1 + cos(mean, swapped mean)) + log_var_weight 1/2 (1 - cos(log_var, swapped log_var)), averaged over users: 0
    where the means are opposite and the log-variances equal. All four (U, Z) are of the base posterior, before the
    flow; the swapped one, of the same answers with labels 1 - y, is a fixed target.
    """
    mean_cosine = F.cosine_similarity(mean, swapped_mean.detach(), dim=-1, eps=1e-6)
    log_var_cosine = F.cosine_similarity(log_var, swapped_log_var.detach(), dim=-1, eps=1e-6)
    loss = 0.5 * (1 + mean_cosine).mean() + log_var_weight * 0.5 * (1 - log_var_cosine).mean()
    return loss, {"mean_cosine": mean_cosine.mean().detach(), "log_var_cosine": log_var_cosine.mean().detach()}


@dataclass(frozen=True)
class SPLSettings(LearnerSettings):
    """Settings of `spl`."""

    latent_size: int = 8
    """Z."""
    pooling: Literal["mean", "attention"] = "mean"
    """Of the set encoder."""
    kl_weight: float = 1.0
    """Beta, where 1 is the evidence lower bound."""
    annealing_cycles: int = 4
    """Cycles in which the weight rises to beta along a cosine; 0 holds it constant."""
    free_nats: float = 1.0
    """Mean KL of a batch's users that costs nothing."""
    guidance_weight: float = 1.0
    """Of the swap guidance, in nats per user."""
    num_flow_layers: int = 2
    """Steps of the flow; 0 leaves the base posterior as it is."""
    flow_hidden_size: int = 64
    """Units of each hidden layer of the flow's networks."""
    vary_context: bool = True
    """Show the encoder a random number of each user's answers while training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(LearnerError, self, 1, WIDEST_LAYER, "latent_size", "flow_hidden_size")
        check_whole(LearnerError, self, 0, MOST_LAYERS, "num_flow_layers")
        check_whole(LearnerError, self, 0, MOST, "annealing_cycles")
        check_number(LearnerError, self, 0, LARGEST, "kl_weight", "free_nats", "guidance_weight")
        check_pooling(self.pooling, self.hidden_size)


@dataclass(frozen=True)
class BasePosterior:
    """The encoder's Gaussian under the given and the swapped answers, each (U, Z), and who answered, (U, 1) bool."""

    mean: Tensor
    log_var: Tensor
    swapped_mean: Tensor
    swapped_log_var: Tensor
    answered: Tensor

    def contexts(self) -> tuple[Tensor, Tensor]:
        """Half difference and half sum (U, 2 Z) of both posteriors: what the swap reverses and what it leaves alone."""
        given = torch.cat([self.mean, self.log_var], dim=-1)
        swapped = torch.cat([self.swapped_mean, self.swapped_log_var], dim=-1)
        return 0.5 * (given - swapped), 0.5 * (given + swapped)


class SPLNetwork(nn.Module):
    """Base encoder, flow and reward r(s, z)."""

    def __init__(self, encoder: SetEncoder, flow: PreferentialFlow, decoder: RewardNetwork) -> None:
        super().__init__()
        self.encoder = encoder
        self.flow = flow
        self.decoder = decoder

    def base(self, batch: Batch) -> BasePosterior:
        """The base posterior of each user; N(0, I) for users who gave no answer."""
        answered = batch.mask.any(-1, keepdim=True)
        given = self.encoder(batch.segments, batch.labels, batch.mask)
        swapped = self.encoder(batch.segments, 1 - batch.labels, batch.mask)
        mean, log_var, swapped_mean, swapped_log_var = (
            torch.where(answered, output, 0.0) for output in (*given, *swapped)
        )
        return BasePosterior(mean, log_var, swapped_mean, swapped_log_var, answered)

    def transport(self, base: BasePosterior, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (..., U, Z) from noise of this shape, and each one's log-density (..., U) after the flow."""
        latent = base.mean + (0.5 * base.log_var).exp() * noise
        log_density = (-0.5 * (noise.square() + math.log(2 * math.pi) + base.log_var)).sum(-1)
        moved, log_det = self.flow(latent, *base.contexts())
        # about users who gave no answer the posterior is the prior, which the flow must not move
        answered = base.answered
        return torch.where(answered, moved, latent), log_density - torch.where(answered.squeeze(-1), log_det, 0.0)

    def moments(self, base: BasePosterior) -> tuple[Tensor, Tensor]:
        """Mean and variance, each (U, Z), of the posterior after the flow, from fixed pairs of opposite samples."""
        generator = torch.Generator().manual_seed(0)
        draws = torch.randn(NUM_MOMENT_PAIRS, 1, base.mean.shape[-1], generator=generator).to(base.mean)
        # each coordinate of the fixed draws gets variance 1, so that no flow means no change
        draws = draws / draws.square().mean(0, keepdim=True).sqrt()
        noise = torch.cat([draws, -draws]).expand(-1, len(base.mean), -1)
        samples, _ = self.transport(base, noise)
        return samples.mean(0), samples.var(0, correction=0)


class SPL(NetworkLearner):
    """VPL's interface with a latent that swapped answers turn into its opposite."""

    name: ClassVar[str] = "spl"
    settings_type: ClassVar[type] = SPLSettings
    has_prior: ClassVar[bool] = True
    settings: SPLSettings

    def build(self) -> SPLNetwork:
        """The untrained network."""
        settings = self.settings
        self.latent_size = settings.latent_size
        encoder = SetEncoder(self.features(), settings.hidden_size, self.latent_size, settings.pooling)
        flow_sizes = settings.flow_hidden_size, settings.num_flow_layers
        flow = PreferentialFlow(self.latent_size, 2 * self.latent_size, *flow_sizes)
        return SPLNetwork(encoder, flow, self.reward_network(self.latent_size, conditioning="film"))

    def start(self, preferences: PreferenceDataset, seed: int, **sizes: int) -> SPLNetwork:
        """The flow begins near the identity."""
        network: SPLNetwork = super().start(preferences, seed, **sizes)
        network.flow.begin_as_identity()
        return network

    def encode(self, batch: Batch) -> Posterior:
        """Moments of q(z | answers) after the flow; N(0, I) where there are no answers."""
        mean, variance = self.network.moments(self.network.base(batch))
        return Posterior(mean, variance.log())

    @torch.no_grad()
    def posterior_for_policy(self, context: PreferenceDataset, generator: torch.Generator) -> Posterior:
        """A latent of each user from q(z | answers) after the flow, whose dimensions depend on one another."""
        parts = []
        for batch in PreferenceBatches(context, self.device).chunks(CHUNK_USERS):
            base = self.network.base(batch)
            noise = torch.randn(base.mean.shape, generator=generator).to(base.mean)
            parts.append(self.network.transport(base, noise)[0])
        return Posterior.exactly(torch.cat(parts)) if parts else self.prior(0)

    def prior(self, num_users: int) -> Posterior:
        """N(0, I), once for each of `num_users` users about whom nothing is known."""
        mean = torch.zeros(num_users, self.latent_size, device=self.device)
        return Posterior(mean, mean.clone())

    def reward(self, observations: Tensor, latents: Tensor) -> Tensor:
        """r(s, z), (...), of observations (..., S) and latents (..., Z), leading axes broadcast."""
        rewards: Tensor = self.network.decoder(self.check_observations(observations), latents.to(self.device))
        return rewards.squeeze(-1)

    def loss(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Metrics]:
        """Negative evidence lower bound per user, the KL a Monte Carlo estimate, and the swap guidance."""
        settings, network = self.settings, self.network
        context = batch.with_mask(random_context(batch.mask, generator)) if settings.vary_context else batch
        base = network.base(context)
        noise = torch.randn(base.mean.shape, generator=generator).to(base.mean)
        latents, log_density = network.transport(base, noise)
        logits = self.logits(batch, latents)
        nll = user_nll(logits, batch.labels, batch.mask).mean()
        prior_log_density = (-0.5 * (latents.square() + math.log(2 * math.pi))).sum(-1)
        kl = (log_density - prior_log_density).mean()
        guidance, cosines = swap_guidance_loss(base.mean, base.log_var, base.swapped_mean, base.swapped_log_var)
        weight = settings.kl_weight * cosine_cyclic_weight(progress, settings.annealing_cycles)
        loss = nll + weight * kl.clamp(min=settings.free_nats) + settings.guidance_weight * guidance
        accuracy = preference_accuracy(logits.detach().sigmoid(), batch.labels, batch.mask)
        return loss, {"nll": nll, "kl": kl, "guidance": guidance, "accuracy": accuracy, **cosines}
