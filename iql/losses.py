"""The formulas of implicit Q-learning (Kostrikov et al., ICLR 2022, arXiv 2110.06169), free of any network.

Each loss comes with its derivative by the networks' outputs, because the learner multiplies its gradients out by hand
(`iql.learner`); `tests/iql/test_iql_losses.py` holds every derivative against autograd. Means run over the batch,
the last axis of values and the second last of actions; leading axes (runs, critics) are kept.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def expectile_weights(difference: Tensor, expectile: float) -> Tensor:
    """Weights |expectile - 1[u < 0]| (eq. 5), elementwise."""
    return ((difference < 0).to(difference.dtype) - expectile).abs_()


def expectile_loss(difference: Tensor, expectile: float) -> Tensor:
    """Asymmetric squares |expectile - 1[u < 0]| u^2 of u = Q - V (eq. 5), elementwise."""
    return expectile_weights(difference, expectile) * difference.square()


def expectile_gradient(difference: Tensor, expectile: float, out: Tensor | None = None) -> Tensor:
    """Derivative of the batch mean of `expectile_loss(Q - V)` by V, for differences (..., B)."""
    # the weight times u is a leaky rectifier of u, which is one call
    out = torch.empty_like(difference) if out is None else out
    torch.ops.aten.leaky_relu.out(difference, (1 - expectile) / expectile, out=out)
    return out.mul_(-2.0 * expectile / difference.shape[-1])


def td_targets(rewards: Tensor, discounts: Tensor, next_values: Tensor) -> Tensor:
    """What Q(s, a) regresses on (eq. 6): r + gamma (1 - terminal) V(s'), all (..., B).

    Rewards are sums over n steps, discounts gamma^n, and 0 where the task ended on the way; V is that of the state
    after the last summed reward.
    """
    return torch.addcmul(rewards, discounts, next_values)


def critic_loss(values: Tensor, targets: Tensor) -> Tensor:
    """Squares (Q - target)^2 (eq. 6), elementwise."""
    return (values - targets).square()


def critic_gradient(values: Tensor, targets: Tensor, out: Tensor | None = None) -> Tensor:
    """Derivative of the batch mean of `critic_loss` by Q, for values (..., B)."""
    return torch.sub(values, targets, out=out).mul_(2.0 / values.shape[-1])


def advantage_weights(advantages: Tensor, temperature: float, clip: float = 100.0) -> Tensor:
    """Weights exp(temperature (Q - V)) of the behaviour's actions, at most `clip` (eq. 7)."""
    return (advantages * temperature).exp_().clamp_(max=clip)


def gaussian_log_prob(means: Tensor, log_stds: Tensor, actions: Tensor) -> Tensor:
    """Log density (..., B) of actions (..., B, A) under a diagonal Gaussian; log_stds broadcasts to the actions."""
    scaled = (actions - means) * (-log_stds).exp()
    return (-0.5 * scaled.square() - log_stds - LOG_SQRT_2PI).sum(-1)


def gaussian_actor_gradient(
    outputs: Tensor, log_stds: Tensor, actions: Tensor, weights: Tensor, *, out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Derivatives of -mean(weights log_prob) (eq. 7), where the mean is tanh(outputs), by outputs and by log_stds.

    Outputs and actions are (..., B, A), log_stds (..., 1, A), already within its bounds, weights (..., B); `out` takes
    the derivative by the outputs.
    """
    means = outputs.tanh()
    weights = weights / weights.shape[-1]
    errors = means - actions
    by_mean = errors * weights.unsqueeze(-1) * (-2 * log_stds).exp()
    by_log_std = weights.sum(-1)[..., None, None] - (by_mean * errors).sum(-2, keepdim=True)
    out = torch.empty_like(by_mean) if out is None else out
    return torch.ops.aten.tanh_backward.grad_input(by_mean, means, grad_input=out), by_log_std


def categorical_log_prob(logits: Tensor, actions: Tensor) -> Tensor:
    """Log probability (..., B) of one-hot actions (..., B, A)."""
    return (logits.log_softmax(-1) * actions).sum(-1)


def categorical_actor_gradient(logits: Tensor, actions: Tensor, weights: Tensor) -> Tensor:
    """Derivative of -mean(weights log_prob) by the logits (..., B, A), for one-hot actions."""
    return (logits.softmax(-1) - actions) * (weights.unsqueeze(-1) / weights.shape[-1])
