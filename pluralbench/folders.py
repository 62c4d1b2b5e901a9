"""Folders that are about to be written to: whether that can be, is found out before the work and not after it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from pluralbench.errors import MachineError
from pluralbench.lines import shown

PROBE_BYTES = 4096
"""Written into a folder to see whether it takes anything."""
EXTRA_LETTERS = 48
"""By which the name of a file is longer while it is being written (`files.replace_file`), at most."""


class FolderError(MachineError):
    """A folder that cannot be written to, or has too little room; the message names it."""


def expanded(path: Path | str) -> Path:
    """A path with `~` and `~name` replaced by home folders; FolderError where nobody knows them."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise FolderError(f"{path}: this system knows no such home folder; write the path out") from error


def make_writable(folder: Path, advice: str) -> None:
    """Makes a folder and writes a little into it, which is removed.

    Args:
        folder: with its parents.
        advice: what to do where it fails: `choose another folder with --out`.

    Raises:
        FolderError: it cannot be made or written to.
    """
    probe = folder / f".writable-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with probe.open("wb") as file:
                file.write(bytes(PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        is_file = next((place for place in (folder, *folder.parents) if _exists(place) and not place.is_dir()), None)
        reason = f"{is_file} is a file" if is_file else error.strerror
        raise FolderError(f"cannot write to {folder} ({reason}); {advice}") from error


def check_room(folder: Path, num_bytes: int, advice: str) -> None:
    """Raises FolderError where the disk of a folder, which may not exist yet, has less room than that."""
    disk = shutil.disk_usage(_nearest(folder))
    if disk.free < num_bytes and disk.total:  # some file systems do not say
        need, left = in_words(num_bytes), in_words(disk.free)
        raise FolderError(f"{folder} needs about {need}, its disk has {left} left; {advice}")


def check_names(folder: Path, files: Iterable[str], advice: str) -> None:
    """Raises FolderError where the path of a folder, or of files by their paths below it, is longer than can be."""
    longest_name, longest_path = (os.pathconf(_nearest(folder), what) for what in ("PC_NAME_MAX", "PC_PATH_MAX"))
    for file in files:
        *parts, last = (folder / file).parts
        for part in (*parts, last + "x" * EXTRA_LETTERS):
            if len(os.fsencode(part)) > longest_name:
                name = shown(part.removesuffix("x" * EXTRA_LETTERS))
                raise FolderError(f"{name} is too long a name for a file or folder; {advice}")
        if len(os.fsencode(folder / file)) + EXTRA_LETTERS > longest_path:
            raise FolderError(f"{shown(str(folder / file))} is too long a path; {advice}")


def _nearest(folder: Path) -> Path:
    """The folder, or the first of those above it that exists."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if _exists(place))


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # a name too long, a folder that may not be read
        return False


def in_words(num_bytes: int) -> str:
    """Bytes for a message: `85.7 MB`."""
    unit = next((power for power in (3, 2) if num_bytes >= 1000**power), 1)
    return f"{num_bytes / 1000**unit:.1f} {('kB', 'MB', 'GB')[unit - 1]}"
