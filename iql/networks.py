"""Many small networks of equal shape as one: stacked parameters, batched products, gradients multiplied out by hand.

A stack holds M networks (runs times critics) as rows of one flat (M, P) buffer. Every layer is one batched matrix
product for all of them, one Adam step moves the whole buffer and one `lerp_` moves a target. With ReLU networks of
two or three layers the chain rule is short; multiplying it out into buffers that stay costs a third of the calls that
autograd makes, and leaves nothing on the host that a CUDA graph could trip over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from itertools import pairwise

import torch
from torch import Tensor

from pluralbench.iql.settings import Precision


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

    Inputs end with a column of ones, so that the first layer's bias is one more row of its weights. The output layer
    is kept as (A, H) and gives outputs (M, A, B): products with very few columns are many times slower than their
    transposes in the matrix libraries of CPUs.

    With `precision` bfloat16 the products between hidden layers, which are nearly all of the work, take bfloat16
    copies of weights and activations and sum in float32. The parameters themselves, the first layer (which sees
    positions) and the output layer (whose differences are the advantages) stay float32. Outputs beyond `num_outputs`
    are padding: neither computed nor given a gradient.
    """

    def __init__(
        self, flat: Tensor, widths: Sequence[int], precision: Precision = "float32", num_outputs: int | None = None
    ) -> None:
        self.flat = flat
        self.widths = tuple(widths)
        self.weights: list[Tensor] = []  # (M, in, out) each, (M, out, in) the last
        self.biases: list[Tensor] = []  # (M, 1, out) each, (M, out, 1) the last
        offset = 0
        for layer, (before, after) in enumerate(pairwise(widths)):
            last = layer == len(widths) - 2
            shape = (after, before) if last else (before, after)
            self.weights.append(flat[:, offset : offset + before * after].unflatten(1, shape))
            offset += before * after
            self.biases.append(flat[:, offset : offset + after].unsqueeze(2 if last else 1))
            offset += after
        self._first = flat[:, : (widths[0] + 1) * widths[1]].unflatten(1, (widths[0] + 1, widths[1]))  # bias last
        self._head, self._head_bias = self.weights[-1][:, :num_outputs], self.biases[-1][:, :num_outputs]
        self.num_outputs = self._head.shape[1]
        middle = self.weights[1:-1]
        self._use([weight.to(torch.bfloat16) for weight in middle] if precision == "bfloat16" else middle)

    def rows(self, first: int, last: int, num_outputs: int | None = None) -> Stack:
        """The networks `first` to `last` - 1 as a stack of their own, which shares everything with this one."""
        part = Stack(self.flat[first:last], self.widths, num_outputs=num_outputs)
        part._use([weight[first:last] for weight in self._middle])
        return part

    def _use(self, middle: list[Tensor]) -> None:
        self._middle = middle  # what the products between hidden layers take: the weights, or copies of them
        self._middle_transposed = [weight.mT for weight in middle]
        self.low = bool(middle) and middle[0].dtype == torch.bfloat16

    def refresh(self) -> None:
        """Must follow every change of the parameters: renews the copies in lower precision, where there are any."""
        if self.low:
            for low, weight in zip(self._middle, self.weights[1:-1], strict=True):
                low.copy_(weight)

    def forward(self, inputs: Tensor, work: Workspace) -> Tensor:
        """Outputs (M, A, B) of inputs (M, B, in + 1); what `backward` needs stays in `work`, the outputs too."""
        torch.bmm(inputs, self._first, out=work.hidden[0]).relu_()
        for layer, weight in enumerate(self._middle):
            out = work.hidden[layer + 1]
            if self.low:
                torch.bmm(work.low[layer].copy_(work.hidden[layer]), weight, out=work.low_product[layer])
                out.copy_(work.low_product[layer]).add_(self.biases[layer + 1])
            else:
                torch.baddbmm(self.biases[layer + 1], work.hidden[layer], weight, out=out)
            out.relu_()
        return torch.baddbmm(self._head_bias, self._head, work.last_transposed, out=work.outputs)

    def backward(self, inputs: Tensor, output_gradient: Tensor, work: Workspace, gradient: Stack) -> None:
        """Writes into `gradient` the derivative by every parameter, for the derivative (M, A, B) by the outputs."""
        torch.bmm(output_gradient, work.hidden[-1], out=gradient._head)
        torch.sum(output_gradient, dim=2, keepdim=True, out=gradient._head_bias)
        upper = torch.bmm(output_gradient.mT, self._head, out=work.gradients[-1])
        for layer in range(len(self._middle) - 1, -1, -1):
            lower = work.gradients[layer]
            _mask(upper, work.hidden[layer + 1])
            torch.sum(upper, dim=1, keepdim=True, out=gradient.biases[layer + 1])
            if self.low:
                upper = work.low_product[layer].copy_(upper)
                weights = torch.bmm(work.low_transposed[layer], upper, out=work.low_weights[layer])
                gradient.weights[layer + 1].copy_(weights)
                lower.copy_(torch.bmm(upper, self._middle_transposed[layer], out=work.low[layer]))
            else:
                torch.bmm(work.hidden[layer].mT, upper, out=gradient.weights[layer + 1])
                torch.bmm(upper, self._middle_transposed[layer], out=lower)
            upper = lower
        _mask(upper, work.hidden[0])
        torch.bmm(inputs.mT, upper, out=gradient._first)


class Workspace:
    """Buffers of one forward and backward pass through a stack with a batch of B."""

    def __init__(self, stack: Stack, batch: int) -> None:
        num, low = len(stack.flat), torch.bfloat16
        self.hidden = [stack.flat.new_empty(num, batch, width) for width in stack.widths[1:-1]]
        self.gradients = [torch.empty_like(buffer) for buffer in self.hidden]
        self.outputs = stack.flat.new_empty(num, stack.num_outputs, batch)
        lows = self.hidden if stack.low else []
        if stack.low:  # the products read copies, so layers share a buffer and less leaves the cache
            shared = {buffer.shape: buffer for buffer in self.gradients}
            self.gradients = [shared[buffer.shape] for buffer in self.gradients]
        self.low = [torch.empty_like(buffer, dtype=low) for buffer in lows[:-1]]
        self.low_product = [torch.empty_like(buffer, dtype=low) for buffer in lows[1:]]
        self.low_weights = [torch.empty_like(weight, dtype=low) for weight in stack.weights[1:-1] if stack.low]
        self._transpose()

    def rows(self, first: int, last: int, num_outputs: int | None = None) -> Workspace:
        """The buffers of the networks `first` to `last` - 1."""
        part = copy(self)
        part.outputs = self.outputs[first:last, :num_outputs]
        for name in ("hidden", "gradients", "low", "low_product", "low_weights"):
            setattr(part, name, [buffer[first:last] for buffer in getattr(self, name)])
        part._transpose()
        return part

    def _transpose(self) -> None:
        self.last_transposed = self.hidden[-1].mT
        self.low_transposed = [buffer.mT for buffer in self.low]


def _mask(gradient: Tensor, activation: Tensor) -> None:
    """Zeroes the gradient, in place, where the rectifier was off."""
    torch.ops.aten.threshold_backward.grad_input(gradient, activation, 0, grad_input=gradient)
