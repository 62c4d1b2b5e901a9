"""The contract of an environment: what can be wanted of it, and how well an observation answers a wish.

A *goal* is the environment's own word for what can be wanted of it (a cell of the maze, a zone on the table, a
ranking of places). It is a short vector of numbers, hidden from the observation. Who wants it is not decided here:
users and populations live in `preference_oracles`.

Shapes: leading axes broadcast as in NumPy, so that one call answers for many observations and many goals:
``utility(observations[None], goals[:, None])`` with (N, S) observations and (U, G) goals gives (U, N).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]


class GoalError(ValueError):
    """A goal that this environment cannot express; the message says what it can."""


@runtime_checkable
class MultiGoalTask(Protocol):
    """What can be wanted of an environment, without its physics.

    Attributes:
        name: short name, `maze` say.
        observation_size: S.
        action_size: A; the number of choices where actions are discrete (stored one-hot).
        goal_size: G.
        observation_names: S names with units, for axes and files.
        max_episode_steps: simulated steps after which an episode is cut short.
    """

    name: str
    observation_size: int
    action_size: int
    goal_size: int
    observation_names: tuple[str, ...]
    max_episode_steps: int

    def goal(self, value: ArrayLike) -> FloatArray:
        """The goal (G,) that `value` describes; raises GoalError, naming the possible ones, for anything else."""
        ...

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> FloatArray:
        """Goals (num_goals, G) drawn uniformly from everything that can be wanted."""
        ...

    def opposite(self, goals: FloatArray) -> FloatArray:
        """Goals (..., G) whose utility is one minus the utility of `goals`; GoalError where none exist."""
        ...

    def utility(self, observations: FloatArray, goals: FloatArray) -> FloatArray:
        """How much observations (..., S) are worth to somebody who wants goals (..., G): float32 in [0, 1]."""
        ...

    def success(self, observations: FloatArray, goals: FloatArray) -> BoolArray:
        """Whether observations (..., S) fulfil goals (..., G)."""
        ...

    def goal_name(self, goal: FloatArray) -> str:
        """A short name of one goal (G,) for tables and figures."""
        ...


@runtime_checkable
class ForeseeingTask(MultiGoalTask, Protocol):
    """A task that knows what each of its few discrete actions leads to if it goes well."""

    def outcomes(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Observations (..., A, S) expected after each of the A actions in observations (..., S)."""
        ...


def check_goals(goals: ArrayLike, task_name: str, goal_size: int, known: Sequence[str]) -> FloatArray:
    """Goals as float64 (..., G); raises GoalError unless every one has `goal_size` finite numbers."""
    array = np.asarray(goals, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] != goal_size or not np.isfinite(array).all():
        raise GoalError(
            f"{task_name}: a goal is {goal_size} finite numbers, got {goals!r}; for example {', '.join(known)}"
        )
    return array
