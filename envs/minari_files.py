"""Minari's datasets on this disk, read; nothing is downloaded, and Minari itself is not needed.

Files are read here by the rules of `pluralbench.hdf5_files`, for Minari's own reader follows links to other files and
builds whatever environment a file names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

METADATA_KEY = "pluralbench_metadata"
"""Under which a dataset of ours keeps its metadata."""
Frame = Callable[[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]
"""Turns stored observations (T + 1, S) and actions (T, A) of an episode into those of another frame."""
_LARGEST_CHOICE = 1 << 40
_FLOAT_BYTES = 4


def import_minari(
    folder: Path | str,
    progress: Progress | None = None,
    entries: tuple[str, ...] = ("observation",),
    frame: Frame | None = None,
) -> TransitionDataset:
    """Reads a Minari dataset that lies on this disk, in Minari's HDF5 format.

    Discrete actions become one-hot. An episode that ends without a flag becomes a timeout, unless the data ends there.

    Args:
        folder: the dataset's folder, or its `data` folder.
        progress: told (episodes read, all of them).
        entries: what is taken of dictionary observations, side by side; a goal beside them is hidden here.
        frame: applied to each episode in its order, before numbers become float32.

    Raises:
        DatasetError: the folder holds no Minari dataset, a damaged one, or one of other spaces.
    """
    folder = Path(folder).expanduser()
    try:
        data, metadata = _metadata(folder)
        spaces, total = _spaces(folder, metadata, entries), metadata.get("total_episodes")
        if type(total) is not int or metadata.get("data_format", "hdf5") != "hdf5":
            raise DamagedFileError(f"{data / 'metadata.json'}: should name the number of episodes and the format hdf5")
        kept = metadata.get(METADATA_KEY, {"source": metadata.get("dataset_id", folder.name), "layout": "Minari"})
        if not isinstance(kept, dict):
            raise DamagedFileError(f"{data / 'metadata.json'}: {METADATA_KEY} should be a JSON object")
        with open_hdf5(data / "main_data.hdf5") as file:
            parts = _episodes_read(file, spaces, total, progress, frame)
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


def stored_environment(folder: Path | str) -> dict[str, Any]:
    """What a Minari dataset says of its environment: Gymnasium's EnvSpec as JSON values, from which nothing is built.

    Empty where it says nothing.

    Raises:
        DatasetError: the folder holds no Minari dataset, or a damaged one.
    """
    folder = Path(folder).expanduser()
    try:
        text = _metadata(folder)[1].get("env_spec")
        spec = json_values(text, finite=False) if isinstance(text, str) else {}
    except (DamagedFileError, ValueError, OSError) as error:
        raise DatasetError(f"{folder}: not a Minari dataset, or a damaged one ({plain(error, 200)})") from error
    return spec if isinstance(spec, dict) else {}


def stored_sizes(folder: Path | str) -> dict[str, tuple[int, ...]]:
    """The shapes of a Minari dataset's entries of dictionary observations, and of its `actions`; empty for others."""
    try:
        metadata = _metadata(Path(folder).expanduser())[1]
        seen, done = (json_values(metadata[key], finite=False) for key in ("observation_space", "action_space"))
        spaces = {**seen["subspaces"], "actions": done}
        return {name: tuple(space["shape"]) for name, space in spaces.items()}
    except (DamagedFileError, OSError, ValueError, TypeError, LookupError):
        return {}


def _metadata(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The folder that holds the data, and its metadata."""
    data = folder / "data" if (folder / "data").is_dir() else folder
    return data, read_json(data / "metadata.json")


@dataclass(frozen=True)
class _Space:
    """What is read of one of Minari's spaces: the array's name in an episode, the shape of a step, and choices."""

    name: str
    shape: tuple[int, ...]
    num_choices: int | None = None
    first_choice: int = 0


_Spaces = tuple[tuple[_Space, ...], _Space]
"""Of the parts of an observation, and of actions."""


def _spaces(folder: Path, metadata: dict[str, Any], entries: tuple[str, ...]) -> _Spaces:
    if not {"observation_space", "action_space"} <= metadata.keys():
        raise DatasetError(f"{folder}: the Minari dataset does not say what its spaces are, so it is not read")
    try:
        seen, done = (json_values(metadata[key], finite=False) for key in ("observation_space", "action_space"))
        if seen["type"] == "Dict":
            parts = tuple(_space(f"observations/{entry}", seen["subspaces"][entry]) for entry in entries)
            return parts, _space("actions", done)
        return (_space("observations", seen),), _space("actions", done)
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
    file: h5py.File, spaces: _Spaces, total: int, progress: Progress | None, frame: Frame | None
) -> list[dict[str, NDArray[Any]]]:
    """The columns of each of Minari's episodes."""
    parts: list[dict[str, NDArray[Any]]] = []
    num_bytes = 0
    for number in range(total):
        part = _columns(file, f"episode_{number}", *spaces, frame)
        num_bytes += sum(values.nbytes for values in part.values())
        check_declared(file.filename, num_bytes)  # many episodes may be one and the same in the file
        parts.append(part)
        if progress is not None:
            progress(number + 1, total)
    return parts


def _columns(
    file: h5py.File, episode: str, seen: tuple[_Space, ...], done: _Space, frame: Frame | None
) -> dict[str, NDArray[Any]]:
    """The columns of one of Minari's episodes."""
    choices, group = done.num_choices, plain_group(file, episode)
    names = [*(space.name for space in seen), done.name, "rewards", "terminations", "truncations"]
    stored = {name: plain_dataset(group, name) for name in names}
    steps = stored[done.name].shape[0] if stored[done.name].ndim else 0
    shapes = {**{space.name: (steps + 1, *space.shape) for space in seen}, done.name: (steps, *done.shape)}
    if choices:
        check_declared(file.filename, steps * choices * _FLOAT_BYTES)
    for name, dataset in stored.items():
        if steps == 0 or dataset.shape != shapes.get(name, (steps,)):
            raise DamagedFileError(f"{episode} has {name} of the shape {dataset.shape} for {steps} steps")
    arrays = {name: read_numbers(dataset) for name, dataset in stored.items()}
    observations = np.concatenate([arrays[space.name].reshape(steps + 1, -1) for space in seen], axis=1)
    actions = _one_hot(arrays[done.name], done, episode) if choices else arrays[done.name].reshape(steps, -1)
    if frame is not None:
        observations, actions = frame(observations, actions)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite then, which a dataset refuses
        observations, actions, rewards = (
            values.astype(np.float32) for values in (observations, actions, arrays["rewards"])
        )
    return {
        "observations": observations[:-1],
        "actions": actions,
        "next_observations": observations[1:],
        "rewards": rewards,
        "terminals": arrays["terminations"].astype(np.bool_),
        "timeouts": arrays["truncations"].astype(np.bool_),
    }


def _one_hot(values: NDArray[Any], space: _Space, episode: str) -> NDArray[np.float32]:
    """Choices (T,) as rows (T, A) with a single 1."""
    choices = space.num_choices or 0
    chosen = values.astype(np.int64) - space.first_choice if values.dtype.kind in "iu" else np.array([-1])
    if not 0 <= chosen.min() <= chosen.max() < choices:
        raise DamagedFileError(f"{episode} has actions that are none of {choices} choices")
    actions = np.zeros((len(chosen), choices), np.float32)
    actions[np.arange(len(chosen)), chosen] = 1
    return actions
