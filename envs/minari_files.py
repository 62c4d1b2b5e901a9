"""Minari's datasets on this disk, written and read; nothing is downloaded. Needs the extra `minari`.

An exported folder is a whole Minari dataset: put it under $MINARI_DATASETS_PATH and
`minari.load_dataset("maze-large-v0")` finds it, or open it where it is with `minari.MinariDataset(folder / "data")`.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.progress import Progress

_ID = re.compile(r"[A-Za-z0-9_.-]+-v\d+")
_METADATA_KEY = "pluralbench_metadata"


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
    """Reads a Minari dataset that lies on this disk.

    Of dictionary observations the entry `observation` is taken (the goal beside it is hidden here); discrete actions
    become one-hot. An episode that ends without a flag becomes a timeout, unless the data ends with it.

    Args:
        folder: the dataset's folder, or its `data` folder.
        progress: told (episodes read, all of them).

    Raises:
        DatasetError: Minari is missing, or the folder holds no Minari dataset, a damaged one, or one of other spaces.
    """
    _require_minari()
    from minari.dataset.minari_storage import MinariStorage

    folder = Path(folder).expanduser()
    data = folder / "data" if (folder / "data").is_dir() else folder
    try:
        metadata = MinariStorage.read_raw_metadata(data)
        if not {"observation_space", "action_space"} <= metadata.keys():
            # Minari would build the environment that the file names, and so run whatever code the file points at.
            raise DatasetError(f"{folder}: the Minari dataset does not say what its spaces are, so it is not read")
        storage = MinariStorage.read(data)
        total = storage.total_episodes
        parts = []
        for episode in storage.get_episodes(range(total)):
            parts.append(_columns(episode, storage))
            if progress is not None:
                progress(len(parts), total)
    except DatasetError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, AssertionError, ImportError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{folder}: not a Minari dataset, or a damaged one ({reason})") from error
    if not parts:
        raise DatasetError(f"{folder}: the Minari dataset holds no episodes")
    for part in parts[:-1]:
        part["timeouts"][-1] |= not part["terminals"][-1]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    kept = metadata.get(_METADATA_KEY, {"source": metadata.get("dataset_id", folder.name), "layout": "Minari"})
    return TransitionDataset(**columns, metadata=kept)


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


def _columns(episode: dict[str, Any], storage: Any) -> dict[str, NDArray[Any]]:
    """The columns of one of Minari's episodes."""
    observations, actions = episode["observations"], episode["actions"]
    if isinstance(observations, dict):
        observations = observations["observation"]
    if isinstance(storage.action_space, gym.spaces.Discrete):
        actions = np.eye(storage.action_space.n)[np.asarray(actions) - storage.action_space.start]
    observations, actions = (np.asarray(values, dtype=np.float32) for values in (observations, actions))
    steps = len(actions)
    if steps == 0 or len(observations) != steps + 1:
        raise DatasetError(f"episode {episode['id']} has {len(observations)} observations for {steps} actions")
    return {
        "observations": observations[:-1].reshape(steps, -1),
        "actions": actions.reshape(steps, -1),
        "next_observations": observations[1:].reshape(steps, -1),
        "rewards": np.asarray(episode["rewards"], dtype=np.float32),
        "terminals": np.asarray(episode["terminations"], dtype=np.bool_),
        "timeouts": np.asarray(episode["truncations"], dtype=np.bool_).copy(),
    }
