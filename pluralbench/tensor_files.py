"""Tensors and the words about them: `stem.safetensors` and, with its checksum, `stem.json`. Loading runs no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from pluralbench.errors import InputError
from pluralbench.files import replace_file, write_text


class TensorFileError(InputError):
    """A pair of files that is missing, damaged, or of another format; the message names the file."""


def save_tensors(folder: Path, stem: str, tensors: Mapping[str, Tensor], words: Mapping[str, Any]) -> None:
    """Writes both files beside their places and renames them, the tensors first.

    A killed run leaves the old pair, the new pair, or new tensors with old words, whose checksum refuses them.

    Args:
        folder: made where it is missing.
        stem: of both names.
        tensors: by name.
        words: JSON values; `format` says what the pair holds and in which version.
    """
    payload = safetensors.torch.save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})
    with replace_file(Path(folder) / f"{stem}.safetensors") as path:
        path.write_bytes(payload)
    described = {**words, "sha256": hashlib.sha256(payload).hexdigest()}
    write_text(Path(folder) / f"{stem}.json", json.dumps(described, indent=2, allow_nan=False) + "\n")


def load_tensors(folder: Path, stem: str, file_format: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, on the CPU, and words of what `save_tensors` wrote under this `format`.

    Raises:
        TensorFileError: a missing or damaged file, tensors of another pair, or another format.
    """
    weights, description = Path(folder) / f"{stem}.safetensors", Path(folder) / f"{stem}.json"
    try:
        words = json.loads(description.read_text(encoding="utf-8"))
        payload = weights.read_bytes()
    except OSError as error:
        raise TensorFileError(f"{error.filename} cannot be read ({error.strerror}); expected {file_format}") from error
    except ValueError as error:  # JSON and UTF-8
        raise TensorFileError(f"{description} is no JSON text: {error}") from error
    if not isinstance(words, dict) or words.get("format") != file_format:
        found = words.get("format") if isinstance(words, dict) else type(words).__name__
        raise TensorFileError(f"{description}: expected the format {file_format!r}, found {found!r}")
    if hashlib.sha256(payload).hexdigest() != words.get("sha256"):
        raise TensorFileError(f"{weights} is damaged or of another pair: its checksum is not the one in {description}")
    try:
        return safetensors.torch.load(payload), words
    except SafetensorError as error:
        raise TensorFileError(f"{weights} is no safetensors file: {error}") from error
