"""Data in the layout of D4RL's maze2d files, written and read; their frame and units are ours.

A file holds N + M rows for N transitions in M episodes: the observation that an episode ends with has no row otherwise.

    observations   (N + M, 4) float32, row, col, row velocity, col velocity
    actions        (N + M, 2) float32; zeros in the last row of an episode, where nothing was done any more
    rewards        (N + M,) float32, of being at the row's observation (one row later than usual)
    terminals      (N + M,) bool, False everywhere: maze2d never terminates
    timeouts       (N + M,) bool, True in the last row of an episode
    infos/qpos     (N + M, 2) float32, infos/qvel likewise: the observation's halves
    infos/goal     (N + M, 2) float32, where the goal of each episode is known (`metadata["goals"]`), else not there
    attribute      maze, its name; D4RL's files have none, and its readers do not look at it

`infos/goal` is what D4RL's controller was on the way to. Our own data do not keep it; maze2d files and PointMaze do. Of
the first reward of an episode nothing is known but that D4RL's are 1 within 0.5 m of the maze's own goal (or, dense,
e to the minus distance); where the data's rewards follow neither rule, it is 0.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.gymnasium_ids import MAZE
from pluralbench.envs.maze.data_layout import check_layout, layout_of
from pluralbench.envs.maze.maps import LAYOUTS, load_map
from pluralbench.envs.maze.task import SUCCESS_RADIUS
from pluralbench.envs.transition_files import is_maze2d, load_transitions
from pluralbench.envs.transitions import DatasetError, Float32, TransitionDataset
from pluralbench.folders import expanded
from pluralbench.hdf5_files import create_hdf5, open_hdf5, text_attribute
from pluralbench.progress import Progress

MAZE_ATTRIBUTE = "maze"
_ROUNDING = 1e-5


def read(path: Path, progress: Progress | None = None) -> TransitionDataset | None:
    """The data of a maze2d file with its faults put right (`transition_files`) and its maze named; None for others.

    Raises:
        DatasetError: it is of no maze known here, or damaged.
    """
    path = expanded(path)
    if path.is_dir() or not is_maze2d(path):
        return None
    dataset = load_transitions(path, goals=True)
    try:
        layout = _named_layout(dataset, path) or layout_of(dataset.observations, path.name)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    return replace(dataset, metadata={**dataset.metadata, "environment": MAZE, "layout": layout, "format": "maze2d"})


def write(dataset: TransitionDataset, path: Path, progress: Progress | None = None) -> None:
    """Writes the data as a maze2d file.

    Raises:
        DatasetError: they are not of a maze known here, or something terminates in them.
    """
    layout = maze_of(dataset)
    if dataset.terminals.any():
        raise DatasetError(
            f"maze2d never terminates, and {int(dataset.terminals.sum())} transitions do; write them without --as"
        )
    arrays = _rows(dataset, layout)
    with create_hdf5(path) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip")
        file.attrs[MAZE_ATTRIBUTE] = np.bytes_(layout)


def _named_layout(dataset: TransitionDataset, path: Path) -> str | None:
    """The maze that the file names, checked; None where it names none that is known here."""
    with open_hdf5(path) as file:
        layout = text_attribute(file, MAZE_ATTRIBUTE)
    if layout not in LAYOUTS:
        return None
    check_layout(dataset.observations, layout)
    return layout


def maze_of(dataset: TransitionDataset) -> str:
    """The maze of data in our frame, as their metadata name it; DatasetError where they are of none."""
    sizes = dataset.observations.shape[1], dataset.actions.shape[1]
    named, layout = dataset.metadata.get("environment"), dataset.metadata.get("layout")
    if named not in (MAZE, None) or sizes != (4, 2):
        raise DatasetError(f"{named or 'data'} with observations and actions of sizes {sizes} are not of a maze")
    if named == MAZE and isinstance(layout, str):
        load_map(layout)
        check_layout(dataset.observations, layout)
        return layout
    return layout_of(dataset.observations, str(dataset.metadata.get("source", "")))


def goals_of(dataset: TransitionDataset) -> NDArray[np.float64] | None:
    """The goal (M, 2) of each episode; None where they are not known."""
    try:
        goals = np.array(dataset.metadata.get("goals"), dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return goals if goals.shape == (len(dataset.episode_bounds), 2) else None


def _rows(dataset: TransitionDataset, layout: str) -> dict[str, NDArray[Any]]:
    bounds = dataset.episode_bounds
    ends = bounds[:, 1]  # before which a row is put in, in the terms of the transitions
    place = np.arange(len(dataset)) + dataset.episode_index  # of each transition
    last = ends + np.arange(len(bounds))  # of the rows that are put in
    num = len(dataset) + len(bounds)
    observations, actions = np.zeros((num, 4), np.float32), np.zeros((num, 2), np.float32)
    observations[place], observations[last] = dataset.observations, dataset.next_observations[ends - 1]
    actions[place] = dataset.actions
    first = bounds[:, 0] + np.arange(len(bounds))
    rewards = np.zeros(num, np.float32)
    rewards[place + 1] = dataset.rewards
    rewards[first] = _first_rewards(dataset, layout)
    timeouts = np.zeros(num, np.bool_)
    timeouts[last] = True
    arrays: dict[str, NDArray[Any]] = {
        "observations": observations,
        "actions": actions,
        "rewards": rewards,
        "terminals": np.zeros(num, np.bool_),
        "timeouts": timeouts,
        "infos/qpos": observations[:, :2],
        "infos/qvel": observations[:, 2:],
    }
    goals = goals_of(dataset)
    if goals is not None:
        arrays["infos/goal"] = np.repeat(goals, bounds[:, 1] - bounds[:, 0] + 1, axis=0).astype(np.float32)
    return arrays


def _first_rewards(dataset: TransitionDataset, layout: str) -> Float32:
    """The rewards (M,) of being at the first observation of each episode, by the rule that the other rewards follow."""
    first = dataset.observations[dataset.episode_bounds[:, 0]]
    for rule in (_sparse, _dense):
        if np.abs(rule(dataset.next_observations, layout) - dataset.rewards).max() <= _ROUNDING:
            return rule(first, layout)
    return np.zeros(len(first), np.float32)


def _sparse(observations: Float32, layout: str) -> Float32:
    return (_distance(observations, layout) <= SUCCESS_RADIUS).astype(np.float32)


def _dense(observations: Float32, layout: str) -> Float32:
    return np.exp(-_distance(observations, layout)).astype(np.float32)


def _distance(observations: Float32, layout: str) -> Float32:
    """From the maze's own goal, m."""
    goal = np.array(load_map(layout).own_goal, dtype=np.float32)
    return np.asarray(np.linalg.norm(observations[:, :2] - goal, axis=1))
