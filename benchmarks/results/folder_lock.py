"""One process at a time in a suite's folder.

The lock is the kernel's (flock), so a killed process leaves none behind; its file `.lock`, which says who holds it, may
stay and does no harm. Between machines it holds where the file system passes locks on, as NFS with its lock manager
does; where it does not, and on systems without flock (Windows), nobody is refused and the caller is told. Readers
(`plot`, `report`) take no lock: every file is renamed into its place whole.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pluralbench.benchmarks.results.names import ResultsError
from pluralbench.lines import plain

if sys.platform != "win32":
    import fcntl

FILE = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What a file system answers that knows no locks."""
_LONGEST_NOTE = 300
_held: dict[str, int | None] = {}
"""By the folder's real path, the descriptor through which this process holds it; None where there are no locks."""


class FolderInUseError(ResultsError):
    """Another run works in the folder; the message says which."""


@contextmanager
def folder_lock(folder: Path, tell: Callable[[str], None] = print) -> Iterator[None]:
    """Holds a suite's folder, which is made where it is missing; within a process it may be taken again.

    Args:
        folder: of the suite.
        tell: told in one line where there are no locks here.

    Raises:
        FolderInUseError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = os.path.realpath(folder)
    if place in _held:
        yield
        return
    descriptor = None
    try:
        descriptor = _taken(folder)
    except _NoLocksError:
        tell(f"{folder}: no locks on this file system; see to it that no other run works in this folder")
    _held[place] = descriptor
    try:
        yield
    finally:
        del _held[place]
        if descriptor is not None:
            (folder / FILE).unlink(missing_ok=True)  # while it is still locked: nobody else's is removed
            os.close(descriptor)


def check_not_in_use(folder: Path) -> None:
    """Raises FolderInUseError where another process holds the folder now."""
    if (folder / FILE).exists():
        with folder_lock(folder, lambda _: None):
            pass


class _NoLocksError(OSError):
    """There are no locks here."""


def _taken(folder: Path) -> int:
    """A descriptor that holds the lock of the file which is there now."""
    if sys.platform == "win32":
        raise _NoLocksError
    path = folder / FILE
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(path, descriptor):  # it may have been removed by who held it before
                _note(descriptor)
                return descriptor
        except OSError as error:
            found = _whose(descriptor)
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise FolderInUseError(
                    f"another run ({found}) works in {folder}: wait for its end, or use another folder"
                ) from error
            if error.errno in _NO_LOCKS:
                raise _NoLocksError from error
            raise
        os.close(descriptor)


def _is_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _note(descriptor: int) -> None:
    since = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}, since {since}".encode(), 0)


def _whose(descriptor: int) -> str:
    text = os.pread(descriptor, _LONGEST_NOTE, 0).decode("utf-8", "replace")
    return plain(text) if text else "which has only just begun"


def _drop_in_child() -> None:
    """A forked worker that outlives its parent must not hold the parent's folders."""
    for descriptor in filter(None, _held.values()):
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_in_child)
