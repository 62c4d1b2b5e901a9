"""How a reward model expects people to answer: the probability that somebody with a given latent prefers a segment."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.preference_losses import preference_logits, segment_returns
from pluralbench.reward_learning.reward_model import RewardModel
from pluralbench.reward_learning.scaling import DistributionalModel

CHUNK_REWARDS = 1 << 18
"""Rewards computed at once."""


@runtime_checkable
class AnswerModel(Protocol):
    """A reward model with a probability of its own for answers on segments, where rewards of steps do not just add."""

    def answer_probability(self, segments: Tensor, latents: Tensor) -> Tensor:
        """Probability (U, K) that the first of two segments (U, K, 2, T, S) is preferred under latents (U, Z)."""
        ...


def answer_probability(model: RewardModel, segments: Tensor, latents: Tensor) -> Tensor:
    """Probability (U, K) that the first of two segments (U, K, 2, T, S) is preferred under latents (U, Z).

    The model's own where it has one; else sigma of the difference of summed rewards.
    """
    if isinstance(model, AnswerModel):
        return model.answer_probability(segments, latents)
    of_step = latents[:, None, None, None, :].expand(*segments.shape[:-1], -1)
    if isinstance(model, DistributionalModel) and segments.shape[3] == 1:
        outputs = model.preference_outputs(segments, of_step)[..., 0, :]  # (U, K, 2, O)
        return model.preference_probability(outputs[:, :, 0], outputs[:, :, 1])
    return preference_logits(segment_returns(model.reward(segments, of_step))).sigmoid()


@torch.no_grad()
def answer_probabilities(model: RewardModel, preferences: PreferenceDataset, latents: Tensor) -> NDArray[np.floating]:
    """The model's probability (U, K) of each answer `first preferred`, for one latent per user (U, Z)."""
    num_users, num_comparisons, _, length, _ = preferences.segments.shape
    rows = max(1, CHUNK_REWARDS // (2 * num_comparisons * length))
    parts = []
    for start in range(0, num_users, rows):
        segments = torch.from_numpy(np.array(preferences.segments[start : start + rows])).to(latents.device)
        parts.append(answer_probability(model, segments, latents[start : start + rows]).cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0, num_comparisons), dtype=np.float32)
