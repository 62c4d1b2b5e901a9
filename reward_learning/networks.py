"""The networks that the reward learners share: rewards, and encoders of answers.

Every module takes observations in their own units and normalises them itself, so that a saved model needs nothing else.
Shapes: U users, K comparisons per user, T steps per segment, S observation size, F features, H hidden units, Z latent.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pluralbench.feature_map import FeatureMap
from pluralbench.reward_learning.errors import LearnerError

NEGATIVE_SLOPE = 0.2
"""Of every LeakyReLU, as in VPL's released code."""
CONDITIONINGS = ("concat", "film")
POOLINGS = ("mean", "attention")
NUM_HEADS = 4
"""Of the attention."""


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draws every linear layer's weights from `generator`, so that no global seed decides them.

    PyTorch's own default, uniform within 1 / sqrt(fan in); the last layers of reward networks are scaled down by their
    `output_scale` afterwards.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(max(module.in_features, 1))
            for parameter in module.parameters(recurse=False):
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))
    for module in network.modules():
        if isinstance(module, RewardNetwork):
            for parameter in module.output.parameters():
                parameter.mul_(module.output_scale)


def mlp(input_size: int, hidden_size: int, num_layers: int, output_size: int) -> nn.Sequential:
    """`num_layers` hidden layers of `hidden_size` LeakyReLUs, then a linear layer."""
    layers: list[nn.Module] = []
    for size in [input_size] + [hidden_size] * (num_layers - 1):
        layers += [nn.Linear(size, hidden_size), nn.LeakyReLU(NEGATIVE_SLOPE)]
    return nn.Sequential(*layers, nn.Linear(hidden_size, output_size))


class RewardNetwork(nn.Module):
    """r(s, z): an MLP on an observation's features and a latent.

    The first layer is kept in two parts, one for the observation and one for the latent, and adds them with
    broadcasting. It equals a layer on the concatenation, but many latents can be asked about many observations,
    ``(1, C, S)`` and ``(M, 1, Z)``, without building the M x C inputs.

    Args:
        features: of the observations.
        latent_size: Z; 0 for one reward for all users.
        hidden_size: H.
        num_layers: hidden layers.
        num_outputs: numbers per observation; 1 is a reward.
        conditioning: `concat`, or `film`: the latent scales and shifts every hidden layer (a remedy against decoders
            that ignore the latent).
        output_scale: the last layer starts this much smaller than PyTorch's default.
    """

    def __init__(
        self,
        features: FeatureMap,
        latent_size: int,
        hidden_size: int,
        num_layers: int,
        num_outputs: int = 1,
        conditioning: str = "concat",
        output_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if conditioning not in CONDITIONINGS:
            raise LearnerError(f"unknown conditioning {conditioning!r} (known: {', '.join(CONDITIONINGS)})")
        self.features = features
        self.latent_size = latent_size
        self.conditioning = conditioning
        self.output_scale = output_scale
        sizes = [features.size] + [hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(nn.Linear(size, hidden_size) for size in sizes)
        self.output = nn.Linear(hidden_size, num_outputs)
        self.latent_layers = nn.ModuleList()
        if latent_size and conditioning == "concat":
            self.latent_layers.append(nn.Linear(latent_size, hidden_size, bias=False))
        elif latent_size:
            self.latent_layers.extend(nn.Linear(latent_size, 2 * hidden_size) for _ in sizes)

    def forward(self, observations: Tensor, latents: Tensor | None = None) -> Tensor:
        """Outputs (..., O) for observations (..., S) and latents (..., Z), leading axes broadcast."""
        hidden = self.features(observations)
        for depth, layer in enumerate(self.layers):
            hidden = layer(hidden)
            if latents is not None and depth < len(self.latent_layers):
                hidden = self._condition(hidden, self.latent_layers[depth](latents))
            hidden = F.leaky_relu(hidden, NEGATIVE_SLOPE)
        return self.output(hidden)

    def _condition(self, hidden: Tensor, modulation: Tensor) -> Tensor:
        if self.conditioning == "concat":
            return hidden + modulation
        scale, shift = modulation.chunk(2, dim=-1)
        return hidden * (1 + scale) + shift


def check_pooling(pooling: str, hidden_size: int) -> None:
    """Raises LearnerError for a pooling that there is not, or that such layers do not suit."""
    if pooling not in POOLINGS:
        raise LearnerError(f"unknown pooling {pooling!r} (known: {', '.join(POOLINGS)})")
    if pooling == "attention" and hidden_size % NUM_HEADS:
        raise LearnerError(f"pooling=attention needs a hidden_size that {NUM_HEADS} divides, is {hidden_size}")


class SetEncoder(nn.Module):
    """A user's answers, any number in any order, to the mean and log-variance of a diagonal Gaussian.

    One network reads every comparison, their embeddings are pooled, and a last network turns the pool into the
    posterior (VPL uses this form for language; for control it flattens, see `FlatEncoder`).

    A comparison enters as the sum of its two segments' embeddings and as their difference with the sign of the answer.
    Showing the same two segments the other way round, with the answer turned as well, changes neither, so that the
    posterior cannot depend on which segment was shown first; a tie has sign zero. The logarithm of the number of
    answers joins the pool, which a mean alone would forget: with it the posterior can sharpen as answers come in.

    Args:
        features: of the observations.
        hidden_size: H.
        latent_size: Z.
        pooling: `mean`, or `attention`: one layer of self-attention among the answers before the mean.
    """

    def __init__(self, features: FeatureMap, hidden_size: int, latent_size: int, pooling: str = "mean") -> None:
        super().__init__()
        check_pooling(pooling, hidden_size)
        self.features = features
        self.step = nn.Linear(features.size, hidden_size)
        self.pair = mlp(2 * hidden_size + 1, hidden_size, 1, hidden_size).append(nn.LeakyReLU(NEGATIVE_SLOPE))
        self.attention = SelfAttention(hidden_size, NUM_HEADS) if pooling == "attention" else None
        self.head = mlp(hidden_size + 1, hidden_size, 1, 2 * latent_size)

    def forward(self, segments: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each (U, Z), from segments (U, K, 2, T, S), labels (U, K) and mask (U, K)."""
        # what was skipped must not reach the pool at all: not even as 0 * inf
        kept = mask[..., None]
        segments = torch.where(mask[..., None, None, None], segments, 0.0)
        sign = torch.where(kept, 2 * labels[..., None] - 1, 0.0)  # (U, K, 1)
        embedded = F.leaky_relu(self.step(self.features(segments)), NEGATIVE_SLOPE).mean(-2)  # (U, K, 2, H)
        first, second = embedded.unbind(2)
        pairs = self.pair(torch.cat([sign * (first - second), first + second, sign.abs()], dim=-1))  # (U, K, H)
        if self.attention is not None:
            pairs = self.attention(pairs, mask)
        count = kept.sum(1).to(pairs)  # (U, 1)
        pooled = torch.where(kept, pairs, 0.0).sum(1) / count.clamp(min=1)
        return _gaussian(self.head(torch.cat([pooled, count.log1p()], dim=-1)))


class SelfAttention(nn.Module):
    """One residual layer of multi-head self-attention with no notion of order; masked entries are never attended to."""

    def __init__(self, size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.queries_keys_values = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Outputs (U, K, H) of inputs (U, K, H) that look only at entries where mask (U, K) is True."""
        heads = self.queries_keys_values(inputs).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads  # each (U, heads, K, H / heads)
        # a user who skipped everything attends to everything, for a softmax over nothing is not a number;
        # the pool drops the outcome
        allowed = mask | ~mask.any(-1, keepdim=True)
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed[:, None, None, :])
        return inputs + self.output(attended.transpose(1, 2).flatten(-2))


class FlatEncoder(nn.Module):
    """The encoder of VPL's control experiments: the tuples (A, B, label) laid end to end into one MLP.

    For reproduction: it takes K answers, or fewer as if the rest had been skipped, and depends on their order.
    """

    def __init__(
        self,
        features: FeatureMap,
        num_comparisons: int,
        segment_length: int,
        hidden_size: int,
        num_layers: int,
        latent_size: int,
    ) -> None:
        super().__init__()
        self.features = features
        self.num_comparisons = num_comparisons
        self.segment_length = segment_length
        size = num_comparisons * (2 * segment_length * features.size + 1)
        self.network = mlp(size, hidden_size, num_layers, 2 * latent_size)

    def forward(self, segments: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `SetEncoder`; skipped comparisons enter as zeros with the label of a tie.

        Raises:
            LearnerError: more comparisons, or another segment length, than it was built for.
        """
        num_users, num_given, _, segment_length, _ = segments.shape
        if num_given > self.num_comparisons or segment_length != self.segment_length:
            raise LearnerError(
                f"the flat encoder takes up to {self.num_comparisons} comparisons of {self.segment_length} steps, "
                f"got {num_given} of {segment_length}; the set encoder takes any number"
            )
        features = torch.where(mask[..., None], self.features(segments).flatten(2), 0.0)  # (U, K, 2 * T * F)
        labels = torch.where(mask, labels, 0.5)
        inputs = torch.cat([features, 2 * labels[..., None] - 1], dim=-1)
        inputs = F.pad(inputs, (0, 0, 0, self.num_comparisons - num_given))
        return _gaussian(self.network(inputs.reshape(num_users, -1)))


def _gaussian(outputs: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_var = outputs.chunk(2, dim=-1)
    # the bounds keep exp(log_var) finite when an early step goes astray; trained posteriors stay inside
    return mean, log_var.clamp(-12.0, 4.0)
