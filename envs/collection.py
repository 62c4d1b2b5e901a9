"""Data on demand: an environment's behaviour data, collected on first use and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path

from pluralbench.envs.environments import Environment
from pluralbench.envs.random_actions import collect_random
from pluralbench.envs.transition_files import load_transitions, save_transitions
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.folders import expanded, make_writable
from pluralbench.progress import Progress

DATA_DIR_VARIABLE = "PLURALBENCH_DATA_DIR"
DATA_ADVICE = f"name another folder for data with --data-dir or {DATA_DIR_VARIABLE}"


def data_folder(data_dir: Path | str | None = None) -> Path:
    """Where datasets are kept: `data_dir`, else $PLURALBENCH_DATA_DIR, else the user's cache folder."""
    chosen = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if chosen:
        return expanded(chosen)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pluralbench"


def cached_transitions_path(
    environment: Environment, num_transitions: int, seed: int, data_dir: Path | str | None = None
) -> Path:
    """The file that holds this data once collected; another setting, simulator or behaviour version has another one."""
    task = environment.make_task()
    key = {
        "environment": environment.name,
        "gym_id": environment.gym_id,
        "behaviour_version": environment.behaviour_version,
        "observation_names": list(task.observation_names),
        "action_size": task.action_size,
        "max_episode_steps": task.max_episode_steps,
        "num_transitions": int(num_transitions),
        "seed": int(seed),
        **environment.arguments,
    }
    if environment.collect is None:
        key["policy"] = "random-actions"
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    parts = [environment.name, *environment.arguments.values(), f"v{environment.behaviour_version}"]
    name = f"{'-'.join(parts)}-{num_transitions}-seed{seed}-{digest[:10]}.hdf5"
    return data_folder(data_dir) / "transitions" / name


def load_or_collect(
    environment: Environment,
    num_transitions: int,
    seed: int,
    data_dir: Path | str | None = None,
    progress: Progress | None = None,
) -> TransitionDataset:
    """The environment's behaviour data: from the cache, or collected now and put there.

    The same arguments give the same bytes, on disk too: two processes that collect at once leave one whole file.

    Args:
        environment: whose behaviour policy to run; random actions where it has none.
        num_transitions: at least so many, in whole episodes.
        seed: of the behaviour policy.
        data_dir: see `data_folder`.
        progress: told (done, total) while data is collected.

    Raises:
        DatasetError: fewer than one transition wanted, or the policy gave too little. A damaged file in the cache is a
            warning: it is collected anew.
        FolderError: the folder cannot be written to.
    """
    if num_transitions < 1:
        raise DatasetError(f"the number of transitions must be at least 1, is {num_transitions}")
    path = cached_transitions_path(environment, num_transitions, seed, data_dir)
    if path.exists():
        try:
            return _checked(load_transitions(path), environment, num_transitions, path)
        except DatasetError as error:
            warnings.warn(f"collecting the data anew, since the cached file cannot be used: {error}", stacklevel=2)
    make_writable(path.parent, DATA_ADVICE)
    dataset = collect(environment, num_transitions, seed, progress)
    save_transitions(_checked(dataset, environment, num_transitions, path), path)
    return load_transitions(path)  # what every later run gets, the metadata's lists and numbers included


def collect(
    environment: Environment, num_transitions: int, seed: int, progress: Progress | None = None
) -> TransitionDataset:
    """Data of the environment's behaviour policy, or of random actions where it has none; nothing is kept."""
    if environment.collect is None:
        return collect_random(environment, num_transitions, seed, progress)
    return environment.collect(num_transitions, seed, progress, **environment.arguments)


def _checked(dataset: TransitionDataset, environment: Environment, num: int, path: Path) -> TransitionDataset:
    task = environment.make_task()
    expected = (task.observation_size, task.action_size)
    found = (dataset.observations.shape[1], dataset.actions.shape[1])
    if found != expected or len(dataset) < num:
        raise DatasetError(
            f"{path}: {environment.name} needs {num} transitions with observations and actions of {expected} numbers, "
            f"these are {len(dataset)} of {found}"
        )
    return dataset
