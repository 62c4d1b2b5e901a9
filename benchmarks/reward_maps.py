"""Learned rewards over places, and latents of users: what the figures of reward models draw, kept as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.benchmarks.experiment import Experiment, Method
from pluralbench.benchmarks.preparation import Prepared, SeedData, comparison_states
from pluralbench.benchmarks.rewards import pair_classifier_of, rewards_served
from pluralbench.envs.household.catalogue import CONTAINERS, OBJECTS, PLACES, REARRANGE_OBJECTS, attribute_table
from pluralbench.envs.household.rearrange import RearrangeTask
from pluralbench.envs.household.tidy import TidyTask
from pluralbench.envs.maze.maps import CELL_SHIFT
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.envs.ravens.task import BLOCK_SIZE, WORKSPACE_HIGH, WORKSPACE_LOW, RavensTask
from pluralbench.files import replace_file
from pluralbench.reward_learning.reward_model import RewardModel
from pluralbench.reward_learning.scaling import fit_scaling

MOST_USERS = 10
CELL_POINTS = 6
"""Points along each side of a cell of the maze."""
TABLE_POINTS = (30, 60)
"""Points along x and y of the table."""


@dataclass(frozen=True)
class Probe:
    """Places laid out in a rectangle of H x W, for which a reward can be asked.

    Attributes:
        observations: (H * W, S) float32, NaN where nobody can be.
        shape: (H, W).
        row_names, column_names: H and W names where rows and columns have any.
    """

    observations: NDArray[np.float32]
    shape: tuple[int, int]
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()


def probe_of(task: MultiGoalTask) -> Probe | None:
    """The places of a task that a picture can show; None for a task of which nothing more is known."""
    if isinstance(task, MazeTask):
        return _maze_probe(task)
    if isinstance(task, RavensTask):
        return _table_probe()
    if isinstance(task, RearrangeTask):
        bowl = np.zeros((1, task.observation_size), dtype=np.float32)
        bowl[0, 8 + REARRANGE_OBJECTS.index("bowl")] = 1.0
        return Probe(task.outcomes(bowl)[0], (1, task.action_size), ("bowl",), PLACES)
    if isinstance(task, TidyTask):
        presented = np.zeros((len(OBJECTS), task.observation_size), dtype=np.float32)
        presented[:, 7:] = attribute_table()
        outcomes = task.outcomes(presented)  # (16, 2, S)
        return Probe(outcomes.reshape(-1, task.observation_size), outcomes.shape[:2], tuple(OBJECTS), CONTAINERS)
    return None


def _maze_probe(task: MazeTask) -> Probe:
    """The ball at rest on a grid of positions."""
    rows, cols = (CELL_POINTS * size for size in task.map.walls.shape)
    row, col = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    positions = (np.stack([row, col], axis=-1).reshape(-1, 2) + 0.5) / CELL_POINTS - CELL_SHIFT
    observations = np.concatenate([positions, np.zeros_like(positions)], axis=1).astype(np.float32)
    observations[~task.map.is_free(positions)] = np.nan
    return Probe(observations, (rows, cols))


def _table_probe() -> Probe:
    """The block at rest on a grid of places on the table, free, the cup 0.1 m above it."""
    low, high = WORKSPACE_LOW, WORKSPACE_HIGH
    x, y = np.meshgrid(*(np.linspace(low[i], high[i], TABLE_POINTS[i]) for i in (0, 1)), indexing="ij")
    block = np.stack([x.ravel(), y.ravel(), np.full(x.size, BLOCK_SIZE / 2)], axis=1)
    cup = block + np.array([0.0, 0.0, 0.1])
    observations = np.concatenate([cup, block, np.zeros((x.size, 1))], axis=1)
    return Probe(observations.astype(np.float32), TABLE_POINTS)


def reward_maps(
    prepared: Prepared, data: SeedData, method: Method, model: RewardModel, user_latents: Tensor, experiment: Experiment
) -> dict[str, dict[str, Any]]:
    """Scaled reward of each place for one evaluation user of each group, beside the true utility.

    Returns:
        By the name of each reward that the method's policy serves: `learned` and `true`, (U, H, W), NaN where nobody
        can be; `users`, names of their goals; `rows` and `columns`, names of places. Nothing for an environment that
        no probe knows.
    """
    probe = probe_of(prepared.task)
    if probe is None:
        return {}
    reachable = np.asarray(np.isfinite(probe.observations).all(axis=1))
    users = data.held_out.take_users(data.evaluation_rows)
    _, first = np.unique(users.group_index, return_index=True)
    first = first[:MOST_USERS]
    names = [prepared.task.goal_name(users.goals[user]) for user in first]
    true = np.full((len(first), len(reachable)), np.nan, dtype=np.float32)
    for row, user in enumerate(first):
        true[row, reachable] = prepared.task.utility(probe.observations[reachable], users.goals[user])
    latents = user_latents[torch.as_tensor(first)]
    states = torch.as_tensor(comparison_states(experiment, prepared, data.seed)).to(latents.device)
    classifier = pair_classifier_of(method, model, data, str(latents.device))
    places = torch.as_tensor(probe.observations[reachable]).to(latents.device)
    table = probe.shape[0] == 1  # one row each: all users in one table
    shape = (1, *true.shape) if table else (-1, *probe.shape)
    maps = {}
    for name, reward in rewards_served(method, model).items():
        scaled = fit_scaling(method.scaling, reward, latents, states, classifier)
        learned = np.full_like(true, np.nan)
        for row in range(len(first)):
            index = torch.full((len(places),), row, dtype=torch.long, device=latents.device)
            learned[row, reachable] = scaled(places, index).cpu().numpy()
        maps[name] = {
            "learned": learned.reshape(shape),
            "true": true.reshape(shape),
            "users": ["each user"] if table else names,
            "rows": names if table else list(probe.row_names),
            "columns": list(probe.column_names),
        }
    return maps


def latent_rows(model: RewardModel, data: SeedData, num_answers: int) -> dict[str, Any]:
    """Posterior means (U, Z) of held-out users from `num_answers` answers, and their groups."""
    posterior = model.infer(data.held_out.take_queries(np.arange(num_answers)))
    return {
        "means": posterior.mean.cpu().numpy(),
        "groups": [data.held_out.group_names[index] for index in data.held_out.group_index],
    }


def save_reward_maps(path: Path, maps: dict[str, dict[str, Any]]) -> None:
    """One npz for all rewards: `<name>/learned`, `<name>/true`, `<name>/users`."""
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
