"""Transitions on disk: HDF5 in D4RL's layout, and the files of D4RL itself with their faults put right.

What `save_transitions` writes (N transitions, S numbers of observation, A of action)::

    observations        (N, S) float32       rewards    (N,) float32, for arriving at next_observations
    actions             (N, A) float32       terminals  (N,) bool, the task ended
    next_observations   (N, S) float32       timeouts   (N,) bool, the episode was cut short
    metadata            text, JSON           attributes: format, checksum

What `load_transitions` does with a file that it did not write, in D4RL's layout:

- **No `next_observations`** (maze2d, AntMaze): they are the observations one row on, inside episodes only. The last
  transition of an episode has no successor and is left out, the one before marked as cut short; a terminal stays, with
  its own observation in place of the unknown one, as it bootstraps nothing.
- **No `timeouts`** (D4RL issue 176): with `next_observations`, an episode ends where they do not continue as the next
  row. A maze2d file has its ends where `terminals` says that a way point was reached (the task itself never
  terminates), else where `infos/goal` changes, else where the ball moves further in a step than it can. Any other file
  is refused.
- **Rewards one row late** (maze2d, issue 194): row t holds the reward of being at `observations[t]`; moved by one row.
- **Observations that stand still** (maze2d): D4RL's generator forgot to update the observation after each way point,
  so that the first row of an episode repeats the last of the one before. `infos/qpos` and `infos/qvel` replace it.

A maze2d file is known by its shape: no `next_observations`, four numbers of observation and two of action. What was
put right stands in `metadata["repairs"]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.transitions import Bool, DatasetError, Float32, TransitionDataset
from pluralbench.errors import DamagedFileError
from pluralbench.folders import expanded
from pluralbench.hdf5_files import (
    CHECKSUM_ATTRIBUTE,
    FORMAT_ATTRIBUTE,
    check_format_and_checksum,
    create_checked_hdf5,
    is_named,
    load_json,
    open_hdf5,
    plain_dataset,
    read_numbers,
    store_json,
)
from pluralbench.integrity import check_declared
from pluralbench.lines import plain

FORMAT = "pluralbench transitions 1"
_ARRAYS = ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts")
_REQUIRED = ("observations", "actions", "rewards", "terminals")
_FOREIGN_OPTIONAL = ("next_observations", "timeouts", "infos/goal", "infos/qpos", "infos/qvel")
_LARGEST_NUMBER = 4  # bytes of a number once it is read
_MAX_MAZE_STEP = 0.1  # m; twice what the ball can move in a step: 5 m/s for 0.01 s


def save_transitions(dataset: TransitionDataset, path: Path | str) -> None:
    """Writes the dataset as HDF5 in D4RL's layout; the same dataset gives the same bytes."""
    with create_checked_hdf5(path, FORMAT) as file:
        for name in _ARRAYS:
            file.create_dataset(name, data=getattr(dataset, name))
        store_json(file, "metadata", dataset.metadata)


def load_transitions(path: Path | str, goals: bool = False) -> TransitionDataset:
    """Reads what `save_transitions` wrote, or a file in D4RL's layout as the module's page says.

    Args:
        path: the file.
        goals: whether `metadata["goals"]` keeps, for each episode of a maze2d file, its last `infos/goal`.

    Raises:
        DatasetError: no HDF5, truncated, damaged, without the datasets named above, or of contradicting shapes.
    """
    path = expanded(path)
    try:
        with open_hdf5(path) as file:
            if CHECKSUM_ATTRIBUTE in file.attrs or FORMAT_ATTRIBUTE in file.attrs:
                check_format_and_checksum(file, FORMAT)
                metadata = load_json(file, "metadata")
                if not isinstance(metadata, dict):
                    raise DamagedFileError(f"{path}: the metadata should be a JSON object")
                return TransitionDataset(**_read(file, _ARRAYS), metadata=metadata)
            return _repaired(_read(file, _REQUIRED, _FOREIGN_OPTIONAL), path.name, goals)
    except DamagedFileError as error:
        raise DatasetError(str(error)) from error
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def is_maze2d(path: Path | str) -> bool:
    """Whether a file has the layout of D4RL's maze2d data and was not written by `save_transitions`.

    Raises:
        DatasetError: no HDF5.
    """
    try:
        with open_hdf5(expanded(path)) as file:
            if FORMAT_ATTRIBUTE in file.attrs or is_named(file, "next_observations"):
                return False
            if not all(is_named(file, name) for name in _REQUIRED):
                return False
            shapes = [plain_dataset(file, name).shape for name in ("observations", "actions")]
    except DamagedFileError as error:
        raise DatasetError(str(error)) from error
    return [shape[1:] for shape in shapes] == [(4,), (2,)]


def _read(file: h5py.File, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, NDArray[Any]]:
    missing = [name for name in required if not is_named(file, name)]
    if missing:
        found = ", ".join(plain(name) for name in list(file)[:8]) or "nothing"
        raise DamagedFileError(
            f"{file.filename}: no transitions in D4RL's layout; {', '.join(missing)} missing, has {found}"
        )
    present = [name for name in optional if is_named(file, name)]
    datasets = {name: plain_dataset(file, name) for name in (*required, *present)}
    check_declared(file.filename, sum(dataset.size * _LARGEST_NUMBER for dataset in datasets.values()))
    with np.errstate(over="ignore", invalid="ignore"):  # infinite then, which a dataset refuses
        return {
            name: read_numbers(dataset).astype(
                np.bool_ if name in ("terminals", "timeouts") else np.float32, copy=False
            )
            for name, dataset in datasets.items()
        }


def _repaired(arrays: dict[str, NDArray[Any]], name: str, goals: bool) -> TransitionDataset:
    """The dataset behind a file of D4RL's layout, its known faults put right."""
    _check_shapes(arrays)
    sizes = (arrays["observations"].shape[1], arrays["actions"].shape[1])
    is_maze = "next_observations" not in arrays and sizes == (4, 2)
    terminals, timeouts, repair = _episodes(arrays, is_maze)
    repairs = [repair] if repair else []
    metadata: dict[str, Any] = {"source": name, "layout": "D4RL maze2d" if is_maze else "D4RL", "repairs": repairs}
    if "next_observations" in arrays:
        used = {key: arrays[key] for key in ("observations", "actions", "next_observations", "rewards")}
        return TransitionDataset(**used, terminals=terminals, timeouts=timeouts, metadata=metadata)

    observations, rewards = arrays["observations"], arrays["rewards"]
    if is_maze:
        observations, num_replaced = _moving_observations(arrays)
        if num_replaced:
            repairs.append(f"{num_replaced} observations that stood still replaced by infos/qpos and infos/qvel")
        repairs.append("rewards moved by one row (D4RL issue 194)")

    ends = terminals | timeouts
    ends[-1] = True
    following = np.where(ends, np.arange(len(ends)), np.arange(1, len(ends) + 1))
    keep = ~ends | terminals
    if not keep.any():
        raise DatasetError("every episode is one row long, so that no transition has a successor")
    cut = ~ends & ~keep[following]  # the row after is left out
    repairs.append(f"next_observations rebuilt inside episodes; {int((~keep).sum())} rows without a successor left out")
    dataset = TransitionDataset(
        observations=observations[keep],
        actions=arrays["actions"][keep],
        next_observations=observations[following][keep],
        rewards=(rewards[following] if is_maze else rewards)[keep],
        terminals=terminals[keep],
        timeouts=cut[keep],
        metadata=metadata,
    )
    if goals and is_maze and "infos/goal" in arrays:
        last = arrays["infos/goal"][keep][dataset.episode_bounds[:, 1] - 1]
        if not np.isfinite(last).all():
            raise DatasetError("infos/goal must be finite")
        metadata["goals"] = last.tolist()
    return dataset


def _check_shapes(arrays: dict[str, NDArray[Any]]) -> None:
    num = len(arrays["observations"]) if arrays["observations"].ndim else 0
    if num == 0:
        raise DatasetError("holds no transitions")
    for name, values in arrays.items():
        per_step = name in ("rewards", "terminals", "timeouts")
        if values.ndim != (1 if per_step else 2) or len(values) != num:
            raise DatasetError(f"{name} should be ({num},{'' if per_step else ' ...'}), is {values.shape}")


def _episodes(arrays: dict[str, NDArray[Any]], is_maze: bool) -> tuple[Bool, Bool, str | None]:
    """Terminals and timeouts of a foreign file, and how they were found where it has no timeouts (see the page)."""
    terminals, observations = arrays["terminals"], arrays["observations"]
    if "timeouts" in arrays:
        return terminals, arrays["timeouts"], None
    never, breaks = np.zeros_like(terminals), np.zeros_like(terminals)
    if "next_observations" in arrays:
        breaks[:-1] = (arrays["next_observations"][:-1] != observations[1:]).any(axis=1)
        return terminals, breaks & ~terminals, "timeouts found where next_observations do not continue"
    if not is_maze:
        raise DatasetError("has neither timeouts nor next_observations, so that its episodes cannot be told apart")
    if terminals.any():
        return never, terminals, "no timeouts (D4RL issue 176): terminals taken as ends of episodes"
    if "infos/goal" in arrays:
        goals = arrays["infos/goal"]
        breaks[:-1] = (goals[1:] != goals[:-1]).any(axis=1)
        return never, breaks, "no timeouts (D4RL issue 176): episodes end where infos/goal changes"
    breaks[:-1] = np.linalg.norm(np.diff(observations[:, :2], axis=0), axis=1) > _MAX_MAZE_STEP
    return never, breaks, f"no timeouts: episodes end where a step is longer than {_MAX_MAZE_STEP} m"


def _moving_observations(arrays: dict[str, NDArray[Any]]) -> tuple[Float32, int]:
    """Observations with the rows that repeat the one before taken from the simulator's state, and their number."""
    observations = arrays["observations"]
    states = [arrays[name] for name in ("infos/qpos", "infos/qvel") if name in arrays]
    if len(states) != 2 or any(state.shape[1] != 2 for state in states):
        return observations, 0
    state = np.concatenate(states, axis=1)
    stale = np.zeros(len(observations), dtype=np.bool_)
    stale[1:] = (observations[1:] == observations[:-1]).all(axis=1)
    stale &= (observations != state).any(axis=1)
    return np.where(stale[:, None], state, observations), int(stale.sum())
