"""The contract of an environment: what can be wanted of it, and how well an observation answers a wish.

A *goal* is what can be wanted of an environment (a cell of the maze, a zone on the table, a ranking of places): a short
vector of numbers, hidden from the observation. Users and populations, who want goals, live in `preference_oracles`.

Shapes: leading axes broadcast as in NumPy, so that one call answers for many observations and many goals:
``utility(observations[None], goals[:, None])`` with (N, S) observations and (U, G) goals gives (U, N).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.errors import InputError

FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]


class GoalError(InputError):
    """A goal that this environment cannot express; the message says what it can."""


class MultiGoalTask:
    """What can be wanted of an environment, without its physics: the base of every task.

    A task sets the first five attributes and defines `utility`; the rest has defaults that suit goals which are points.

    Attributes:
        name: short name, for example `maze`.
        observation_size: S.
        action_size: A; the number of choices where actions are discrete (stored one-hot).
        goal_size: G.
        max_episode_steps: simulated steps after which an episode is cut short.
        goal_sets: goals that the environment knows by name, in the terms of `goal`: `{"two-goals": ((7, 1), (7, 10))}`.
            Populations take them from here; the first set is the one that stands for the environment.
        observation_names: S names with units, for axes and files; empty for numbers.
        discrete_actions: whether an action is one of A choices, an index in Gymnasium and one-hot in datasets.
    """

    name: str
    observation_size: int
    action_size: int
    goal_size: int
    max_episode_steps: int
    goal_sets: Mapping[str, Sequence[ArrayLike]] = {}
    observation_names: tuple[str, ...] = ()
    discrete_actions: bool = False

    def utility(self, observations: FloatArray, goals: FloatArray) -> NDArray[np.float32]:
        """How much observations (..., S) are worth to a user who wants goals (..., G): float32 in [0, 1]."""
        raise NotImplementedError(f"{type(self).__name__} does not say what observations are worth")

    def possible(self, observations: FloatArray) -> BoolArray:
        """Whether observations (..., S) can be made here at all, (...); by default all.

        Data from elsewhere is known by it to have another frame or other units.
        """
        return np.ones(np.shape(observations)[:-1], dtype=np.bool_)

    def success(self, observations: FloatArray, goals: FloatArray) -> BoolArray:
        """Whether things are in observations (..., S) as goals (..., G) want them; by default where the utility is 1.

        An episode succeeds where they are so at its end; an environment may ask that they have been for a while.
        """
        return np.asarray(self.utility(observations, goals) >= 1.0 - 1e-6)

    def reached(self, observations: FloatArray, goals: FloatArray) -> BoolArray:
        """What counts as success in the papers wherever in an episode it is seen; by default the same."""
        return self.success(observations, goals)

    def goal(self, value: ArrayLike) -> FloatArray:
        """The goal (G,) that `value` describes; raises GoalError, naming possible ones, for anything else."""
        goal = self.goals(value)
        if goal.ndim != 1:
            raise GoalError(f"{self.name}: one goal is {self.goal_size} numbers, got an array of shape {goal.shape}")
        return goal

    def goals(self, values: ArrayLike) -> FloatArray:
        """Goals (..., G) that `values` describe, all checked as by `goal`."""
        known = [str(goal) for goals in self.goal_sets.values() for goal in goals]
        return check_goals(values, self.name, self.goal_size, known[:4])

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> FloatArray:
        """Goals (num_goals, G) drawn uniformly from everything that can be wanted; by default from the first set."""
        if not self.goal_sets:
            raise NotImplementedError(f"{type(self).__name__} needs goal_sets, or sample_goals of its own")
        known = np.stack([self.goal(goal) for goal in next(iter(self.goal_sets.values()))])
        return known[generator.integers(len(known), size=num_goals)]

    def opposite(self, goals: FloatArray) -> FloatArray:
        """Goals (..., G) whose utility is one minus the utility of `goals`; GoalError where none exist."""
        raise GoalError(f"{self.name}: no goal is the opposite of another")

    def goal_name(self, goal: FloatArray) -> str:
        """A short name of one goal (G,) for tables and figures."""
        return f"({', '.join(f'{number:g}' for number in np.asarray(goal))})"


def check_goals(goals: Any, task_name: str, goal_size: int, known: Sequence[str]) -> FloatArray:
    """Goals as float64 (..., G); raises GoalError unless every one has `goal_size` finite numbers."""
    try:
        array = np.asarray(goals, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(())
    if array.ndim == 0 or array.shape[-1] != goal_size or not np.isfinite(array).all():
        example = f"; for example {', '.join(known)}" if known else ""
        raise GoalError(f"{task_name}: a goal is {goal_size} finite numbers, got {goals!r}{example}")
    return array
