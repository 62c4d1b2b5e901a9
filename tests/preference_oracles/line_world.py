"""A task of one dimension for these tests: places on a line, users who want to be near one of them, or far from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from envs.multigoal import FloatArray, GoalError, check_goals
from envs.transitions import TransitionDataset


class LineWorld:
    """Goals are (row, column, sign); utility is the nearness of the observation to row + column / 10 in [0, 1]."""

    name = "line"
    observation_size = 3
    action_size = 1
    goal_size = 3
    observation_names = ("x (m)", "y (m)", "z (m)")
    max_episode_steps = 20

    def goal(self, value: ArrayLike) -> FloatArray:
        array = np.asarray(value)
        if array.dtype.kind not in "if" or array.shape not in ((2,), (3,)) or not (np.abs(array[:2]) <= 12).all():
            raise GoalError(f"line: a goal is (row, column), got {value!r}")
        return np.append(array, 1.0) if len(array) == 2 else array.astype(float)

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> FloatArray:
        places = generator.uniform(1, 8, size=(num_goals, 2))
        return np.concatenate([places, np.ones((num_goals, 1))], axis=1)

    def opposite(self, goals: FloatArray) -> FloatArray:
        return np.asarray(goals) * [1, 1, -1]

    def utility(self, observations: FloatArray, goals: FloatArray) -> FloatArray:
        goals = check_goals(goals, self.name, 3, ["(7, 1)"])
        place = (goals[..., 0] + goals[..., 1] / 10) / 12
        near = 1 - np.abs(observations[..., 0] - place)
        return np.where(goals[..., 2] > 0, near, 1 - near).astype(np.float32)

    def success(self, observations: FloatArray, goals: FloatArray) -> np.ndarray:
        return self.utility(observations, goals) > 0.95

    def goal_name(self, goal: FloatArray) -> str:
        text = f"({goal[0]:g}, {goal[1]:g})"
        return text if goal[2] > 0 else f"not {text}"


def line_data(num_episodes: int = 50, length: int = 20, seed: int = 0) -> TransitionDataset:
    """Episodes of `length` uniform positions; the second and third number tell the transition and the episode."""
    num = num_episodes * length
    observations = np.empty((num, 3), dtype=np.float32)
    observations[:, 0] = np.random.default_rng(seed).random(num)
    observations[:, 1] = np.arange(num)
    observations[:, 2] = np.repeat(np.arange(num_episodes), length)
    timeouts = np.zeros(num, dtype=bool)
    timeouts[length - 1 :: length] = True
    return TransitionDataset(
        observations=observations,
        actions=np.zeros((num, 1), dtype=np.float32),
        next_observations=observations,
        rewards=np.zeros(num, dtype=np.float32),
        terminals=np.zeros(num, dtype=bool),
        timeouts=timeouts,
    )
