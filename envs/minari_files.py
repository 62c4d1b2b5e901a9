"""Minari's datasets on this disk, written and read; nothing is downloaded. Writing needs the extra `minari`.

Files are read here by the rules of `pluralbench.hdf5_files`, for Minari's own reader follows links to other files and
builds whatever environment a file names.

An exported folder is a whole Minari dataset: put it under $MINARI_DATASETS_PATH and
`minari.load_dataset("maze-large-v0")` finds it, or open it where it is with `minari.MinariDataset(folder / "data")`.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.errors import DamagedFileError
from pluralbench.files import json_values, read_json
from pluralbench.hdf5_files import open_hdf5, plain_dataset, plain_group, read_numbers
from pluralbench.integrity import check_declared
from pluralbench.lines import plain
from pluralbench.progress import Progress

_ID = re.compile(r"[A-Za-z0-9_.-]+-v\d+")
_METADATA_KEY = "pluralbench_metadata"
_LARGEST_CHOICE = 1 << 40
_FLOAT_BYTES = 4


def export_minari(
    dataset: TransitionDataset, folder: Path | str, gym_id: str | None = None, progress: Progress | None = None
) -> None:
    """Writes the dataset as a Minari dataset, whose id is the folder's name.

    Args:
        dataset: its `next_observations` must be the observations of the following row, inside episodes.
        folder: a new folder whose name is a Minari id, for example `maze-large-v0`.
        gym_id: the environment to note in the dataset, so that Minari can build it again.
        progress: told (episodes written, all of them); Minari takes some milliseconds for each.

    Raises:
        DatasetError: Minari is missing, the folder exists or is not named like an id, or the episodes are not chains.
    """
    _require_minari()
    folder = Path(folder).expanduser().absolute()  # Minari joins a relative one twice
    if not _ID.fullmatch(folder.name):
        raise DatasetError(f"a Minari dataset is named like 'maze-large-v0', with a version; {folder.name!r} is not")
    if folder.exists():
        raise DatasetError(f"{folder} exists already; Minari datasets are not overwritten")
    _check_chains(dataset)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        _write(dataset, partial, folder.name, gym_id, progress)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def import_minari(folder: Path | str, progress: Progress | None = None) -> TransitionDataset:
    """Reads a Minari dataset that lies on this disk, in Minari's HDF5 format.

    Of dictionary observations the entry `observation` is taken (the goal beside it is hidden here); discrete actions
    become one-hot. An episode that ends without a flag becomes a timeout, unless the data ends with it.

    Args:
        folder: the dataset's folder, or its `data` folder.
        progress: told (episodes read, all of them).

    Raises:
        DatasetError: the folder holds no Minari dataset, a damaged one, or one of other spaces.
    """
    folder = Path(folder).expanduser()
    try:
        data = folder / "data" if (folder / "data").is_dir() else folder
        metadata = read_json(data / "metadata.json")
        spaces, total = _spaces(folder, metadata), metadata.get("total_episodes")
        if type(total) is not int or metadata.get("data_format", "hdf5") != "hdf5":
            raise DamagedFileError(f"{data / 'metadata.json'}: should name the number of episodes and the format hdf5")
        kept = metadata.get(_METADATA_KEY, {"source": metadata.get("dataset_id", folder.name), "layout": "Minari"})
        if not isinstance(kept, dict):
            raise DamagedFileError(f"{data / 'metadata.json'}: {_METADATA_KEY} should be a JSON object")
        with open_hdf5(data / "main_data.hdf5") as file:
            parts = _episodes_read(file, spaces, total, progress)
    except (DamagedFileError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(f"{folder}: not a Minari dataset, or a damaged one ({reason})") from error
    if not parts:
        raise DatasetError(f"{folder}: the Minari dataset holds no episodes")
    for part in parts[:-1]:
        part["timeouts"][-1] |= not part["terminals"][-1]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    try:
        return TransitionDataset(**columns, metadata=kept)
    except DatasetError as error:
        raise DatasetError(f"{folder}: {error}") from error


def _require_minari() -> None:
    try:
        import minari  # noqa: F401
    except ImportError as error:
        raise DatasetError(f"Minari is not installed ({error}); pip install pluralbench[minari]") from error


def _check_chains(dataset: TransitionDataset) -> None:
    inside = np.ones(len(dataset) - 1, dtype=np.bool_)
    inside[dataset.episode_bounds[:-1, 1] - 1] = False
    continues = (dataset.next_observations[:-1] == dataset.observations[1:]).all(axis=1)
    if not continues[inside].all():
        row = int(np.flatnonzero(inside & ~continues)[0])
        raise DatasetError(f"Minari keeps whole episodes, but next_observations of row {row} are not row {row + 1}'s")


def _write(
    dataset: TransitionDataset, folder: Path, dataset_id: str, gym_id: str | None, progress: Progress | None
) -> None:
    import minari
    from minari.dataset.minari_storage import MinariStorage

    data = folder / "data"
    data.mkdir(parents=True)
    storage = MinariStorage.new(
        data,
        observation_space=gym.spaces.Box(-np.inf, np.inf, dataset.observations.shape[1:], np.float32),
        action_space=gym.spaces.Box(-np.inf, np.inf, dataset.actions.shape[1:], np.float32),
        env_spec=None if gym_id is None else gym.spec(gym_id),
    )
    description = "Behaviour data of a PluralBench environment."
    metadata = {"dataset_id": dataset_id, "minari_version": minari.__version__, "description": description}
    storage.update_metadata({**metadata, _METADATA_KEY: dataset.metadata})
    storage.update_episodes(_episodes(dataset, progress))


def _episodes(dataset: TransitionDataset, progress: Progress | None) -> Iterator[Any]:
    from minari.data_collector import EpisodeBuffer

    bounds = dataset.episode_bounds
    for number, (start, stop) in enumerate(bounds):
        yield EpisodeBuffer(
            id=number,
            observations=np.concatenate([dataset.observations[start:stop], dataset.next_observations[stop - 1 : stop]]),
            actions=dataset.actions[start:stop],
            rewards=dataset.rewards[start:stop],
            terminations=dataset.terminals[start:stop],
            truncations=dataset.timeouts[start:stop],
        )
        if progress is not None:
            progress(number + 1, len(bounds))


@dataclass(frozen=True)
class _Space:
    """What is read of one of Minari's spaces: the array's name in an episode, the shape of a step, and choices."""

    name: str
    shape: tuple[int, ...]
    num_choices: int | None = None
    first_choice: int = 0


def _spaces(folder: Path, metadata: dict[str, Any]) -> tuple[_Space, _Space]:
    """Of observations and of actions."""
    if not {"observation_space", "action_space"} <= metadata.keys():
        raise DatasetError(f"{folder}: the Minari dataset does not say what its spaces are, so it is not read")
    try:
        seen, done = (json_values(metadata[key], finite=False) for key in ("observation_space", "action_space"))
        if seen["type"] == "Dict":
            return _space("observations/observation", seen["subspaces"]["observation"]), _space("actions", done)
        return _space("observations", seen), _space("actions", done)
    except (ValueError, TypeError, LookupError) as error:
        reason = f"lacks {error}" if isinstance(error, LookupError) else plain(error, 200)
        raise DamagedFileError(f"its spaces cannot be read: {reason}") from error


def _space(name: str, space: dict[str, Any]) -> _Space:
    kind = space["type"]
    if kind == "Discrete":
        choices, first = space["n"], space["start"]
        if not (_is_count(choices) and type(first) is int and abs(first) < _LARGEST_CHOICE):
            raise ValueError(f"{name} of {plain(choices, 40)} choices from {plain(first, 40)} on")
        return _Space(name, (), choices, first)
    if kind == "MultiBinary":
        shape = space["n"] if isinstance(space["n"], list) else [space["n"]]
    elif kind == "MultiDiscrete":
        shape = np.shape(space["nvec"])
    elif kind == "Box":
        shape = space["shape"]
    else:
        raise ValueError(f"{name} of the type {plain(kind)}")
    if not all(_is_count(size) for size in shape):
        raise ValueError(f"{name} of the shape {plain(shape)}")
    return _Space(name, tuple(shape))


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < _LARGEST_CHOICE


def _episodes_read(
    file: h5py.File, spaces: tuple[_Space, _Space], total: int, progress: Progress | None
) -> list[dict[str, NDArray[Any]]]:
    """The columns of each of Minari's episodes."""
    parts: list[dict[str, NDArray[Any]]] = []
    num_bytes = 0
    for number in range(total):
        part = _columns(file, f"episode_{number}", *spaces)
        num_bytes += sum(values.nbytes for values in part.values())
        check_declared(file.filename, num_bytes)  # many episodes may be one and the same in the file
        parts.append(part)
        if progress is not None:
            progress(number + 1, total)
    return parts


def _columns(file: h5py.File, episode: str, seen: _Space, done: _Space) -> dict[str, NDArray[Any]]:
    """The columns of one of Minari's episodes."""
    choices, group = done.num_choices, plain_group(file, episode)
    stored = {
        name: plain_dataset(group, name) for name in (seen.name, done.name, "rewards", "terminations", "truncations")
    }
    steps = stored[done.name].shape[0] if stored[done.name].ndim else 0
    shapes = {seen.name: (steps + 1, *seen.shape), done.name: (steps, *done.shape)}
    if choices:
        check_declared(file.filename, steps * choices * _FLOAT_BYTES)
    for name, dataset in stored.items():
        if steps == 0 or dataset.shape != shapes.get(name, (steps,)):
            raise DamagedFileError(f"{episode} has {name} of the shape {dataset.shape} for {steps} steps")
    with np.errstate(over="ignore", invalid="ignore"):  # infinite then, which a dataset refuses
        arrays = {name: read_numbers(dataset) for name, dataset in stored.items()}
        observations, actions, rewards = (arrays[name].astype(np.float32) for name in (seen.name, done.name, "rewards"))
    if choices:
        chosen = arrays[done.name].astype(np.int64) - done.first_choice
        if arrays[done.name].dtype.kind not in "iu" or not 0 <= chosen.min() <= chosen.max() < choices:
            raise DamagedFileError(f"{episode} has actions that are none of {choices} choices")
        actions = np.zeros((steps, choices), np.float32)
        actions[np.arange(steps), chosen] = 1
    return {
        "observations": observations[:-1].reshape(steps, -1),
        "actions": actions.reshape(steps, -1),
        "next_observations": observations[1:].reshape(steps, -1),
        "rewards": rewards,
        "terminals": arrays["terminations"].astype(np.bool_),
        "timeouts": arrays["truncations"].astype(np.bool_),
    }
