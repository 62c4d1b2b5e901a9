"""Checkpoints of a training run: whole or not there, the last two kept, a damaged one passed over.

A checkpoint is a folder `update_000012000` with `state.safetensors` (every tensor that the next update depends on)
and `state.json` (step, settings, history, SHA-256 of the tensors). It is written beside under another name, flushed,
and renamed as a whole, so that a killed run leaves only complete ones.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pluralbench.errors import InputError
from pluralbench.files import json_values
from pluralbench.iql.settings import IQLError
from pluralbench.lines import plain
from pluralbench.settings import differences
from pluralbench.tensor_files import load_tensors, save_tensors

FORMAT = "pluralbench-iql-checkpoint-3"
MAX_KEPT = 2
_PREFIX = "update_"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on."""

    step: int
    """Updates done."""
    tensors: Mapping[str, Tensor]
    """By name, on the CPU."""
    identity: dict[str, Any]
    """What the run is (settings, seeds, data); a run of another identity must not resume from here."""
    history: dict[str, Any]
    """Rows logged so far."""


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Writes one checkpoint below `folder` and removes all but the last two; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / folder_name(checkpoint.step)
    beside = folder / f".{final.name}.part"
    shutil.rmtree(beside, ignore_errors=True)
    words = {
        "format": FORMAT,
        "step": checkpoint.step,
        "identity": checkpoint.identity,
        "history": json.dumps(checkpoint.history),  # as text: metrics of a run that diverged are NaN, which JSON lacks
    }
    save_tensors(beside, "state", checkpoint.tensors, words)
    if final.exists():  # the same step again, after a resume from an older checkpoint
        shutil.rmtree(final)
    beside.replace(final)
    for old in _folders(folder)[:-MAX_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint below `folder`, or None; damaged ones are passed over with a warning."""
    for path in reversed(_folders(folder)):
        try:
            tensors, words = load_tensors(path, "state", FORMAT)
            return _checked(path, tensors, words)
        except InputError as error:
            _log.warning("checkpoint %s is damaged (%s); trying the one before", path, error)
    return None


def _checked(path: Path, tensors: dict[str, Tensor], words: dict[str, Any]) -> Checkpoint:
    step, identity, text = (words.get(name) for name in ("step", "identity", "history"))
    if type(step) is not int or step < 0 or path.name != folder_name(step):
        raise IQLError(f"the step in state.json should be the folder's, is {plain(repr(step))}")
    try:
        history = json_values(text, finite=False) if isinstance(text, str) else None
    except ValueError as error:
        raise IQLError(f"the history in state.json is no JSON text ({error})") from error
    if not isinstance(identity, dict) or not isinstance(history, dict):
        raise IQLError("the identity and the history in state.json should be JSON objects")
    if not all(isinstance(rows, list) for rows in history.values()):
        raise IQLError("the history in state.json should hold lists of rows")
    return Checkpoint(step, tensors, identity, history)


def folder_name(step: int) -> str:
    """What the folder of the checkpoint at this step is called."""
    return f"{_PREFIX}{step:09d}"


def check_identity(checkpoint: Checkpoint, identity: dict[str, Any], folder: Path) -> None:
    """Raises IQLError naming the first thing in which the stored run differs from this one."""
    different = differences(identity, checkpoint.identity)
    if different:
        key = different[0].removeprefix("settings.")
        raise IQLError(f"cannot resume from {folder}: it holds a run with another {key}; use another folder")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())
