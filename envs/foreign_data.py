"""Data in and out: our files, D4RL's, Minari's, and the formats of other libraries that environments know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pluralbench.envs.environments import DataFormat, Environment, environments
from pluralbench.envs.minari_export import MinariHome, export_minari
from pluralbench.envs.minari_files import import_minari
from pluralbench.envs.transition_files import load_transitions
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.envs.vectors import make_single
from pluralbench.progress import Progress
from pluralbench.registry import unknown_name

SCORES = "reference_returns"
"""Where metadata keep the returns by which scores are normalised."""


def data_formats(environment: Environment | None = None) -> dict[str, DataFormat]:
    """The formats of an environment, which are asked first, and of all that are registered here, by name."""
    found: dict[str, DataFormat] = {} if environment is None else dict(environment.formats)
    for name in environments.registered():
        for format_name, known in environments.get(name).formats.items():
            found.setdefault(format_name, known)
    return found


def environment_of(metadata: Mapping[str, Any]) -> Environment | None:
    """The environment that made data with this metadata, by its name or Gymnasium id; None where it is not known here.

    Only what is registered in this process is looked at: a file cannot have anything imported.
    """
    made_in = metadata.get("environment")
    for name in environments.registered():
        found = environments.get(name)
        if made_in in (found.name, found.gym_id):
            return found
    return None


def read_data(
    path: Path, progress: Progress | None = None, environment: Environment | None = None
) -> TransitionDataset:
    """The data of a file or of a folder of Minari's; what an environment's format knows comes in that one's own frame.

    Formats are those of `data_formats(environment)`.

    Raises:
        DatasetError: no data, damaged, or of a frame or map that the environment does not have.
    """
    for known in data_formats(environment).values():
        dataset = known.read(path, progress)
        if dataset is not None:
            return dataset
    return import_minari(path, progress) if path.is_dir() else load_transitions(path)


def write_as(
    name: str,
    dataset: TransitionDataset,
    path: Path,
    progress: Progress | None = None,
    environment: Environment | None = None,
) -> None:
    """Writes data in the format of that name, of those of `data_formats(environment)`.

    Raises:
        DatasetError: no such format, or one that cannot hold these data.
    """
    formats = data_formats(environment)
    if name not in formats:
        raise DatasetError(unknown_name("data format", name, list(formats)))
    formats[name].write(dataset, path, progress)


def write_minari_folder(
    dataset: TransitionDataset, folder: Path, environment: Environment | None = None, progress: Progress | None = None
) -> None:
    """Writes data as a Minari dataset with the spaces of the environment that they are of.

    Args:
        dataset: the data.
        folder: as in `export_minari`.
        environment: whose data they are; None for what their metadata say.
        progress: as in `export_minari`.

    Raises:
        DatasetError: as in `export_minari`.
    """
    environment = environment or environment_of(dataset.metadata)
    home = None if environment is None else _home(environment, dataset.metadata)
    export_minari(dataset, folder, progress=progress, home=home)


def _home(environment: Environment, metadata: Mapping[str, Any]) -> MinariHome:
    recorded = {name: metadata.get(name) for name in environment.recorded_arguments}
    arguments = {name: value for name, value in recorded.items() if isinstance(value, str)}
    env = make_single(environment, disable_env_checker=True, **arguments)
    try:
        returns = reference_returns(metadata)
        own = returns.get("pluralbench") if returns else None
        scores = {"ref_min_score": own["random"], "ref_max_score": own["expert"]} if own else {}
        return MinariHome(env.observation_space, env.action_space, env.spec, scores)
    finally:
        env.close()


def reference_returns(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """The returns by which scores are normalised where the data were made; None where none are known."""
    environment = environment_of(metadata)
    if environment is None or environment.reference_returns is None:
        return None
    return environment.reference_returns(metadata)


def with_reference_returns(dataset: TransitionDataset) -> TransitionDataset:
    """The data with these returns in their metadata, where there are any."""
    returns = reference_returns(dataset.metadata)
    return replace(dataset, metadata={**dataset.metadata, SCORES: returns}) if returns else dataset
