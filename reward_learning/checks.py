"""Whether a learner gives what it should: one of the user's own may not, and would fail far away from its cause."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from pluralbench.lines import kind_of
from pluralbench.plugins import name_of
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.progress import Progress
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.reward_model import History, Posterior, RewardModel

FEW = 2
"""Observations and users on which the reward's shape is looked at."""


def checked_fit(
    model: RewardModel, preferences: PreferenceDataset, seed: int, progress: Progress | None = None
) -> History:
    """`model.fit`, and its rows of metrics.

    Raises:
        LearnerError: they are no list of rows of numbers by name.
    """
    rows: Any = model.fit(preferences, seed=seed, progress=progress)
    what = f"{name_of(type(model))}.fit gave"
    if not isinstance(rows, list):
        raise LearnerError(f"{what} {kind_of(rows)}, not a list of rows of metrics; an empty one will do")
    for row in rows:
        if not isinstance(row, Mapping) or not all(isinstance(value, Real) for value in row.values()):
            raise LearnerError(f"{what} a row that is not numbers by name, such as {{'loss': 0.5}}")
    return rows


@torch.no_grad()
def check_model(model: RewardModel, posterior: Any, observations: Tensor, num_users: int) -> None:
    """Looks at what a fitted model infers of users, and at its reward of a few observations.

    Args:
        model: fitted.
        posterior: what it inferred of `num_users` users.
        observations: (P, S).
        num_users: U.

    Raises:
        LearnerError: another shape than the contract's (`reward_model`), or something that is no number.
    """
    name = name_of(type(model))
    if not isinstance(posterior, Posterior):
        raise LearnerError(f"{name}.infer gave {kind_of(posterior)}, not a Posterior")
    if len(posterior.mean) != num_users:
        raise LearnerError(f"{name}.infer gave the latents of {len(posterior.mean)} users, not of {num_users}")
    if not torch.isfinite(posterior.mean).all() or torch.isnan(posterior.log_var).any():
        raise LearnerError(f"{name}.infer gave latents that are no numbers")
    few, latents = observations[:FEW][None], posterior.mean[:FEW, None]
    rewards: Any = model.reward(few, latents)
    expected = (latents.shape[0], few.shape[1])
    if not isinstance(rewards, Tensor) or tuple(rewards.shape) != expected:
        found = tuple(rewards.shape) if isinstance(rewards, Tensor) else type(rewards).__name__
        raise LearnerError(
            f"{name}.reward gave {found} for observations {tuple(few.shape)} under latents {tuple(latents.shape)}; "
            f"leading axes broadcast to {expected}"
        )
    if not torch.isfinite(rewards).all():
        raise LearnerError(f"{name}.reward gave rewards that are no finite numbers")
