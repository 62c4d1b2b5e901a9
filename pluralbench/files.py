"""Files that are either the old ones or the new ones, never half of something.

Every writer of this repository goes through `replace_file`.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pluralbench.errors import InputError


class DamagedFileError(InputError):
    """A file that cannot be read, or that is not of the expected kind; the message is one line and names it."""


@contextmanager
def replace_file(path: Path | str) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it to `path` when the block ends without an error.

    The bytes are on the disk before the rename, so that even a power cut leaves the old file or the new one. Folders
    on the way are made. On any error, Ctrl-C included, what was written is removed and `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Writes `text` as UTF-8, all of it or nothing."""
    with replace_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: object) -> None:
    """Writes JSON values as text, all of it or nothing; NaN and infinity become null, for they are not JSON."""
    write_text(path, json.dumps(_finite(value), indent=2) + "\n")


def read_json(path: Path | str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DamagedFileError: no such file, no JSON, or another value than an object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DamagedFileError(f"{path} is no JSON file: {error}") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path} holds a {type(value).__name__}, expected a JSON object")
    return value


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return None
    return value
