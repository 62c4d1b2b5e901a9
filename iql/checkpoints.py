"""Checkpoints of a training run: whole or not there, the last two kept, a damaged one passed over.

A checkpoint is a folder `update_000012000` with `state.safetensors` (every tensor that the next update depends on)
and `state.json` (step, settings, history, SHA-256 of the tensors). It is written beside under another name, flushed,
and renamed as a whole, so that a killed run leaves only complete ones.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from pluralbench.iql.settings import IQLError

FORMAT = "pluralbench-iql-checkpoint-1"
KEPT = 2
_PREFIX = "update_"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on.

    Attributes:
        step: updates done.
        tensors: by name, on the CPU.
        identity: what the run is (settings, seeds, data); a run of another identity must not resume from here.
        history: rows logged so far.
    """

    step: int
    tensors: Mapping[str, Tensor]
    identity: dict[str, Any]
    history: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes one checkpoint below `folder` and removes all but the last two; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{_PREFIX}{checkpoint.step:09d}"
    beside = folder / f".{final.name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    payload = save({name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()})
    words = {
        "format": FORMAT,
        "step": checkpoint.step,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "identity": checkpoint.identity,
        "history": checkpoint.history,
    }
    _write(beside / "state.safetensors", payload)
    _write(beside / "state.json", (json.dumps(words, indent=1) + "\n").encode())
    if final.exists():  # the same step again, after a resume from an older checkpoint
        shutil.rmtree(final)
    beside.replace(final)
    for old in _folders(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint below `folder`, or None; damaged ones are passed over with a warning."""
    for path in reversed(_folders(folder)):
        try:
            return _read(path)
        except (OSError, ValueError, KeyError) as error:
            _log.warning("checkpoint %s is damaged (%s); trying the one before", path, error)
    return None


def check_identity(checkpoint: Checkpoint, identity: dict[str, Any], folder: Path) -> None:
    """Raises IQLError naming the first thing in which the stored run differs from this one."""
    for key, value in json.loads(json.dumps(identity)).items():
        stored = checkpoint.identity.get(key)
        if stored == value:
            continue
        if isinstance(value, dict) and isinstance(stored, dict):
            key = next((name for name in value if value[name] != stored.get(name)), key)
        raise IQLError(f"cannot resume from {folder}: it holds a run with another {key}; use another folder")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())


def _read(path: Path) -> Checkpoint:
    payload = (path / "state.safetensors").read_bytes()
    words = json.loads((path / "state.json").read_text())
    if words["format"] != FORMAT:
        raise ValueError(f"format {words['format']!r} instead of {FORMAT!r}")
    if hashlib.sha256(payload).hexdigest() != words["sha256"]:
        raise ValueError("the tensors do not match their checksum")
    return Checkpoint(words["step"], load(payload), words["identity"], words["history"])


def _write(path: Path, payload: bytes) -> None:
    with path.open("wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
