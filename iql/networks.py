"""Many small networks of equal shape as one: stacked parameters, batched products, gradients multiplied out by hand.

A stack holds M networks (runs times critics) as rows of one flat (M, P) buffer. Every layer is one batched matrix
product for all of them, one Adam step moves the whole buffer and one `lerp_` moves a target. With ReLU networks of
two or three layers the chain rule is short; multiplying it out into buffers that stay costs a third of the calls that
autograd makes, and leaves nothing on the host that a CUDA graph could trip over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from iql.settings import InputFeatures, IQLError


class FeatureMap:
    """Observations to network inputs: normalised columns and differences, then sines and cosines.

    Attributes:
        features: which columns.
        mean, scale: (S + differences,), of the data; columns that never change get scale 1.
    """

    def __init__(self, features: InputFeatures, mean: Tensor, scale: Tensor) -> None:
        self.features = features
        self.mean = mean
        self.scale = scale
        device = mean.device
        pairs = features.differences
        self._minuend = torch.tensor([c for first, _ in pairs for c in first], dtype=torch.long, device=device)
        self._subtrahend = torch.tensor([c for _, second in pairs for c in second], dtype=torch.long, device=device)
        self._sinusoids = torch.tensor(features.sinusoid_columns, dtype=torch.long, device=device)
        self._frequencies = 2 * math.pi / torch.tensor(features.wavelengths, dtype=torch.float32, device=device)
        self.observation_size = len(mean) - len(self._minuend)
        self.size = len(mean) + 2 * len(self._sinusoids) * len(self._frequencies)

    @classmethod
    def fit(cls, features: InputFeatures, observations: Tensor) -> FeatureMap:
        """The map whose normalisation fits observations (N, S); IQLError for columns that they do not have."""
        size = observations.shape[1]
        used = [*features.sinusoid_columns, *(c for pair in features.differences for group in pair for c in group)]
        for column in used:
            if not 0 <= column < size:
                raise IQLError(f"input features name column {column}; observations have columns 0 to {size - 1}")
        num_differences = sum(len(first) for first, _ in features.differences)
        blank = torch.zeros(size + num_differences, device=observations.device)
        columns = cls(features, blank, torch.ones_like(blank))._columns(observations)
        std, mean = torch.std_mean(columns.double(), dim=0, correction=0)
        return cls(features, mean.float(), torch.where(std > 1e-6, std, 1.0).float())

    def __call__(self, observations: Tensor) -> Tensor:
        """Inputs (..., F) of observations (..., S)."""
        normalised = (self._columns(observations) - self.mean) / self.scale
        if not len(self._sinusoids):
            return normalised
        angles = (observations[..., self._sinusoids].unsqueeze(-1) * self._frequencies).flatten(-2)
        return torch.cat([normalised, angles.sin(), angles.cos()], dim=-1)

    def to(self, device: torch.device | str) -> FeatureMap:
        """The same map on another device."""
        return FeatureMap(self.features, self.mean.to(device), self.scale.to(device))

    def _columns(self, observations: Tensor) -> Tensor:
        if not len(self._minuend):
            return observations
        differences = observations[..., self._minuend] - observations[..., self._subtrahend]
        return torch.cat([observations, differences], dim=-1)


def num_parameters(widths: Sequence[int]) -> int:
    """Weights and biases of one network with these layer widths, input and output included."""
    return sum((before + 1) * after for before, after in pairwise(widths))


def initial_parameters(widths: Sequence[int], input_size: int, generator: torch.Generator) -> Tensor:
    """One network's flat parameters (P,), each layer uniform within one over the square root of its inputs.

    `input_size` counts the inputs that are ever non-zero; the rest of the first layer is padding and starts at 0.
    The bounds are PyTorch's defaults for linear layers (the original draws orthogonal matrices).
    """
    parts = []
    for layer, (before, after) in enumerate(pairwise(widths)):
        inputs = input_size if layer == 0 else before
        weights = (torch.rand(before, after, generator=generator) * 2 - 1) / math.sqrt(inputs)
        weights[inputs:] = 0
        parts += [weights.flatten(), (torch.rand(after, generator=generator) * 2 - 1) / math.sqrt(inputs)]
    return torch.cat(parts)


class Stack:
    """M networks of equal widths, as views into a flat buffer (M, P or more).

    Args:
        flat: (M, at least P); columns beyond P belong to the caller.
        widths: input, hidden and output widths.
    """

    def __init__(self, flat: Tensor, widths: Sequence[int]) -> None:
        self.flat = flat
        self.widths = tuple(widths)
        self.weights: list[Tensor] = []  # (M, in, out) each
        self.biases: list[Tensor] = []  # (M, 1, out) each
        offset = 0
        for before, after in pairwise(widths):
            self.weights.append(flat[:, offset : offset + before * after].unflatten(1, (before, after)))
            offset += before * after
            self.biases.append(flat[:, None, offset : offset + after])
            offset += after

    def forward(self, inputs: Tensor, work: Workspace) -> Tensor:
        """Outputs (M, B, out) of inputs (M, B, in); what `backward` needs stays in `work`, the outputs too."""
        hidden = inputs
        for weight, bias, out in zip(self.weights[:-1], self.biases[:-1], work.hidden, strict=True):
            torch.baddbmm(bias, hidden, weight, out=out)
            hidden = out.relu_()
        return torch.baddbmm(self.biases[-1], hidden, self.weights[-1], out=work.outputs)

    def backward(self, inputs: Tensor, output_gradient: Tensor, work: Workspace, gradient: Stack) -> None:
        """Writes into `gradient` the derivative by every parameter, for the derivative (M, B, out) by the outputs."""
        upper = output_gradient
        for layer in range(len(self.weights) - 1, -1, -1):
            below = work.hidden[layer - 1] if layer else inputs
            torch.bmm(below.mT, upper, out=gradient.weights[layer])
            torch.sum(upper, dim=1, keepdim=True, out=gradient.biases[layer])
            if layer:
                lower = work.hidden_gradients[layer - 1]
                torch.bmm(upper, self.weights[layer].mT, out=lower)
                upper = torch.ops.aten.threshold_backward.grad_input(lower, below, 0, grad_input=lower)


class Workspace:
    """Buffers of one forward and backward pass through a stack of M networks with batch B."""

    def __init__(self, num: int, batch: int, widths: Sequence[int], device: torch.device) -> None:
        self.hidden = [torch.empty(num, batch, width, device=device) for width in widths[1:-1]]
        self.hidden_gradients = [torch.empty_like(buffer) for buffer in self.hidden]
        self.outputs = torch.empty(num, batch, widths[-1], device=device)
