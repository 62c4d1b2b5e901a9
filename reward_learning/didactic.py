"""One-dimensional users: the smallest data that show what each reward learner makes of disagreement.

Two examples. In the first, after VPL's didactic experiment, every user wants one of four places on a line and values
what is near it by a Gaussian. In the second, DPL's own (section 2 of arXiv 2312.08358), a hidden circumstance decides
what outcomes above 0.8 are worth, and no user can be told from another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.teachers import Teacher

Float = NDArray[np.float64]

CENTRES = (0.125, 0.375, 0.625, 0.875)
"""What the four groups of users want."""
WIDTH = 0.15
"""Standard deviation of each group's Gaussian."""
RATIONALITY = 20.0
"""Of the users of the first example: they call a difference of 0.11 in utility right 9 times out of 10."""
THRESHOLD = 0.8
"""Above it, in the second example, an outcome's worth depends on what was not recorded."""


def gaussian_utilities(points: Float) -> Float:
    """Utility (4, ...) of points (...) to each of the four groups, between 0 and 1."""
    centres = np.asarray(CENTRES).reshape(-1, *[1] * points.ndim)
    return np.exp(-0.5 * ((points - centres) / WIDTH) ** 2)


def gaussian_preferences(num_users: int, num_comparisons: int, generator: np.random.Generator) -> PreferenceDataset:
    """Users drawn evenly among the four groups compare uniformly drawn points; segments are (U, K, 2, 1, 1)."""
    groups = generator.integers(len(CENTRES), size=num_users)
    points = generator.uniform(size=(num_users, num_comparisons, 2))
    utilities = gaussian_utilities(points)[groups, np.arange(num_users)]
    answers = Teacher(rationality=RATIONALITY).answer(utilities[..., :1], utilities[..., 1:], generator)
    return PreferenceDataset(
        segments=points[..., None, None].astype(np.float32),
        labels=answers.labels,
        mask=answers.mask,
        user_ids=np.arange(num_users),
        group_names=tuple(f"wants {centre}" for centre in CENTRES),
        group_index=groups,
        goals=np.asarray(CENTRES)[groups, None],
        provenance={"example": "four Gaussians"},
    )


def hidden_context_preferences(
    num_users: int, num_comparisons: int, generator: np.random.Generator
) -> PreferenceDataset:
    """DPL's example: an outcome a is worth a below 0.8 and above it 2a or 0, as a coin decides at every showing.

    Equal utilities, two outcomes worth 0, are ties. Answers are otherwise without error.
    """
    points = generator.uniform(size=(num_users, num_comparisons, 2))
    doubled = generator.integers(2, size=points.shape)
    utilities = np.where(points < THRESHOLD, points, 2 * points * doubled)
    answers = Teacher().answer(utilities[..., :1], utilities[..., 1:], generator)
    return PreferenceDataset(
        segments=points[..., None, None].astype(np.float32),
        labels=answers.labels,
        mask=answers.mask,
        user_ids=np.arange(num_users),
        group_names=("all users",),
        group_index=np.zeros(num_users, dtype=np.int64),
        goals=np.zeros((num_users, 1)),
        provenance={"example": "hidden context"},
    )


def hidden_context_moments(points: Float) -> tuple[Float, Float]:
    """Mean and standard deviation, each (...), of what outcomes (...) are worth: a throughout, and a above 0.8."""
    return points, np.where(points < THRESHOLD, 0.0, points)


def hidden_context_borda(points: Float) -> Float:
    """Borda count (...): the chance that an outcome is preferred to one drawn uniformly, ties counted half.

    Below 0.8 it beats what is smaller and, half the time, what is above: a + 0.1. Above, half the time it beats all but
    the larger ones that are doubled too, and half the time it only ties with those that are worth 0: 0.275 + a / 4.
    """
    return np.where(points < THRESHOLD, points + 0.1, 0.275 + 0.25 * points)
