"""Maze-Navigation; MuJoCo is imported only when an environment is made or data is collected."""

from __future__ import annotations

from functools import partial

from pluralbench.envs import gymnasium_ids
from pluralbench.envs.environments import Environment, collect_at
from pluralbench.envs.maze.presets import PRESETS, VARIANTS
from pluralbench.envs.maze.task import MazeTask
from pluralbench.features import InputFeatures

MAZE = Environment(
    name="maze",
    gym_id=gymnasium_ids.MAZE,
    make_task=MazeTask,
    collect=partial(collect_at, "pluralbench.envs.maze.waypoint_policy:collect"),
    behaviour_version=3,
    default_population="two-goals",
    presets=PRESETS,
    variants=VARIANTS,
    features=InputFeatures(sinusoid_columns=(0, 1), wavelengths=(8.0, 4.0, 2.0)),
    state_grid=lambda: MazeTask().state_grid(),
    max_parallel_episodes=4096,
    peer_gym_id="gymnasium_robotics:PointMaze_Large-v3",
)
