"""The kinds of stored files that `fuzz.py` mutates: how a small one is written, and what reading it gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import fuzz_results
import h5py
import numpy as np
import torch

from pluralbench.benchmarks.results.served_users import ServedUsers, load_served_users, save_served_users
from pluralbench.envs.foreign_data import read_data
from pluralbench.envs.gymnasium_ids import MAZE
from pluralbench.envs.maze import maze2d_files, pointmaze_files
from pluralbench.envs.minari_export import export_minari
from pluralbench.envs.minari_files import import_minari
from pluralbench.envs.transition_files import load_transitions, save_transitions
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.errors import InputError
from pluralbench.feature_map import FeatureMap
from pluralbench.features import InputFeatures
from pluralbench.integrity import words_checksum
from pluralbench.iql.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from pluralbench.iql.networks import num_parameters
from pluralbench.iql.policy import Policy, UserPolicy
from pluralbench.preference_oracles.inspection import describe
from pluralbench.preference_oracles.preference_files import export_npz, import_npz
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.learners import load_model, make_learner


@dataclass(frozen=True)
class Kind:
    """A kind of stored file."""

    write: Callable[[Path], None]
    """Writes one into an empty folder, the same bytes every time; all files there are mutated, one at a time."""
    read: Callable[[Path], Any]
    """Reads it and gives its content, of arrays, tensors and JSON values; InputError where it is refused."""
    detects: bool = True
    """Whether a change of the content must be refused. Files of others and tables can only be checked."""
    seal: Callable[[Path], None] | None = None
    """Makes the checksum of a mutated file right again, as somebody would who wants to do harm."""


def digest(content: Any) -> str:
    """SHA-256, in hexadecimal, of arrays, tensors, JSON values and whatever holds them."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            value = value.numpy()
        if isinstance(value, np.ndarray):
            found.update(f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        elif isinstance(value, dict):
            for key in sorted(value):
                found.update(f"{key}:".encode())
                add(value[key])
        elif isinstance(value, list | tuple):
            found.update(f"{len(value)}[".encode())
            for item in value:
                add(item)
        else:
            found.update(f"{type(value).__name__}{value!r};".encode())

    add(content)
    return found.hexdigest()


def transitions(size: int = 4, num: int = 24) -> TransitionDataset:
    """A few episodes."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(num + 1, size)).astype(np.float32)
    ends = np.arange(num) % 8 == 7
    actions, rewards = rng.normal(size=(num, 2)).astype(np.float32), rng.normal(size=num).astype(np.float32)
    metadata = {"environment": "made up", "seed": 3, "versions": {"behaviour": 4}, "repairs": ["none", "at all"]}
    return TransitionDataset(states[:-1], actions, states[1:], rewards, ends & (np.arange(num) < 9), ends, metadata)


def preferences() -> PreferenceDataset:
    """Answers of a few users of two groups."""
    rng = np.random.default_rng(0)
    mask = rng.random((5, 3)) < 0.8
    return PreferenceDataset(
        segments=rng.normal(size=(5, 3, 2, 2, 2)).astype(np.float32),
        labels=np.where(mask, rng.choice([0.0, 0.5, 1.0], size=mask.shape), 0.5).astype(np.float32),
        mask=mask,
        user_ids=np.arange(5) * 7,
        group_names=("wants (7, 1)", "möchte anderes"),
        group_index=np.arange(5) % 2,
        goals=rng.normal(size=(5, 2)),
        provenance={"population": "two-goals", "seed": 3, "rates": {"skip": 0.25, "tie": 0.125}},
    )


def maze_transitions() -> TransitionDataset:
    """Two episodes along the upper corridor of the maze umaze."""
    places = np.tile(np.linspace(1, 3, 6), 2)
    states = np.stack([np.ones(12), places, np.zeros(12), np.full(12, 0.5)], axis=1).astype(np.float32)
    inside = np.arange(12) % 6 != 5
    return TransitionDataset(
        observations=states[inside],
        actions=np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2),
        next_observations=states[1:][inside[:-1]],
        rewards=(np.arange(10) < 5).astype(np.float32),
        terminals=np.zeros(10, np.bool_),
        timeouts=np.arange(10) % 5 == 4,
        metadata={"environment": MAZE, "layout": "umaze", "goals": [[1.0, 1.0], [1.0, 3.0]]},
    )


def _columns(data: TransitionDataset | PreferenceDataset) -> dict[str, Any]:
    return {field.name: getattr(data, field.name) for field in fields(data)}


def _write_d4rl(path: Path, libver: str) -> None:
    """In the layout of D4RL's maze2d, compressed as it is."""
    data = transitions(num=240)
    with h5py.File(path, "w", libver=libver) as file:
        arrays = {"observations": data.observations, "actions": data.actions, "rewards": data.rewards}
        arrays |= {"infos/qpos": data.observations[:, :2], "infos/qvel": data.observations[:, 2:]}
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=name == "actions", chunks=True)
        file["terminals"], file["timeouts"] = np.zeros(240, bool), data.timeouts
        file.create_dataset("infos/goal", data=data.observations[:, :2], chunks=(50, 2), fletcher32=True)


def _write_earliest(path: Path) -> None:
    """Transitions as older versions of HDF5 wrote them: without checksums of its own over names, types and shapes."""
    save_transitions(transitions(), path)
    with h5py.File(path) as source, h5py.File(path.with_suffix(".new"), "w", libver="earliest") as file:
        for name in source:
            file.create_dataset(name, data=source[name][()], dtype=source[name].dtype)
        file.attrs.update(source.attrs)
    path.with_suffix(".new").rename(path)


def _policy(num_runs: int) -> Policy:
    generator = torch.Generator().manual_seed(0)
    mapping = FeatureMap(InputFeatures(sinusoid_columns=(0,), wavelengths=(4.0,)), 3)
    widths = (mapping.size + 2 + 2, 4, 2)
    return Policy(torch.randn(num_runs, num_parameters(widths) + 2, generator=generator), widths, mapping, 2, False)


def _policy_content(policy: Policy) -> Any:
    return policy._parts()


def _user_policy_content(user: UserPolicy) -> Any:
    return [user.latent, user.policy._parts(), user.predict(np.zeros(3))[0]]


def _write_model(folder: Path) -> None:
    model = make_learner("vpl", {"hidden_size": 4, "num_layers": 1, "latent_size": 2, "num_updates": 1})
    model.start(preferences(), 0)
    model.save(folder)


def _model_content(folder: Path) -> Any:
    model = load_model(folder)
    return [type(model).__name__, repr(model.settings), model.sizes, model.latent_size, model.state()]


def _write_checkpoints(folder: Path) -> None:
    history = {"metrics": [{"step": 1, "loss": 0.5}, {"step": 2, "loss": float("nan")}], "evaluations": []}
    save_checkpoint(folder, Checkpoint(20, {"x": torch.arange(6.0)}, {"settings": {"a": 1}, "seeds": [0, 1]}, history))


def _checkpoint_content(folder: Path) -> Any:
    found = load_checkpoint(folder)
    if found is None:
        raise InputError("passed over with a warning")
    return asdict(found)


def _seal(path: Path) -> None:
    """Only JSON words have a checksum of their own; a file that is no object any more is left alone."""
    words = json.loads(path.read_bytes()) if path.suffix == ".json" else None
    if isinstance(words, dict):
        words.pop("checksum", None)
        path.write_text(json.dumps({**words, "checksum": words_checksum(words)}))


def _read_preferences(data: PreferenceDataset) -> Any:
    describe(data)
    return _columns(data)


def _write_users(folder: Path) -> None:
    latents = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    save_served_users(folder / "a.npz", ServedUsers(latents, preferences()))


def _read_users(folder: Path) -> Any:
    users = load_served_users(folder / "a.npz")
    return [users.latents, _columns(users.answers)]


def _of_a_run(name: str) -> Kind:
    """A table or JSON that people read and edit: checked whole, without a checksum."""
    return Kind(
        lambda folder: fuzz_results.write_one(name, folder), lambda folder: fuzz_results.read_one(name, folder), False
    )


KINDS: dict[str, Kind] = {
    "transitions": Kind(
        lambda folder: save_transitions(transitions(), folder / "a.hdf5"),
        lambda folder: _columns(load_transitions(folder / "a.hdf5")),
    ),
    "transitions-earliest": Kind(
        lambda folder: _write_earliest(folder / "a.hdf5"),
        lambda folder: _columns(load_transitions(folder / "a.hdf5")),
    ),
    "preferences": Kind(
        lambda folder: preferences().save(folder / "a.hdf5"),
        lambda folder: _read_preferences(PreferenceDataset.load(folder / "a.hdf5")),
    ),
    "preferences-lazy": Kind(
        lambda folder: preferences().save(folder / "a.hdf5"),
        lambda folder: _read_preferences(PreferenceDataset.load(folder / "a.hdf5", lazy=True)),
    ),
    "preferences-npz": Kind(
        lambda folder: export_npz(preferences(), folder / "a.npz"),
        lambda folder: _read_preferences(import_npz(folder / "a.npz")),
    ),
    "users-npz": Kind(_write_users, _read_users),
    "latents-npz": Kind(fuzz_results.write_latents, fuzz_results.read_latents),
    "reward-maps-npz": Kind(fuzz_results.write_maps, fuzz_results.read_maps),
    "model": Kind(_write_model, _model_content),
    "policy": Kind(lambda folder: _policy(2).save(folder), lambda folder: _policy_content(Policy.load(folder))),
    "user-policy": Kind(
        lambda folder: _policy(1).for_user(0, [0.5, 1.0]).save(folder),
        lambda folder: _user_policy_content(UserPolicy.load(folder)),
    ),
    "checkpoint": Kind(_write_checkpoints, _checkpoint_content),
    "model-sealed": Kind(_write_model, _model_content, False, _seal),
    "policy-sealed": Kind(
        lambda folder: _policy(1).for_user(0, [0.5, 1.0]).save(folder),
        lambda folder: _user_policy_content(UserPolicy.load(folder)),
        False,
        _seal,
    ),
    "checkpoint-sealed": Kind(_write_checkpoints, _checkpoint_content, False, _seal),
    "d4rl": Kind(
        lambda folder: _write_d4rl(folder / "a.hdf5", "earliest"),
        lambda folder: _columns(load_transitions(folder / "a.hdf5")),
        False,
    ),
    "d4rl-latest": Kind(
        lambda folder: _write_d4rl(folder / "a.hdf5", "latest"),
        lambda folder: _columns(load_transitions(folder / "a.hdf5")),
        False,
    ),
    "minari": Kind(
        lambda folder: export_minari(transitions(), folder / "made-up-v0"),
        lambda folder: _columns(import_minari(folder / "made-up-v0")),
        False,
    ),
    "maze2d": Kind(
        lambda folder: maze2d_files.write(maze_transitions(), folder / "own-umaze.hdf5"),
        lambda folder: _columns(read_data(folder / "own-umaze.hdf5")),
        False,
    ),
    "pointmaze": Kind(
        lambda folder: pointmaze_files.write(maze_transitions(), folder / "own-v0"),
        lambda folder: _columns(read_data(folder / "own-v0")),
        False,
    ),
    "success_rates.csv": Kind(fuzz_results.write_rates, fuzz_results.read_rates, False),
    **{
        name: _of_a_run(name)
        for name in ("metrics.csv", "summary.json", "config.json", "experiment.json", "training.json")
    },
}
"""By the name on the command line of `fuzz.py`."""
