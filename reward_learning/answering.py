"""How a reward model expects users to answer, over a whole dataset of answers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.reward_model import RewardModel

CHUNK_REWARDS = 1 << 18
"""Rewards computed at once."""


@torch.no_grad()
def answer_probabilities(model: RewardModel, preferences: PreferenceDataset, latents: Tensor) -> NDArray[np.floating]:
    """The model's probability (U, K) of each answer `first preferred`, for one latent per user (U, Z)."""
    num_users, num_comparisons, _, length, _ = preferences.segments.shape
    rows = max(1, CHUNK_REWARDS // (2 * num_comparisons * length))
    parts = []
    for start in range(0, num_users, rows):
        segments = torch.from_numpy(np.array(preferences.segments[start : start + rows])).to(latents.device)
        parts.append(model.answer_probability(segments, latents[start : start + rows]).cpu().numpy())
    return np.concatenate(parts) if parts else np.empty((0, num_comparisons), dtype=np.float32)
