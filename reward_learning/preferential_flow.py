"""The inverse autoregressive flow of `spl`: what the swap of all answers reverses shifts it, what stays scales it."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedNetwork(nn.Module):
    """Autoregressive network: output i sees the context and inputs that come before i in `order`, never input i.

    Germain et al., MADE, ICML 2015. The first output depends on the context alone.

    Args:
        order: (Z,) ranks 0..Z-1, a permutation.
        context_size: C.
        hidden_size: units in each of the two hidden layers.
        odd: no biases and tanh, so that turning inputs and context over turns the outputs over.
    """

    def __init__(self, order: Tensor, context_size: int, hidden_size: int, odd: bool) -> None:
        super().__init__()
        latent_size = len(order)
        # a hidden unit of degree m sees inputs of rank < m; degree 0 sees the context only
        hidden_degrees = torch.arange(hidden_size) % latent_size
        below, above = (order + 1, hidden_degrees, hidden_degrees), (hidden_degrees, hidden_degrees, order)
        sizes = [latent_size, hidden_size, hidden_size, latent_size]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=not odd) for a, b in pairwise(sizes))
        self.context = nn.Linear(context_size, hidden_size, bias=False)
        for number, (source, target) in enumerate(zip(below, above, strict=True)):
            self.register_buffer(f"mask_{number}", (target[:, None] >= source[None, :]).float(), persistent=False)
        self.odd = odd

    def forward(self, inputs: Tensor, context: Tensor) -> Tensor:
        """(..., Z) and (..., C) to (..., Z)."""
        hidden = inputs
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            hidden = F.linear(hidden, layer.weight * self.get_buffer(f"mask_{number}"), layer.bias)
            if number == 0:
                hidden = hidden + self.context(context)
            if number < 2:
                hidden = hidden.tanh() if self.odd else F.silu(hidden)
        return hidden


class PreferentialFlowLayer(nn.Module):
    """One inverse autoregressive step whose shift follows what the swap reverses, whose scale what it leaves alone.

    z' = shift(z, d) + exp(1/2 log_scale(z^2, s)) z with d odd and s even under the swap of all answers. The shift is
    an odd function and the scale an even one, so the layer turns z over when d and z turn over, exactly.
    """

    def __init__(self, order: Tensor, context_size: int, hidden_size: int) -> None:
        super().__init__()
        self.shift = MaskedNetwork(order, context_size, hidden_size, odd=True)
        self.log_scale = MaskedNetwork(order, context_size, hidden_size, odd=False)

    def forward(self, latent: Tensor, odd_context: Tensor, even_context: Tensor) -> tuple[Tensor, Tensor]:
        """The new (..., Z) and the log-determinant (...) of the step's Jacobian."""
        shift = self.shift(latent, odd_context)
        log_scale = self.log_scale(latent.square(), even_context).clamp(-5.0, 5.0)
        return shift + (0.5 * log_scale).exp() * latent, 0.5 * log_scale.sum(-1)


class PreferentialFlow(nn.Module):
    """`num_layers` steps of `PreferentialFlowLayer`, the order of the coordinates reversed from one to the next."""

    def __init__(self, latent_size: int, context_size: int, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        order = torch.arange(latent_size)
        self.layers = nn.ModuleList(
            PreferentialFlowLayer(order if number % 2 == 0 else order.flip(0), context_size, hidden_size)
            for number in range(num_layers)
        )

    @torch.no_grad()
    def begin_as_identity(self) -> None:
        """Makes every step's last layers small."""
        for network in self.modules():
            if isinstance(network, MaskedNetwork):
                for parameter in network.layers[-1].parameters():
                    parameter.mul_(0.01)

    def forward(self, latent: Tensor, odd_context: Tensor, even_context: Tensor) -> tuple[Tensor, Tensor]:
        """Carries base samples (..., Z) through the flow; returns them and the (...) log-determinants."""
        log_det = latent.new_zeros(latent.shape[:-1])
        for layer in self.layers:
            latent, step = layer(latent, odd_context, even_context)
            log_det = log_det + step
        return latent, log_det
