"""Where a named dataset lies, a file's path or `d4rl:NAME` for one of the package d4rl, and whether it fits a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.folders import expanded
from pluralbench.registry import unknown_name

_PREFIX = "d4rl:"
_LEAST_SHARE = 0.99
"""Of a dataset's observations and actions, that must be possible where it is used."""
_ROUNDING = 1e-3


def dataset_file(specification: str) -> Path:
    """The file of a dataset; d4rl fetches its own where it is not there. DatasetError for what there is not."""
    if not specification.startswith(_PREFIX):
        path = expanded(specification)
        if path.is_dir():
            raise DatasetError(f"{specification} is a folder: `pluralbench data convert` makes a file of Minari's data")
        if not path.is_file():
            raise DatasetError(f"no file {specification} to take the dataset from")
        return path
    name = specification.removeprefix(_PREFIX)
    try:
        from d4rl.infos import DATASET_URLS
        from d4rl.offline_env import download_dataset_from_url
    except Exception as error:  # mujoco-py, which d4rl imports, raises a plain one without MuJoCo 2.1
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DatasetError(
            f"{specification} needs the package d4rl, which cannot be imported ({reason}): install "
            "pluralbench[d4rl], or give the path of a file of D4RL's, which is read without it"
        ) from error
    if name not in DATASET_URLS:
        raise DatasetError(unknown_name("dataset of d4rl", name, DATASET_URLS))
    return Path(download_dataset_from_url(DATASET_URLS[name]))


def check_fits(dataset: TransitionDataset, task: MultiGoalTask) -> None:
    """Refuses data that is of something else, although its arrays may have the right shapes.

    Raises:
        DatasetError: other sizes, actions that are none here, or observations that cannot be made here: those of
            another library with another frame or other units.
    """
    sizes = dataset.observations.shape[1], dataset.actions.shape[1]
    wanted = task.observation_size, task.action_size
    if sizes != wanted:
        raise DatasetError(f"holds observations and actions of sizes {sizes}; {task.name} has {wanted}")
    actions = dataset.actions
    if task.discrete_actions:
        fits, words = ((actions == 0) | (actions == 1)).all(axis=1) & (actions.sum(axis=1) == 1), "rows with a single 1"
    else:
        fits, words = (np.abs(actions) <= 1 + _ROUNDING).all(axis=1), "numbers from -1 to 1"
    if fits.mean() < _LEAST_SHARE:
        raise DatasetError(
            f"actions of {task.name} are {words}, {_share(~fits)} of these are not, {_example(actions, fits)}"
        )
    possible = task.possible(dataset.observations)
    if possible.mean() < _LEAST_SHARE:
        example = _example(dataset.observations, possible)
        raise DatasetError(
            f"{_share(~possible)} of its observations cannot be made in {task.name}, {example}: they seem to be of "
            "another library, with another frame or other units"
        )


def _share(which: NDArray[np.bool_]) -> str:
    return f"{100 * which.mean():.0f} %"


def _example(rows: NDArray[np.float32], good: NDArray[np.bool_]) -> str:
    row = rows[np.flatnonzero(~good)[0]]
    return f"such as ({', '.join(f'{number:.3g}' for number in row)})"
