"""Minari's datasets written to this disk; needs the extra `minari`.

An exported folder is a whole Minari dataset: put it under $MINARI_DATASETS_PATH and
`minari.load_dataset("maze-large-v0")` finds it, or open it where it is with `minari.MinariDataset(folder / "data")`.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from pluralbench.envs.minari_files import METADATA_KEY
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.progress import Progress

_ID = re.compile(r"[A-Za-z0-9_.-]+-v\d+")
_DESCRIPTION = "Behaviour data of a PluralBench environment."


@dataclass(frozen=True)
class MinariHome:
    """The environment that a dataset is of, as Minari notes it.

    Attributes:
        observation_space: of one observation; where the data leave a Box it is noted without bounds.
        action_space: of one action. Of a Discrete one the data hold one-hot rows, and Minari gets the choices.
        spec: what Minari can build the environment from; None for none.
        metadata: further metadata of Minari's, such as `ref_max_score`.
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    spec: EnvSpec | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def export_minari(
    dataset: TransitionDataset,
    folder: Path | str,
    gym_id: str | None = None,
    progress: Progress | None = None,
    home: MinariHome | None = None,
) -> None:
    """Writes the dataset as a Minari dataset, whose id is the folder's name.

    Args:
        dataset: its `next_observations` must be the observations of the following row, inside episodes.
        folder: a new folder whose name is a Minari id, for example `maze-large-v0`.
        gym_id: the environment to note in the dataset where there is no `home`, so that Minari can build it again.
        progress: told (episodes written, all of them); Minari takes some milliseconds for each.
        home: spaces and environment; None for boxes without bounds.

    Raises:
        DatasetError: Minari is missing, the folder exists or is not named like an id, the episodes are not chains, or
            actions are none of a Discrete space.
    """
    if home is None:
        spec = None if gym_id is None else gym.spec(gym_id)
        home = MinariHome(_unbounded(dataset.observations), _unbounded(dataset.actions), spec)
    space, actions = home.action_space, cast("NDArray[Any]", dataset.actions)
    if isinstance(space, gym.spaces.Discrete):
        actions = _choices(dataset, space)
    else:
        space = _bounded(space, dataset.actions)
    bounded = _bounded(home.observation_space, dataset.observations, dataset.next_observations)
    home = MinariHome(bounded, space, home.spec, {**home.metadata, METADATA_KEY: dataset.metadata})
    columns = (observations_of(dataset), np.split(actions, dataset.episode_bounds[1:, 0]))
    write_minari(dataset, zip(*columns, strict=True), folder, home, progress)


def observations_of(dataset: TransitionDataset) -> Iterator[NDArray[np.float32]]:
    """The observations (T + 1, S) of each episode."""
    for start, stop in dataset.episode_bounds:
        yield np.concatenate([dataset.observations[start:stop], dataset.next_observations[stop - 1 : stop]])


def write_minari(
    dataset: TransitionDataset,
    columns: Iterator[tuple[Any, NDArray[Any]]],
    folder: Path | str,
    home: MinariHome,
    progress: Progress | None = None,
) -> None:
    """Writes observations and actions that may have been changed, with the rewards and ends of the dataset.

    Args:
        dataset: as in `export_minari`.
        columns: of each episode, observations (T + 1, ...), or a dictionary of such, and actions (T, ...).
        folder: as in `export_minari`.
        home: the spaces of the columns, their environment and metadata.
        progress: as in `export_minari`.

    Raises:
        DatasetError: as in `export_minari`.
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
        _write(dataset, columns, partial, folder.name, home, progress)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unbounded(values: NDArray[np.float32]) -> gym.spaces.Box:
    return gym.spaces.Box(-np.inf, np.inf, values.shape[1:], np.float32)


def _bounded(space: gym.Space[Any], *arrays: NDArray[np.float32]) -> gym.Space[Any]:
    """The space, or a Box without bounds where it is none of these numbers, or does not hold all of them."""
    if not isinstance(space, gym.spaces.Box) or space.shape != arrays[0].shape[1:] or space.dtype != np.float32:
        return _unbounded(arrays[0])
    fits = all((values >= space.low).all() and (values <= space.high).all() for values in arrays)
    return space if fits else _unbounded(arrays[0])


def _choices(dataset: TransitionDataset, space: gym.spaces.Discrete) -> NDArray[np.int64]:
    """The choices (N,) that one-hot rows (N, A) stand for."""
    actions = dataset.actions
    single = ((actions == 0) | (actions == 1)).all(axis=1) & (actions.sum(axis=1) == 1)
    if actions.shape[1] != space.n or not single.all():
        row = int(np.flatnonzero(~single)[0]) if not single.all() else 0
        raise DatasetError(f"the {space.n} choices are stored as rows with a single 1; actions of row {row} are not")
    return actions.argmax(axis=1) + int(space.start)


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
    dataset: TransitionDataset,
    columns: Iterator[tuple[Any, NDArray[Any]]],
    folder: Path,
    dataset_id: str,
    home: MinariHome,
    progress: Progress | None,
) -> None:
    import minari
    from minari.dataset.minari_storage import MinariStorage

    data = folder / "data"
    data.mkdir(parents=True)
    storage = MinariStorage.new(
        data, observation_space=home.observation_space, action_space=home.action_space, env_spec=home.spec
    )
    metadata = {"dataset_id": dataset_id, "minari_version": minari.__version__, "description": _DESCRIPTION}
    storage.update_metadata({**metadata, **home.metadata})
    storage.update_episodes(_episodes(dataset, columns, progress))


def _episodes(
    dataset: TransitionDataset, columns: Iterator[tuple[Any, NDArray[Any]]], progress: Progress | None
) -> Iterator[Any]:
    from minari.data_collector import EpisodeBuffer

    bounds = dataset.episode_bounds
    for number, ((start, stop), (observations, actions)) in enumerate(zip(bounds, columns, strict=True)):
        yield EpisodeBuffer(
            id=number,
            observations=observations,
            actions=actions,
            rewards=dataset.rewards[start:stop],
            terminations=dataset.terminals[start:stop],
            truncations=dataset.timeouts[start:stop],
        )
        if progress is not None:
            progress(number + 1, len(bounds))
