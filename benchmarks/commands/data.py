"""`pluralbench data`: generate, inspect and convert datasets and preference data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pluralbench.benchmarks.reporter import Reporter
from pluralbench.envs import DatasetError, TransitionDataset, environments, load_transitions, save_transitions
from pluralbench.envs.collection import collect
from pluralbench.envs.minari_files import export_minari, import_minari
from pluralbench.files import DamagedFileError, replace_file
from pluralbench.hdf5_files import open_hdf5
from pluralbench.preference_oracles.inspection import describe
from pluralbench.preference_oracles.preference_files import export_npz, export_pairs, import_npz
from pluralbench.preference_oracles.preferences import PreferenceDataset, PreferenceError


def generate(options: argparse.Namespace) -> None:
    """Runs an environment's behaviour policy and writes its dataset in D4RL's HDF5 layout."""
    if options.transitions < 1:
        raise DatasetError(f"--transitions must be at least 1, is {options.transitions}")
    found = environments.get(options.environment)
    with Reporter().stage(f"{found.name}: {options.transitions} transitions") as progress:
        dataset = collect(found, options.transitions, options.seed, progress)
    save_transitions(dataset, options.path)


def inspect(options: argparse.Namespace) -> None:
    """Prints what a file holds: preferences or transitions."""
    path = options.path
    if path.suffix == ".npz":
        print(describe(import_npz(path)))
    elif _is_preferences(path):
        print(describe(PreferenceDataset.load(path, lazy=True)))
    else:
        print(_describe_transitions(_transitions(path)))


def convert(options: argparse.Namespace) -> None:
    """Rewrites preferences between HDF5 and npz or as pairs, and transitions between HDF5, npz and Minari."""
    source, target = options.source, options.target
    if source.suffix == ".npz":
        preferences = import_npz(source)
    elif _is_preferences(source):
        preferences = PreferenceDataset.load(source)
    else:
        _convert_transitions(_transitions(source), target)
        return
    if target.name.endswith(".pairs.npz"):
        export_pairs(preferences, target)
    elif target.suffix == ".npz":
        export_npz(preferences, target)
    elif target.suffix in (".hdf5", ".h5"):
        preferences.save(target)
    else:
        raise PreferenceError(f"cannot tell the format of {target}: use .hdf5, .npz or .pairs.npz")


def _convert_transitions(dataset: TransitionDataset, target: Path) -> None:
    if target.suffix in (".hdf5", ".h5"):
        save_transitions(dataset, target)
    elif not target.suffix:
        export_minari(dataset, target)
    elif target.suffix == ".npz":
        arrays: dict[str, Any] = {
            name: getattr(dataset, name)
            for name in ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts")
        }
        with replace_file(target) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
    else:
        raise DatasetError(
            f"cannot tell the format of {target}: transitions are written as .hdf5, .npz or a Minari folder"
        )


def _transitions(path: Path) -> TransitionDataset:
    """Of an HDF5 file, or of a folder that Minari wrote."""
    return import_minari(path) if path.is_dir() else load_transitions(path)


def _is_preferences(path: Path) -> bool:
    if path.is_dir():
        return False
    try:
        with open_hdf5(path) as file:
            return "segments" in file
    except DamagedFileError as error:
        raise DatasetError(str(error)) from error


def _describe_transitions(dataset: TransitionDataset) -> str:
    bounds = dataset.episode_bounds
    lengths = bounds[:, 1] - bounds[:, 0]
    low, high = dataset.observations.min(0), dataset.observations.max(0)
    lines = [
        f"transitions   {len(dataset)}",
        f"episodes      {len(bounds)}, {lengths.min()} to {lengths.max()} steps, mean {lengths.mean():.1f}",
        f"terminals     {int(dataset.terminals.sum())}, timeouts {int(dataset.timeouts.sum())}",
        f"rewards       mean {dataset.rewards.mean():.4f}, {dataset.rewards.min():g} to {dataset.rewards.max():g}",
        f"actions       {dataset.actions.shape[1]} numbers, {dataset.actions.min():.3f} to {dataset.actions.max():.3f}",
        "observations  " + "; ".join(f"{a:.3f} to {b:.3f}" for a, b in zip(low, high, strict=True)),
    ]
    lines += [f"{key:<13} {value}" for key, value in dataset.metadata.items()]
    return "\n".join(lines)
