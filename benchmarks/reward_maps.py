"""Learned rewards over places, and latents of users: what the figures of reward models draw, kept as plain arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.experiment import Experiment, Method
from benchmarks.preparation import Prepared, SeedData, comparison_states
from envs.atomic_files import replace_file
from envs.maze.maps import CELL_SHIFT
from envs.maze.task import MazeTask
from envs.multigoal import MultiGoalTask
from reward_learning.reward_model import RewardModel
from reward_learning.scaling import fit_scaling

MOST_USERS = 10
CELL_POINTS = 6
"""Points along each side of a cell of the maze."""


def probe_observations(task: MultiGoalTask) -> tuple[NDArray[np.float32], tuple[int, int]] | None:
    """Observations (H * W, S) at rest on a grid of places, NaN inside walls, and (H, W); None without such a plane."""
    if not isinstance(task, MazeTask):
        return None
    rows, cols = (CELL_POINTS * size for size in task.map.walls.shape)
    row, col = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    positions = (np.stack([row, col], axis=-1).reshape(-1, 2) + 0.5) / CELL_POINTS - CELL_SHIFT
    observations = np.concatenate([positions, np.zeros_like(positions)], axis=1).astype(np.float32)
    observations[~task.map.is_free(positions)] = np.nan
    return observations, (rows, cols)


def reward_map(
    prepared: Prepared, data: SeedData, method: Method, model: RewardModel, user_latents: Tensor, experiment: Experiment
) -> dict[str, Any] | None:
    """Scaled reward of each place for one evaluation user of each group, beside the true utility.

    Returns:
        `learned` and `true`, (U, H, W), NaN where nobody can be; `users`, names of their goals. None for an environment
        without a plane of places.
    """
    probe = probe_observations(prepared.task)
    if probe is None:
        return None
    observations, shape = probe
    reachable = np.isfinite(observations).all(axis=1)
    users = data.held_out.take_users(data.evaluation_rows)
    _, first = np.unique(users.group_index, return_index=True)
    first = first[:MOST_USERS]
    states = torch.as_tensor(comparison_states(experiment, prepared, data.seed))
    latents = user_latents[torch.as_tensor(first)]
    scale = fit_scaling(method.scaling, model, latents, states)
    places = torch.as_tensor(observations[reachable])
    learned = np.full((len(first), len(observations)), np.nan, dtype=np.float32)
    true = learned.copy()
    for row, user in enumerate(first):
        index = torch.full((len(places),), row, dtype=torch.long)
        learned[row, reachable] = scale(places, index).cpu().numpy()
        true[row, reachable] = prepared.task.utility(observations[reachable], users.goals[user])
    return {
        "learned": learned.reshape(-1, *shape),
        "true": true.reshape(-1, *shape),
        "users": [prepared.task.goal_name(users.goals[user]) for user in first],
    }


def latent_rows(model: RewardModel, data: SeedData, num_answers: int) -> dict[str, Any]:
    """Posterior means (U, Z) of held-out users from `num_answers` answers, and their groups."""
    posterior = model.infer(data.held_out.take_queries(np.arange(num_answers)))
    return {
        "means": posterior.mean.cpu().numpy(),
        "groups": [data.held_out.group_names[index] for index in data.held_out.group_index],
    }


def save_reward_maps(path: Path, maps: dict[str, dict[str, Any]]) -> None:
    """One npz for all methods: `<method>/learned`, `<method>/true`, `<method>/users`."""
    _save(path, {f"{name}/{key}": np.asarray(value) for name, row in maps.items() for key, value in row.items()})


def save_latents(path: Path, latents: dict[str, dict[str, Any]]) -> None:
    """One npz for all learners with latents: `<learner>/means`, `<learner>/groups`."""
    rows = {name: row for name, row in latents.items() if row["means"].shape[1] > 0}
    _save(path, {f"{name}/{key}": np.asarray(value) for name, row in rows.items() for key, value in row.items()})


def load_arrays(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Reads either file: the arrays by method or learner; nothing where there is no such file."""
    if not path.exists():
        return {}
    arrays: dict[str, dict[str, NDArray[Any]]] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            name, _, part = key.rpartition("/")
            arrays.setdefault(name, {})[part] = file[key]
    return arrays


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    small: dict[str, Any] = {
        key: value.astype(np.float16) if value.dtype == np.float32 and value.ndim == 3 else value
        for key, value in arrays.items()
    }
    with replace_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **small)
