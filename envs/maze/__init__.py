"""Maze-Navigation; MuJoCo is imported only when an environment is made or data is collected."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pluralbench.envs import gymnasium_ids
from pluralbench.envs.environments import DataFormat, Environment, Settings, collect_at, script_at
from pluralbench.envs.maze.presets import D4RL_LIKE_PRESETS, PRESETS, VARIANTS
from pluralbench.envs.maze.task import MazeTask
from pluralbench.features import InputFeatures


def _format(description: str, module: str) -> DataFormat:
    """The format whose functions `read` and `write` lie in a module here."""
    place = f"pluralbench.envs.maze.{module}"
    return DataFormat(description, partial(script_at, f"{place}:read"), partial(script_at, f"{place}:write"))


FORMATS = {
    "maze2d": _format("D4RL's maze2d-* as one HDF5 file", "maze2d_files"),
    "pointmaze": _format("gymnasium-robotics' PointMaze as a Minari folder, in its own frame", "pointmaze_files"),
}


def _environment(name: str, data: str, presets: Mapping[str, Settings]) -> Environment:
    """The maze, with the data and the behaviour policy whose functions end in `data`."""
    return Environment(
        name=name,
        gym_id=gymnasium_ids.MAZE,
        make_task=MazeTask,
        collect=partial(collect_at, f"pluralbench.envs.maze.waypoint_policy:collect{data}"),
        behaviour_version=4,
        success_version=2,  # 1: at any time in an episode
        behaviour=partial(script_at, f"pluralbench.envs.maze.scripts:behaviour_script{data}"),
        tour=partial(script_at, "pluralbench.envs.maze.scripts:tour_script"),
        planner=partial(script_at, "pluralbench.envs.maze.scripts:planned_script"),
        default_population="two-goals",
        presets=presets,
        variants=VARIANTS,
        features=InputFeatures(sinusoid_columns=(0, 1), wavelengths=(8.0, 4.0, 2.0)),
        state_grid=lambda: MazeTask().state_grid(),
        max_parallel_episodes=4096,
        peer_gym_id="gymnasium_robotics:PointMaze_Large-v3",
        formats=FORMATS,
        recorded_arguments=("layout",),
        reference_returns=partial(script_at, "pluralbench.envs.maze.reference_returns:reference_returns"),
    )


MAZE = _environment("maze", "", PRESETS)
MAZE_D4RL_LIKE = _environment("maze-d4rl-like", "_like_d4rl", D4RL_LIKE_PRESETS)
