"""Small tasks for these tests: nearness on a line, rankings of places, and sorting by attributes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.multigoal import FloatArray, GoalError, MultiGoalTask, check_goals
from pluralbench.envs.ravens.task import RavensTask
from pluralbench.envs.transitions import TransitionDataset


class LineWorld(MultiGoalTask):
    """Goals are (row, column, sign); utility is the nearness of the observation to row + column / 10 in [0, 1]."""

    name = "line"
    observation_size = 3
    action_size = 1
    goal_size = 3
    observation_names = ("x (m)", "y (m)", "z (m)")
    max_episode_steps = 20
    goal_sets = {"two-goals": ((7, 1), (7, 10))}  # noqa: RUF012

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


class RankingWorld(MultiGoalTask):
    """Goals are rankings of five places, the favourite first; an observation is one-hot in the place."""

    name = "ranking"
    observation_size = 5
    action_size = 5
    goal_size = 5
    observation_names = tuple(f"at place {i}" for i in range(5))
    max_episode_steps = 1

    def goal(self, value: ArrayLike) -> FloatArray:
        array = np.asarray(value)
        if array.dtype.kind not in "if" or array.shape != (5,) or sorted(array.tolist()) != list(range(5)):
            raise GoalError(f"ranking: a goal is a ranking of five places, got {value!r}")
        return array.astype(float)

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> FloatArray:
        return generator.permuted(np.tile(np.arange(5.0), (num_goals, 1)), axis=1)

    def opposite(self, goals: FloatArray) -> FloatArray:
        return np.asarray(goals)[..., ::-1].copy()

    def utility(self, observations: FloatArray, goals: FloatArray) -> FloatArray:
        worth = 1 - np.argsort(goals, axis=-1) / 4
        return (observations * worth).sum(-1).astype(np.float32)

    def success(self, observations: FloatArray, goals: FloatArray) -> np.ndarray:
        return self.utility(observations, goals) == 1

    def goal_name(self, goal: FloatArray) -> str:
        return " > ".join(f"{place:g}" for place in goal)


class AttributeWorld(MultiGoalTask):
    """Goals weigh five attributes; an observation is a thing's attributes (+1, -1) and the side that it lies on."""

    name = "attribute"
    observation_size = 6
    action_size = 2
    goal_size = 5
    observation_names = (*(f"attribute {i}" for i in range(5)), "side")
    max_episode_steps = 1

    def goal(self, value: ArrayLike) -> FloatArray:
        array = np.asarray(value)
        if array.dtype.kind not in "if" or array.shape != (5,):
            raise GoalError(f"attribute: a goal weighs five attributes, got {value!r}")
        return array.astype(float)

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> FloatArray:
        return generator.dirichlet(np.ones(5), num_goals)

    def opposite(self, goals: FloatArray) -> FloatArray:
        return -np.asarray(goals)

    def utility(self, observations: FloatArray, goals: FloatArray) -> FloatArray:
        meant = np.sign((observations[..., :5] * goals).sum(-1))
        return (0.5 + 0.5 * meant * observations[..., 5]).astype(np.float32)

    def success(self, observations: FloatArray, goals: FloatArray) -> np.ndarray:
        return self.utility(observations, goals) == 1

    def goal_name(self, goal: FloatArray) -> str:
        return " ".join(f"{weight:.2f}" for weight in goal)


def line_data(num_episodes: int = 50, length: int = 20, seed: int = 0) -> TransitionDataset:
    """Episodes of `length` uniform positions; the second and third number tell the transition and the episode."""
    num = num_episodes * length
    observations = np.empty((num, 3), dtype=np.float32)
    observations[:, 0] = np.random.default_rng(seed).random(num)
    observations[:, 1] = np.arange(num)
    observations[:, 2] = np.repeat(np.arange(num_episodes), length)
    return as_dataset(observations, length)


def as_dataset(observations: np.ndarray, length: int) -> TransitionDataset:
    """Transitions with these observations, in episodes of `length`."""
    num = len(observations)
    timeouts = np.zeros(num, dtype=bool)
    timeouts[length - 1 :: length] = True
    return TransitionDataset(
        observations=observations.astype(np.float32),
        actions=np.zeros((num, 1), dtype=np.float32),
        next_observations=observations.astype(np.float32),
        rewards=np.zeros(num, dtype=np.float32),
        terminals=np.zeros(num, dtype=bool),
        timeouts=timeouts,
    )


def random_data(task: object, num_episodes: int = 100, length: int = 20) -> TransitionDataset:
    """Random observations of the task, whatever its dynamics."""
    generator = np.random.default_rng(1)
    num = num_episodes * length
    if isinstance(task, RankingWorld):
        observations = np.eye(5)[generator.integers(5, size=num)]
    elif isinstance(task, AttributeWorld):
        observations = generator.choice([-1.0, 1.0], size=(num, 6))
    elif isinstance(task, MazeTask):
        observations = np.concatenate([task.sample_goals(num, generator)[:, :2], np.zeros((num, 2))], axis=1)
    elif isinstance(task, RavensTask):
        low, high = [0.3, -0.3, 0, 0.3, -0.3, 0.02, 0], [0.7, 0.3, 0.2, 0.7, 0.3, 0.05, 1]
        observations = generator.uniform(low, high, (num, 7))
    else:
        return line_data(num_episodes, length)
    return as_dataset(observations, length)


def all_tasks() -> list[MultiGoalTask]:
    """One task of every kind."""
    return [MazeTask(), RavensTask("four-zones"), RankingWorld(), AttributeWorld(), LineWorld()]
