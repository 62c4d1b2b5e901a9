"""Maze-Navigation; MuJoCo is imported only when an environment is made or data is collected."""

from __future__ import annotations

from pluralbench.envs import gymnasium_ids
from pluralbench.envs.environments import Environment
from pluralbench.envs.maze.presets import PRESETS, VARIANTS
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.features import InputFeatures
from pluralbench.progress import Progress


def _collect(num_transitions: int, seed: int, progress: Progress | None = None) -> TransitionDataset:
    from pluralbench.envs.maze.waypoint_policy import collect

    return collect(num_transitions, seed, progress)


MAZE = Environment(
    name="maze",
    gym_id=gymnasium_ids.MAZE,
    make_task=MazeTask,
    collect=_collect,
    behaviour_version=3,
    default_population="two-goals",
    presets=PRESETS,
    variants=VARIANTS,
    features=InputFeatures(sinusoid_columns=(0, 1), wavelengths=(8.0, 4.0, 2.0)),
    state_grid=lambda: MazeTask().state_grid(),
    max_parallel_episodes=4096,
    peer_gym_id="gymnasium_robotics:PointMaze_Large-v3",
)
