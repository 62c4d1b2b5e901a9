"""Tensors and the words about them: `stem.safetensors` and, with the checksums of both, `stem.json`.

Loading runs no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from pluralbench.errors import DamagedFileError
from pluralbench.files import check_is_file, read_json, replace_file, write_text
from pluralbench.integrity import check_checksum, check_format, words_checksum
from pluralbench.lines import plain


class TensorFileError(DamagedFileError):
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
    described["checksum"] = words_checksum(described)
    write_text(Path(folder) / f"{stem}.json", json.dumps(described, indent=2, allow_nan=False) + "\n")


def load_tensors(folder: Path, stem: str, file_format: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors, on the CPU, and words of what `save_tensors` wrote under this `format`.

    Raises:
        TensorFileError: a missing or damaged file, tensors of another pair, or another format.
    """
    weights, description = Path(folder) / f"{stem}.safetensors", Path(folder) / f"{stem}.json"
    try:
        words = read_json(description)
        check_format(description, words.get("format"), file_format)
        check_checksum(description, words.pop("checksum", None), words_checksum(words))
        check_is_file(weights)
        payload = weights.read_bytes()
        if hashlib.sha256(payload).hexdigest() != words.pop("sha256", None):
            raise DamagedFileError(f"{weights}: damaged or of another pair, its checksum is not that in {description}")
    except OSError as error:
        raise TensorFileError(f"{weights}: cannot be read ({error.strerror})") from error
    except DamagedFileError as error:
        raise TensorFileError(str(error)) from error
    try:
        return safetensors.torch.load(payload), words
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise TensorFileError(f"{weights}: is no safetensors file ({plain(error, 200)})") from error
