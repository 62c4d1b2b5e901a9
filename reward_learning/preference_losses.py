"""The formulas of preference learning, each as a small function that can be tested without a network.

Labels are 1 where the first segment is preferred, 0 where the second is, and 0.5 for a tie, which counts as half an
answer for either side. Masks are False where the user skipped; such entries count nowhere, whatever they hold.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def preference_logits(rewards: Tensor) -> Tensor:
    """Logits (...) of preferring the first of two segments: r(A) - r(B), each summed over the steps of (..., 2, T)."""
    first, second = rewards.sum(-1).unbind(-1)
    return first - second


def with_mistakes(probability: Tensor, mistake_rate: float) -> Tensor:
    """P(first named), (...), from P(first preferred): (1 - epsilon) p + epsilon (1 - p).

    Epsilon is the share of the answers that are flipped (B-Pref, Lee et al., 2021, has such teachers; Christiano et
    al., 2017, section 2.2.3, fit them). No answer is surer than 1 - epsilon: one mistake about two very different
    segments costs -log epsilon at most, and the reward keeps its range.
    """
    return probability + mistake_rate * (1 - 2 * probability)


def log_with_mistakes(first: Tensor, second: Tensor, mistake_rate: float) -> tuple[Tensor, Tensor]:
    """As `with_mistakes`, of logarithms: log P of naming the first and the second from log P of preferring them."""
    if mistake_rate == 0:
        return first, second
    right, wrong = math.log1p(-mistake_rate), math.log(mistake_rate)
    return torch.logaddexp(first + right, second + wrong), torch.logaddexp(second + right, first + wrong)


def answer_logits(logits: Tensor, mistake_rate: float) -> Tensor:
    """As `with_mistakes`, of logits (...)."""
    if mistake_rate == 0:
        return logits
    first, second = log_with_mistakes(F.logsigmoid(logits), F.logsigmoid(-logits), mistake_rate)
    return first - second


def bradley_terry_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log likelihood of each answer under p(first preferred) = sigmoid(logits) (VPL, eq. 1).

    Equals the cross-entropy between the label, taken as a probability, and the model: a tie pulls the logit to 0.
    """
    return F.softplus(logits) - labels * logits


def user_nll(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Negative log likelihood (U,) of all that each user answered, from logits, labels and mask (U, K)."""
    return masked_sum(bradley_terry_nll(logits, labels), mask)


def bradley_terry_loss(logits: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean negative log likelihood over the answers given, with its metrics, from logits, labels and mask (U, K)."""
    loss = masked_mean(bradley_terry_nll(logits, labels), mask)
    return loss, {"nll": loss.detach(), "accuracy": preference_accuracy(logits.detach().sigmoid(), labels, mask)}


def probability_nll(probability: Tensor, labels: Tensor) -> Tensor:
    """Negative log likelihood of each answer, (...), from P(first preferred) itself.

    Probabilities are kept 1e-6 away from 0 and 1, so that one certain error costs 13.8 and not infinity.
    """
    probability = probability.clamp(1e-6, 1 - 1e-6)
    return -(labels * probability.log() + (1 - labels) * torch.log1p(-probability))


def preference_accuracy(probability: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Share () of the decided answers that the model calls right; an even probability is half right.

    Ties have no right side and are left out; NaN where no decided answer is left.
    """
    decided = mask & (labels != 0.5)
    side = (probability > 0.5).to(labels) + 0.5 * (probability == 0.5).to(labels)
    right = 1 - (side - labels).abs()
    return torch.where(decided, right, 0.0).sum() / decided.sum()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean () of values (...) where mask (...) is True; 0 where it is True nowhere."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum (U,) over the comparisons of each user of values (U, K) where mask (U, K) is True."""
    return torch.where(mask, values, 0.0).sum(-1)


def gaussian_kl(mean: Tensor, log_var: Tensor, prior_mean: Tensor, prior_log_var: Tensor) -> Tensor:
    """KL(q || p) of diagonal Gaussians, dimension by dimension (..., Z), in nats.

    1/2 (log v_p - log v_q + (v_q + (m_q - m_p)^2) / v_p - 1); some released code leaves the 1/2 out.
    """
    ratio = (log_var - prior_log_var).exp()
    distance = (mean - prior_mean).square() / prior_log_var.exp()
    return 0.5 * (ratio + distance - 1 - (log_var - prior_log_var))


def free_bits(kl: Tensor, minimum: float) -> Tensor:
    """Mean over users () of KL (U, Z) summed over dimensions, none of whose means counts for less than `minimum` nats.

    A dimension below the minimum has no gradient, so that the KL term does not press it to zero (Kingma et al., 2016).
    """
    return kl.mean(0).clamp(min=minimum).sum() if minimum > 0 else kl.sum(-1).mean()


def cosine_cyclic_weight(progress: float, num_cycles: int) -> float:
    """Weight in [0, 1] of the KL term after the share `progress` of training (cosine cyclic annealing).

    In every cycle it rises along half a cosine from 0 to 1 in the first half and stays at 1 in the second
    (Fu et al., 2019); 0 cycles give 1 throughout.
    """
    if num_cycles == 0:
        return 1.0
    phase = (progress * num_cycles) % 1.0 if progress < 1.0 else 1.0
    return 0.5 * (1 - math.cos(math.pi * min(1.0, 2 * phase)))
