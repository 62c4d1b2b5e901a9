"""Who there may be: the users that are told apart by what they want and by how they answer, with prior weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.preference_oracles.teachers import NUMBERS, Teacher
from pluralbench.preference_oracles.users import Users
from pluralbench.reward_learning.errors import LearnerError

MAX_CANDIDATES = 2_000
"""More are drawn from, with `SEED`, the same number of users from every group."""
SEED = 2_000


@dataclass(frozen=True)
class Candidates:
    """C different users, sorted by goal, who want D different goals."""

    goals: NDArray[np.float64]
    """(D, G), all different."""
    goal_index: NDArray[np.int64]
    """(C,) into `goals`, never falling."""
    teacher: Teacher
    """How they answer; for C users, or plain numbers where all answer alike."""
    weights: NDArray[np.float64]
    """(C,) prior probabilities, which sum to 1."""

    @classmethod
    def among(cls, users: Users, at_most: int = MAX_CANDIDATES) -> Candidates:
        """The different users among these; groups weigh equally, and within a group all of its users do.

        Raises:
            LearnerError: nobody is there.
        """
        if not len(users):
            raise LearnerError("nobody to choose from: at least one user is needed")
        found = _different(users)
        return found if len(found.weights) <= at_most else _different(users.take(_some_of_each(users, at_most)))


def _different(users: Users) -> Candidates:
    _, group, size = np.unique(users.group_index, return_inverse=True, return_counts=True)
    size_of_own = size[group]
    varying = [name for name in NUMBERS if np.ndim(getattr(users.teacher, name))]
    ways = [getattr(users.teacher, name)[:, None] for name in varying]
    kinds, first, kind = np.unique(
        np.concatenate([users.goals, *ways], axis=1), axis=0, return_index=True, return_inverse=True
    )
    goals, goal_index = np.unique(users.goals[first], axis=0, return_inverse=True)
    weights = np.bincount(kind.reshape(-1), weights=1 / (len(size) * size_of_own), minlength=len(kinds)).astype(
        np.float64
    )
    numbers: dict[str, Any] = {name: getattr(users.teacher, name)[first] for name in varying}
    return Candidates(goals, goal_index.reshape(-1), replace(users.teacher, **numbers), weights)


def _some_of_each(users: Users, at_most: int) -> NDArray[np.int64]:
    """Rows of as many users from every group, or all of a smaller one, in their order."""
    order = np.random.default_rng(SEED).permutation(len(users))
    groups = np.unique(users.group_index)
    quota = max(1, at_most // len(groups))
    rows = [order[users.group_index[order] == group][:quota] for group in groups]
    return np.sort(np.concatenate(rows))
