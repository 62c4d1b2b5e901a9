"""Datasets in chunks, packed or not, put together here instead of by HDF5.

HDF5 believes what the index of a chunk says: of a chunk shorter than it should be it hands out whatever lies behind it
in memory, or crashes, and it unpacks one to its end, however much that is. Here a chunk has exactly its bytes.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pluralbench.errors import DamagedFileError
from pluralbench.integrity import check_declared, declared_bytes

_FEWEST_CHUNKS = 10_000  # that any dataset may have
_CHUNK_INDEX_BYTES = 8  # at least so many bytes of the file tell where one chunk lies
_LZF_LITERALS, _LZF_LONG = 32, 7


def read_chunks(path: str, name: str, dataset: h5py.Dataset) -> NDArray[Any]:
    """All of a dataset in chunks.

    Args:
        path: of the file, for messages and for its size.
        name: of the dataset, for messages.
        dataset: of numbers whose type in the file is NumPy's.

    Raises:
        DamagedFileError: filters that are not those of h5py, a chunk that is outside the dataset or not of its size, or
            more chunks than a file of this size can hold.
    """
    plist, dtype = dataset.id.get_create_plist(), dataset.dtype
    chunk_shape, shape = dataset.chunks, dataset.shape
    chunk_bytes, file_bytes = declared_bytes(chunk_shape, dtype.itemsize), Path(path).stat().st_size
    check_declared(path, chunk_bytes)
    filters = _filters(path, name, plist)
    most = math.prod(-(-size // chunk) for size, chunk in zip(shape, chunk_shape, strict=True))
    if most > max(_FEWEST_CHUNKS, file_bytes // _CHUNK_INDEX_BYTES):
        raise DamagedFileError(f"{path}: {name} declares {most} chunks, more than the file has room for")

    stored: dict[tuple[int, ...], Any] = {}

    def note(chunk: Any) -> bool | None:
        offset = tuple(chunk.chunk_offset)
        is_odd = offset in stored or len(stored) == most
        stored[offset] = chunk
        return True if is_odd else None  # ends the iteration, which a damaged index could lengthen without end

    if most and dataset.id.chunk_iter(note):
        raise DamagedFileError(f"{path}: {name} has more chunks than its shape")
    values = _filled(plist, shape, dtype, empty=len(stored) == most)
    with Path(path).open("rb", buffering=0) as disk:
        for offset, entry in stored.items():
            if any(a % b or a >= c for a, b, c in zip(offset, chunk_shape, shape, strict=True)):
                raise DamagedFileError(f"{path}: {name} has a chunk outside of its shape")
            # HDF5's own call writes as many bytes as the index says into a buffer of another size
            packed = os.pread(disk.fileno(), min(entry.size, file_bytes), entry.byte_offset)
            undone = [each for place, each in enumerate(filters) if not entry.filter_mask >> place & 1]
            unpacked = _unpacked(packed, undone, chunk_bytes)
            if len(packed) != entry.size or len(unpacked) != chunk_bytes:
                raise DamagedFileError(f"{path}: {name} has a chunk of another size than {chunk_bytes} bytes")
            chunk = np.frombuffer(unpacked, dtype=dtype).reshape(chunk_shape)
            room = tuple(slice(a, a + b) for a, b in zip(offset, chunk_shape, strict=True))
            place_in = values[room]
            place_in[...] = chunk[tuple(slice(size) for size in place_in.shape)]
    return values


def _filled(plist: Any, shape: tuple[int, ...], dtype: np.dtype[Any], empty: bool) -> NDArray[Any]:
    """What a dataset holds where no chunk is stored; anything where all of them are."""
    if empty:
        return np.empty(shape, dtype)
    fill = np.zeros((), dtype)
    if plist.fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED:
        plist.get_fill_value(fill)
    return np.full(shape, fill, dtype)


Filter = Callable[[bytes, int], bytes]
"""Packed bytes to unpacked ones, of which there may be so many."""


def _filters(path: str, name: str, plist: Any) -> list[Filter]:
    """What undoes each filter, in the order in which they were applied."""
    filters: list[Filter] = []
    codes = []
    for place in range(plist.get_nfilters()):
        code, _, values, _ = plist.get_filter(place)
        codes.append(code)
        if code == h5py.h5z.FILTER_DEFLATE:
            filters.append(_inflated)
        elif code == h5py.h5z.FILTER_LZF:
            filters.append(lzf_unpacked)
        elif code == h5py.h5z.FILTER_FLETCHER32:
            filters.append(_without_fletcher32)
        elif code == h5py.h5z.FILTER_SHUFFLE and values:
            filters.append(_unshuffler(int(values[0])))
        else:
            raise DamagedFileError(f"{path}: {name} is packed by filters that are not known here; gzip is")
    if len(set(codes)) < len(codes):
        raise DamagedFileError(f"{path}: {name} is packed by the same filter twice")
    return filters


def _unpacked(packed: bytes, filters: list[Filter], chunk_bytes: int) -> bytes:
    most = chunk_bytes + chunk_bytes // 1000 + 64  # between two filters; what cannot be packed becomes longer
    for undo in reversed(filters):
        packed = undo(packed, most)
    return packed


def _inflated(packed: bytes, most: int) -> bytes:
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(packed, most)
    except zlib.error as error:
        raise ValueError(f"a damaged gzip stream: {error}") from error
    if not stream.eof:
        raise ValueError("a gzip stream without an end, or one longer than its chunk")
    return unpacked


def _unshuffler(item_bytes: int) -> Filter:
    def undo(packed: bytes, most: int) -> bytes:
        num = len(packed) // item_bytes if item_bytes > 1 else 0
        if num <= 1:
            return packed
        whole = np.frombuffer(packed, np.uint8, num * item_bytes).reshape(item_bytes, num)
        return whole.T.tobytes() + packed[num * item_bytes :]

    return undo


def _without_fletcher32(packed: bytes, most: int) -> bytes:
    content, stored = packed[:-4], packed[-4:]
    if len(packed) < 4 or fletcher32(content).to_bytes(4, "little") != stored:
        raise ValueError("a chunk without the checksum (Fletcher) that it was written with")
    return content


def fletcher32(content: bytes) -> int:
    """Fletcher's checksum as HDF5 computes it: of big-endian words of 16 bits, the last byte padded with zero."""
    words = np.frombuffer(content + bytes(len(content) % 2), ">u2").astype(np.uint64)
    first = second = 0
    for start in range(0, len(words), 1 << 16):
        part = words[start : start + (1 << 16)]
        weights = np.arange(len(part), 0, -1, dtype=np.uint64)
        second = _folded(second + first * len(part) + int(part @ weights))
        first = _folded(first + int(part.sum()))
    return second << 16 | first


def _folded(number: int) -> int:
    """Modulo 65535, where what is not 0 stays so."""
    return (number - 1) % 0xFFFF + 1 if number else 0


def lzf_unpacked(packed: bytes, most: int) -> bytes:
    """LibLZF's format: runs of literals, and copies of what stands up to 8 kB before.

    Raises:
        ValueError: damaged, or longer than `most` bytes.
    """
    unpacked, place = bytearray(), 0
    try:
        while place < len(packed):
            control = packed[place]
            place += 1
            if control < _LZF_LITERALS:
                end = place + control + 1
                if end > len(packed):
                    raise ValueError("LZF data that end too early")
                unpacked += packed[place:end]
                place = end
            else:
                length = control >> 5
                if length == _LZF_LONG:
                    length += packed[place]
                    place += 1
                distance = ((control & 31) << 8 | packed[place]) + 1
                place += 1
                start = len(unpacked) - distance
                if start < 0:
                    raise ValueError("LZF data that point before their start")
                piece = unpacked[start : start + length + 2]
                repeats = -(-(length + 2) // len(piece))
                unpacked += (piece * repeats)[: length + 2]
            if len(unpacked) > most:
                raise ValueError("LZF data longer than their chunk")
    except IndexError as error:
        raise ValueError("LZF data that end too early") from error
    return bytes(unpacked)
