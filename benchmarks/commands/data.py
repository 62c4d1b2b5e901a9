"""`pluralbench data`: generate, inspect and convert datasets and preference data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pluralbench.benchmarks.commands.places import check_target, dataset_bytes
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.envs import DatasetError, TransitionDataset, environments, load_transitions, save_transitions
from pluralbench.envs.collection import collect
from pluralbench.envs.environments import AUTO
from pluralbench.envs.foreign_data import (
    SCORES,
    read_data,
    reference_returns,
    with_reference_returns,
    write_as,
    write_minari_folder,
)
from pluralbench.envs.minari_files import import_minari
from pluralbench.errors import DamagedFileError
from pluralbench.files import replace_file
from pluralbench.folders import check_room
from pluralbench.hdf5_files import is_named, open_hdf5
from pluralbench.lines import plain
from pluralbench.preference_oracles.inspection import LONGEST_TEXT, describe
from pluralbench.preference_oracles.preference_files import export_npz, export_pairs, import_npz
from pluralbench.preference_oracles.preferences import PreferenceDataset, PreferenceError
from pluralbench.ranges import MOST, check_whole_number

HDF5 = (".hdf5", ".h5")
PAIRS = ".pairs.npz"
"""Ends the name of a file of one row per answered pair."""
MOST_COLUMNS = 100
"""Of observations, whose ranges `inspect` shows."""

_ARRAYS = ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts")


def generate(options: argparse.Namespace) -> None:
    """Runs an environment's behaviour policy and writes its dataset in D4RL's HDF5 layout."""
    check_whole_number(DatasetError, "--transitions", options.transitions, 1, MOST)
    if not options.path.is_dir() and options.path.suffix not in HDF5:
        raise DatasetError(
            f"{options.path} should end in {' or '.join(HDF5)}; `pluralbench data convert` makes other formats of it"
        )
    found = environments.get(options.environment).on(options.simulator or AUTO)
    check_target(options.path, dataset_bytes(found.make_task(), options.transitions))
    with Reporter().stage(f"{found.name}: {options.transitions} transitions") as progress:
        dataset = collect(found, options.transitions, options.seed, progress)
    save_transitions(dataset, options.path)
    print(f"wrote {options.path}")


def inspect(options: argparse.Namespace) -> None:
    """Prints what a file holds: preferences or transitions."""
    path = options.path
    if path.suffix == ".npz":
        print(describe(import_npz(path)))
    elif _is_preferences(path):
        print(describe(PreferenceDataset.load(path, lazy=True)))
    else:
        _inspect_transitions(path)


def convert(options: argparse.Namespace) -> None:
    """Rewrites preferences between HDF5 and npz or as pairs, and transitions between HDF5, npz, Minari and `--as`."""
    source, target = options.source, options.target
    if target.suffix:
        check_target(target)
    is_npz = source.suffix == ".npz"
    if not is_npz and not _is_preferences(source, own_format=bool(options.environment)):
        _convert_transitions(source, options)
        return
    if options.format or options.environment:
        raise PreferenceError(f"{source} holds preferences; --as and --environment are for transitions")
    preferences = import_npz(source) if is_npz else PreferenceDataset.load(source)
    if target.name.endswith(PAIRS):
        export_pairs(preferences, target)
    elif target.suffix == ".npz":
        export_npz(preferences, target)
    elif target.suffix in HDF5:
        preferences.save(target)
    else:
        raise PreferenceError(f"cannot tell the format of {target}: use .hdf5, .npz or .pairs.npz")


def _convert_transitions(source: Path, options: argparse.Namespace) -> None:
    target, reporter = options.target, Reporter()
    if target.name.endswith(PAIRS):
        raise DatasetError(f"{source} holds transitions, and {PAIRS} is for preferences: use .hdf5, .npz or a folder")
    environment = environments.get(options.environment) if options.environment else None
    if environment and (options.format or target.suffix) and not environment.formats:
        raise DatasetError(f"--environment is for folders of Minari's; {environment.name} brings no format of its own")
    with reporter.stage(f"reading {source}") as progress:
        dataset = with_reference_returns(read_data(source, progress, environment))
    check_room(target.parent, sum(getattr(dataset, name).nbytes for name in _ARRAYS), "choose another place")
    if options.format:
        with reporter.stage(f"writing {target}") as progress:
            write_as(options.format, dataset, target, progress, environment)
    elif target.suffix in HDF5:
        save_transitions(dataset, target)
    elif not target.suffix:
        with reporter.stage(f"writing {target}") as progress:
            write_minari_folder(dataset, target, environment, progress)
    elif target.suffix == ".npz":
        arrays: dict[str, Any] = {name: getattr(dataset, name) for name in _ARRAYS}
        with replace_file(target) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
    else:
        raise DatasetError(
            f"cannot tell the format of {target}: transitions are written as .hdf5, .npz or a Minari folder"
        )


def _inspect_transitions(path: Path) -> None:
    """Of an HDF5 file or of a folder of Minari's; what cannot be converted is shown as it is, with the reason."""
    try:
        print(_describe_transitions(read_data(path)))
    except DatasetError as error:
        print(_describe_transitions(import_minari(path) if path.is_dir() else load_transitions(path)))
        print(f"{'not converted':<13} {error}")


def _is_preferences(path: Path, own_format: bool = False) -> bool:
    """Whether a file holds preferences; one that is no HDF5 may be in some `own_format` of transitions."""
    if path.is_dir():
        return False
    try:
        with open_hdf5(path) as file:
            return is_named(file, "segments")
    except DamagedFileError as error:
        if own_format:
            return False
        raise DatasetError(str(error)) from error


def _describe_transitions(dataset: TransitionDataset) -> str:
    bounds = dataset.episode_bounds
    lengths = bounds[:, 1] - bounds[:, 0]
    low, high = (extreme[:MOST_COLUMNS] for extreme in (dataset.observations.min(0), dataset.observations.max(0)))
    left_out = dataset.observations.shape[1] - len(low)
    more = f"; and {left_out} more" if left_out else ""
    lines = [
        f"transitions   {len(dataset)}",
        f"episodes      {len(bounds)}, {lengths.min()} to {lengths.max()} steps, mean {lengths.mean():.1f}",
        f"terminals     {int(dataset.terminals.sum())}, timeouts {int(dataset.timeouts.sum())}",
        f"rewards       mean {dataset.rewards.mean():.4f}, {dataset.rewards.min():g} to {dataset.rewards.max():g}",
        f"actions       {dataset.actions.shape[1]} numbers, {dataset.actions.min():.3f} to {dataset.actions.max():.3f}",
        "observations  " + "; ".join(f"{a:.3f} to {b:.3f}" for a, b in zip(low, high, strict=True)) + more,
    ]
    told = {key: value for key, value in dataset.metadata.items() if key != SCORES}
    lines += [f"{plain(key):<13} {plain(value, LONGEST_TEXT)}" for key, value in told.items()]
    return "\n".join([*lines, *_scores(dataset)])


def _scores(dataset: TransitionDataset) -> list[str]:
    """The returns between which scores of the environment are normalised, where some are known."""
    returns = reference_returns(dataset.metadata)
    if returns is None:
        return []
    lines = [f"{'scores':<13} {returns['score']}, of episodes of {returns['episode_steps']} steps"]
    return lines + [
        f"{'':<13} {name}: random {known['random']:g}, expert {known['expert']:g} ({known['of']})"
        for name, known in returns.items()
        if isinstance(known, dict)
    ]
