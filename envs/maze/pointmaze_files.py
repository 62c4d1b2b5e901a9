"""Data of gymnasium-robotics' PointMaze as Minari keeps it, read and written in its own frame.

PointMaze has D4RL's mazes and ball in another frame, with the origin in the middle of the map: x along the columns, y
against the rows. On a map of R rows and C columns the middle of the square of cell (row, col) is at
(col + 1/2 - C/2, R/2 - row - 1/2); ours is at (row - 0.2, col - 0.2) (`maps`). So

    row = R/2 - 0.7 - y     row velocity = -vy     row force = -force y
    col = x + C/2 - 0.7     col velocity =  vx     col force =  force x

Steps last 0.01 s in both, and the ball, its motors and the clipping of its velocity are the same. Different are

- the rewards: PointMaze's are for a goal that it shows (`desired_goal`), 1 within 0.45 m of it, or dense. They are kept
  as they are when data come in. What is written gets PointMaze's sparse rewards, unless its own came from PointMaze.
- the ends: in Minari's PointMaze data an episode is cut (`truncations`) where a goal is reached and the next one drawn,
  as in D4RL's; with `continuing_task=False` it terminates there. Both flags are kept in either direction.
- the goals: an episode's goal is the `desired_goal` of its last observation, for the first still shows the goal before.
  They are kept in `metadata["goals"]` in our frame; what has none is written with the maze's own goal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from pluralbench.envs.gymnasium_ids import MAZE
from pluralbench.envs.maze.data_layout import check_layout
from pluralbench.envs.maze.maps import CELL_SHIFT, LAYOUTS, MazeMap, load_map
from pluralbench.envs.maze.maze2d_files import goals_of, maze_of
from pluralbench.envs.maze.reference_returns import EPISODE_STEPS
from pluralbench.envs.minari_export import MinariHome, observations_of, write_minari
from pluralbench.envs.minari_files import METADATA_KEY, import_minari, stored_environment, stored_sizes
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.lines import plain
from pluralbench.progress import Progress

GOAL_RADIUS = 0.45  # m
_ENTRIES = ("observation", "desired_goal")
_SIZES = {"observation": (4,), "achieved_goal": (2,), "desired_goal": (2,), "actions": (2,)}
_NAME = re.compile(r"PointMaze_(Open|UMaze|Medium|Large)")
_ID = re.compile(r"PointMaze\w*-v\d+")
_ENTRY_POINT = "gymnasium_robotics.envs.maze.point_maze:PointMazeEnv"
_KEPT = "pointmaze"  # in the metadata: id and arguments of the environment, whose rewards the data have

Numbers = NDArray[Any]


def to_ours(maze: MazeMap, observations: Numbers) -> Numbers:
    """Positions and velocities (..., 4), or positions (..., 2), of PointMaze in our frame, float64."""
    rows, cols = maze.walls.shape
    x, y = (np.asarray(observations[..., axis], dtype=np.float64) for axis in (0, 1))
    columns = [rows / 2 - CELL_SHIFT - y, x + cols / 2 - CELL_SHIFT]
    if observations.shape[-1] == 4:
        columns += [-np.asarray(observations[..., 3], np.float64), np.asarray(observations[..., 2], np.float64)]
    return np.stack(columns, axis=-1)


def to_theirs(maze: MazeMap, observations: Numbers) -> Numbers:
    """The inverse of `to_ours`."""
    rows, cols = maze.walls.shape
    row, col = (np.asarray(observations[..., axis], dtype=np.float64) for axis in (0, 1))
    columns = [col - (cols / 2 - CELL_SHIFT), rows / 2 - CELL_SHIFT - row]
    if observations.shape[-1] == 4:
        columns += [np.asarray(observations[..., 3], np.float64), -np.asarray(observations[..., 2], np.float64)]
    return np.stack(columns, axis=-1)


def read(folder: Path, progress: Progress | None = None) -> TransitionDataset | None:
    """PointMaze data in a folder of Minari's, in our frame; None for other folders and files.

    Raises:
        DatasetError: the map is none of ours, is not told, or does not hold the positions; or the data are damaged.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        return None
    spec = stored_environment(folder)
    name = str(spec.get("id", ""))
    if not name.startswith("PointMaze"):
        if not spec and stored_sizes(folder) == _SIZES:
            raise DatasetError(
                f"{folder}: looks like PointMaze and does not say of which environment it is: neither its map nor its "
                "frame is known"
            )
        return None
    try:
        maze = load_map(_layout(name, spec.get("kwargs")))
        if stored_sizes(folder) not in ({}, _SIZES):
            raise DatasetError(f"{plain(name, 40)} has observations (4), goals (2) and actions (2); these have not")
        dataset = _read(folder, maze, spec, progress)
        check_layout(dataset.observations, maze.name)
    except DatasetError as error:
        raise DatasetError(f"{folder}: {str(error).removeprefix(f'{folder}: ')}") from error
    return dataset


def _layout(name: str, arguments: Any) -> str:
    """The name here of PointMaze's map."""
    given = arguments.get("maze_map") if isinstance(arguments, dict) else None
    if given is None:
        found = _NAME.match(name)
        if not found:
            raise DatasetError(f"it does not say what the map of {plain(name, 40)} is")
        return found[1].lower()
    if not (isinstance(given, list) and all(isinstance(row, list) and len(row) == len(given[0]) for row in given)):
        raise DatasetError("its maze_map is not a table")
    walls = [[cell == 1 for cell in row] for row in given]
    for layout in LAYOUTS:
        if load_map(layout).walls.tolist() == walls:
            return layout
    rows, cols = len(given), len(given[0]) if given else 0
    raise DatasetError(f"its map of {rows} x {cols} cells is none of those known here: {', '.join(LAYOUTS)}")


def _read(folder: Path, maze: MazeMap, spec: dict[str, Any], progress: Progress | None) -> TransitionDataset:
    goals: list[list[float]] = []

    def frame(observations: Numbers, actions: Numbers) -> tuple[Numbers, Numbers]:
        goals.append(to_ours(maze, observations[-1, 4:]).tolist())
        return to_ours(maze, observations[:, :4]), np.stack([-actions[:, 1], actions[:, 0]], axis=1)

    dataset = import_minari(folder, progress, _ENTRIES, frame)
    if not np.isfinite(goals).all():
        raise DatasetError("desired_goal must be finite")
    arguments = spec.get("kwargs") if isinstance(spec.get("kwargs"), dict) else {}
    metadata = {
        "source": dataset.metadata.get("source", folder.name),
        "environment": MAZE,
        "layout": maze.name,
        "format": _KEPT,
        "rewards": "PointMaze's, for the goal of each episode",
        _KEPT: {"id": spec["id"], "max_episode_steps": spec.get("max_episode_steps"), "kwargs": arguments},
        "goals": goals,
    }
    try:
        json.dumps(metadata, allow_nan=False)
    except ValueError as error:
        raise DatasetError(f"the arguments of {plain(spec['id'], 40)} must be finite") from error
    return replace(dataset, metadata=metadata)


def write(dataset: TransitionDataset, folder: Path, progress: Progress | None = None) -> None:
    """Writes data of the maze as a Minari dataset of PointMaze.

    Raises:
        DatasetError: they are not of a maze known here; or as in `export_minari`.
    """
    maze = load_map(maze_of(dataset))
    goals = goals_of(dataset)
    if goals is None:
        goals = np.tile(np.array(maze.own_goal, dtype=np.float64), (len(dataset.episode_bounds), 1))
    if _KEPT not in dataset.metadata:
        goal_of_row = goals[dataset.episode_index]
        distance = np.linalg.norm(dataset.next_observations[:, :2].astype(np.float64) - goal_of_row, axis=1)
        dataset = replace(dataset, rewards=(distance <= GOAL_RADIUS).astype(np.float32))
    unbounded: dict[str, gym.Space[Any]] = {
        name: gym.spaces.Box(-np.inf, np.inf, size, np.float64) for name, size in _SIZES.items() if name != "actions"
    }
    home = MinariHome(
        observation_space=gym.spaces.Dict(unbounded),
        action_space=gym.spaces.Box(-1.0, 1.0, (2,), np.float32),
        spec=_spec(maze, dataset.metadata.get(_KEPT)),
        metadata={METADATA_KEY: dataset.metadata},
    )
    write_minari(dataset, _columns(dataset, maze, goals), folder, home, progress)


def _columns(
    dataset: TransitionDataset, maze: MazeMap, goals: NDArray[np.float64]
) -> Iterator[tuple[dict[str, Numbers], Numbers]]:
    episodes = zip(dataset.episode_bounds, observations_of(dataset), to_theirs(maze, goals), strict=True)
    for (start, stop), observations, goal in episodes:
        moved = to_theirs(maze, observations)
        columns = {
            "observation": moved,
            "achieved_goal": moved[:, :2].copy(),
            "desired_goal": np.tile(goal, (len(moved), 1)),
        }
        actions = dataset.actions[start:stop]
        yield columns, np.stack([actions[:, 1], -actions[:, 0]], axis=1)


def _spec(maze: MazeMap, kept: Any) -> EnvSpec:
    """Of the PointMaze that the data came from, else of the one with this map and D4RL's goal cell."""
    if isinstance(kept, dict) and isinstance(kept.get("kwargs"), dict) and _ID.fullmatch(str(kept.get("id"))):
        name, steps, arguments = kept["id"], kept.get("max_episode_steps"), kept["kwargs"]
    else:
        table: list[list[int | str]] = [[int(wall) for wall in row] for row in maze.walls]
        table[maze.own_goal[0]][maze.own_goal[1]] = "g"
        title = "UMaze" if maze.name == "umaze" else maze.name.title()
        name, steps = f"PointMaze_{title}-v3", EPISODE_STEPS[maze.name]
        rules = {"reward_type": "sparse", "continuing_task": True, "reset_target": False}
        arguments = {"maze_map": table, **rules}
    return EnvSpec(id=name, entry_point=_ENTRY_POINT, max_episode_steps=steps, kwargs=arguments)
