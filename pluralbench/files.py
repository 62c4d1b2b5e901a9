"""Files that are either the old ones or the new ones, never half of something.

Every writer of this repository goes through `replace_file`.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pluralbench.errors import DamagedFileError
from pluralbench.lines import kind_of

LARGEST_TEXT = 1 << 26
"""Bytes of the largest text that is read, 64 MiB."""
DEEPEST_JSON = 100
"""Lists and objects within one another; Python gives up at some hundreds, not everywhere at the same number."""


@contextmanager
def replace_file(path: Path | str) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it to `path` when the block ends without an error.

    The bytes are on the disk before the rename, so that even a power cut leaves the old file or the new one. Folders
    on the way are made. On any error, Ctrl-C included, what was written is removed and `path` is as it was. An OSError
    names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except OSError as error:
        if error.filename in (None, str(partial)):  # where writing itself fails, the system does not say of what
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Writes `text` as UTF-8, all of it or nothing."""
    with replace_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: object) -> None:
    """Writes JSON values as text, all of it or nothing; NaN and infinity become null, for they are not JSON."""
    write_text(path, json.dumps(_finite(value), indent=2) + "\n")


def check_is_file(path: Path | str) -> None:
    """Refuses what is no file: a folder, a pipe, a device, a link to nowhere.

    Raises:
        DamagedFileError: there is no regular file at `path`.
    """
    path = Path(path)
    try:
        if not path.is_file():
            what = "is a folder, not a file" if path.is_dir() else "is no file" if path.exists() else "no such file"
            raise DamagedFileError(f"{path}: {what}")
    except OSError as error:  # a loop of links, a name too long
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror})") from error


def read_text(path: Path | str) -> str:
    """A text in UTF-8.

    Raises:
        DamagedFileError: no such file, no UTF-8, or more than `LARGEST_TEXT`.
    """
    path = Path(path)
    check_is_file(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_TEXT:
            raise DamagedFileError(f"{path}: a text of {size:.3g} bytes; at most {LARGEST_TEXT:.3g} are read")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{path}: is no text in UTF-8 ({error.reason} at byte {error.start})") from error


def read_json(path: Path | str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DamagedFileError: no such file, no JSON, or another value than an object.
    """
    try:
        value = json_values(read_text(path))
    except DamagedFileError:
        raise
    except ValueError as error:
        raise DamagedFileError(f"{path}: is no JSON file ({error})") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: holds {kind_of(value)}, expected a JSON object")
    return value


def json_values(text: str | bytes, finite: bool = True) -> Any:
    """The values of a JSON text, of which every one can be written as JSON again.

    Args:
        text: bytes are UTF-8.
        finite: refuse NaN and infinity, which Python reads and JSON lacks, and numbers too large for a float.

    Raises:
        ValueError: no JSON, nested deeper than `DEEPEST_JSON`, or texts that UTF-8 cannot hold; one line.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant if finite else None)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _check_value(value, finite, 0)
    return value


def _check_value(value: object, finite: bool, depth: int) -> None:
    if isinstance(value, str):
        if not value.isascii():
            value.encode()
    elif isinstance(value, float):
        if finite and math.isinf(value):
            raise ValueError("a number too large")
    elif isinstance(value, dict | list):
        if depth == DEEPEST_JSON:
            raise ValueError("nested too deeply")
        for part in value if isinstance(value, list) else (*value, *value.values()):
            _check_value(part, finite, depth + 1)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return None
    return value
