"""Maze-Navigation: registered here; MuJoCo is imported only when an environment is made or data is collected."""

from __future__ import annotations

import gymnasium as gym

from pluralbench.envs.environments import Environment, Progress, environments
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.transitions import TransitionDataset

GYM_ID = "pluralbench/MazeNavigation-v0"


def _collect(num_transitions: int, seed: int, progress: Progress | None = None) -> TransitionDataset:
    from pluralbench.envs.maze.waypoint_policy import collect

    return collect(num_transitions, seed, progress)


gym.register(
    id=GYM_ID,
    entry_point="pluralbench.envs.maze.environment:MazeNavigation",
    vector_entry_point="pluralbench.envs.maze.vector_environment:MazeNavigationVector",
    max_episode_steps=MazeTask.max_episode_steps,
)
environments.register(
    "maze",
    Environment(
        name="maze",
        gym_id=GYM_ID,
        make_task=MazeTask,
        collect=_collect,
        behaviour_version=3,
        default_population="two-goals",
    ),
)
