"""What every stored file of ours has in common: a format with a version, a checksum, and limits before any allocation.

Whoever reads a file goes through here, by way of the reader of its kind: `hdf5_files`, `array_files` (npz),
`tensor_files` (safetensors with JSON) and `files` (JSON, text).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralbench.errors import DamagedFileError
from pluralbench.lines import shown

if TYPE_CHECKING:
    import numpy as np

SMALLEST_LIMIT = 1 << 27
"""Bytes that any file may declare, 128 MiB, however small it is itself."""
LARGEST_RATIO = 100
"""How many times its own size a larger file may declare; the densest data of ours is compressed to a fiftieth."""
NUMERIC_KINDS = "biuf"
"""NumPy's letters of the types that are read: truth values and whole or real numbers."""
LARGEST_NUMBER = 8
"""Bytes of the widest number that is read."""

_FORMAT = re.compile(r"(?P<name>.+?)[ -](?P<version>\d{1,9})")
_LARGEST_SHOWN = 10**300  # near the largest float


def declared_limit(path: Path | str) -> int:
    """Bytes that the content of this file may take in memory: a file of some kB cannot ask for gigabytes."""
    return max(SMALLEST_LIMIT, LARGEST_RATIO * Path(path).stat().st_size)


def check_declared(path: Path | str, num_bytes: int) -> None:
    """Refuses what a file declares to hold before memory is asked for it.

    Raises:
        DamagedFileError: more than `declared_limit`.
    """
    limit = declared_limit(path)
    if num_bytes > limit:
        declared = min(num_bytes, _LARGEST_SHOWN)
        raise DamagedFileError(
            f"{path}: declares {declared:.3g} bytes of content, of which a file of this size may hold {limit:.3g}"
        )


def declared_bytes(shape: Iterable[int], item_bytes: int) -> int:
    """The bytes of an array of this shape, as an exact number however large it claims to be."""
    return math.prod(map(int, shape)) * int(item_bytes)


def check_numeric(path: Path | str, name: str, dtype: np.dtype[Any]) -> None:
    """Refuses arrays of anything but plain numbers: variable-length data, objects, records.

    Raises:
        DamagedFileError: another type.
    """
    if dtype.hasobject or dtype.kind not in NUMERIC_KINDS or dtype.itemsize > LARGEST_NUMBER:
        raise DamagedFileError(f"{path}: {name} is of the type {dtype}, expected numbers or truth values")


def check_format(path: Path | str, found: object, expected: str) -> None:
    """Compares what a file says that it is with what is expected, `pluralbench transitions 1` for example.

    Raises:
        DamagedFileError: another format, or another version of this one; the message says which.
    """
    if found == expected:
        return
    ours = _FORMAT.fullmatch(expected)
    theirs = _FORMAT.fullmatch(found) if isinstance(found, str) else None
    if ours and theirs and ours["name"] == theirs["name"]:
        older = int(theirs["version"]) < int(ours["version"])
        advice = "an older version of this program: make it again" if older else "a newer version of this program"
        raise DamagedFileError(f"{path}: {found!r}, written by {advice} (expected {expected!r})")
    raise DamagedFileError(f"{path}: expected the format {expected!r}, found {shown(found)}")


def check_checksum(path: Path | str, found: object, expected: str) -> None:
    """Compares checksums.

    Raises:
        DamagedFileError: they differ.
    """
    if found != expected:
        raise DamagedFileError(f"{path}: damaged, its content does not have the checksum that it was written with")


def words_checksum(words: object) -> str:
    """SHA-256, in hexadecimal, of JSON values; how they were laid out as text does not matter."""
    return hashlib.sha256(json.dumps(words, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
