"""A file that HDF5 writes through, and that never fails it.

HDF5 does not survive a write that fails: it can no longer close the file, and ends the process in a crash. What the
system does not take is kept in memory instead, so that HDF5 reads what it wrote, and whoever made the file learns of
the error once HDF5 is done with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

LARGEST_KEPT = 1 << 18
"""Bytes of one piece that is kept: what HDF5 has to find again is small, and the data are lost anyway."""


class ForgivingFile:
    """A new file, as h5py's driver for file objects asks for; `close` raises the first error of writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self._error: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []  # what could not be written, with its place, in order
        self._position = self._end = 0

    def __repr__(self) -> str:
        return str(self._path)  # which h5py takes as the file's name

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes somewhere."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Where it is."""
        return self._position

    def write(self, data: memoryview) -> int:
        """Writes, or keeps, all of `data`."""
        rest, place = memoryview(data).cast("B"), self._position
        try:
            while rest:
                written = os.pwrite(self._number, rest, place)
                rest, place = rest[written:], place + written
        except OSError as error:
            self._error = self._error or error
            if len(rest) <= LARGEST_KEPT:
                self._kept.append((place, bytes(rest)))
        self._position += memoryview(data).nbytes
        self._end = max(self._end, self._position)
        return memoryview(data).nbytes

    def read(self, size: int) -> bytes:
        """The next bytes; h5py knows a file object by this method."""
        found = bytearray(size)
        return bytes(found[: self.readinto(memoryview(found))])

    def readinto(self, buffer: memoryview) -> int:
        """Reads what was written, kept or not."""
        view = memoryview(buffer).cast("B")
        start, size = self._position, min(len(view), max(0, self._end - self._position))
        found = b""
        while len(found) < size and (part := os.pread(self._number, size - len(found), start + len(found))):
            found += part
        view[: len(found)] = found
        view[len(found) : size] = bytes(size - len(found))
        for place, kept in self._kept:
            low, high = max(start, place), min(start + size, place + len(kept))
            if low < high:
                view[low - start : high - start] = kept[low - place : high - place]
        self._position += size
        return size

    def truncate(self, size: int | None = None) -> int:
        """Sets the file's size."""
        self._end = self._position if size is None else size
        try:
            os.ftruncate(self._number, self._end)
        except OSError as error:
            self._error = self._error or error
        return self._end

    def flush(self) -> None:
        """Nothing is held back."""

    def __enter__(self) -> ForgivingFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Closes it, and raises the error of writing where there was one."""
        os.close(self._number)
        if self._error is not None:
            raise self._error
