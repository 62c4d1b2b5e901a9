"""npz files of named arrays with a format and a checksum over their whole content. Loading runs no code.

NumPy's own reader believes what a file declares, and runs its headers through Python's parser; this one reads what
`save_arrays` and `numpy.savez` write, looks first, and unpacks no more than was said.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.errors import DamagedFileError
from pluralbench.files import check_is_file, replace_file
from pluralbench.integrity import (
    check_checksum,
    check_declared,
    check_format,
    check_numeric,
    declared_bytes,
    declared_limit,
)
from pluralbench.lines import plain

LARGEST_TEXTS = 1 << 25
"""Bytes of an array of texts of which Python's own are made, 32 MiB: those take some times as much."""

_FORMAT, _CHECKSUM = "format", "checksum"
_MOST_MEMBERS = 10_000
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA and bzip2 may ask for any memory
_ENCRYPTED = 1
_MAGIC = {b"\x93NUMPY\x01\x00": "<H", b"\x93NUMPY\x02\x00": "<I", b"\x93NUMPY\x03\x00": "<I"}
_LONGEST_HEADER, _LONGEST_WORD = 10_000, 1_000  # bytes
_LAST_LETTER, _SURROGATES = 0x10FFFF, (0xD800, 0xDFFF)  # of Unicode; surrogates stand for nothing alone
_HEADER = re.compile(
    rb"\{'descr': '(?P<type>[<>|=]?[a-zA-Z?]\d{0,10})', 'fortran_order': (?P<order>True|False), "
    rb"'shape': \((?P<shape>(?:\d{1,18}, ?)*(?:\d{1,18})?)\), ?\} *\n"
)
_FOREIGN_ERRORS = (
    OSError, ValueError, LookupError, TypeError, RuntimeError, EOFError, OverflowError,
    struct.error, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error,
)  # fmt: skip
"""What `zipfile` raises at damaged files."""

Arrays = dict[str, NDArray[Any]]


def save_arrays(path: Path | str, file_format: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes a compressed npz, all of it or nothing; the same arrays give the same bytes.

    Args:
        path: where the file shall stand.
        file_format: what it holds and in which version, for example `pluralbench latents 1`; readers compare it.
        arrays: by name, of numbers, truth values or texts of fixed length.

    Raises:
        DamagedFileError: arrays or names that `load_arrays` would refuse.
    """
    stored = {name: np.asarray(values) for name, values in arrays.items()}
    for name, values in stored.items():
        if name in (_FORMAT, _CHECKSUM) or "\0" in name:
            raise DamagedFileError(f"{path}: no array can be named {name!r}")
        if values.dtype.kind != "U":
            check_numeric(path, name, values.dtype)
        _check_letters(path, name, values)
    checksum = arrays_checksum(file_format, stored)
    named = {**stored, _FORMAT: np.array(file_format), _CHECKSUM: np.array(checksum)}
    with replace_file(path) as partial:
        _write(partial, named, zipfile.ZIP_DEFLATED)
        if sum(values.nbytes for values in stored.values()) > 0.9 * declared_limit(partial):
            _write(partial, named, zipfile.ZIP_STORED)  # packed so densely that no reader would believe it


def _write(path: Path, arrays: Arrays, packing: int) -> None:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, values, allow_pickle=False)


def load_arrays(path: Path | str, file_format: str, unchecked_formats: tuple[str, ...] = ()) -> Arrays:
    """What `save_arrays` wrote.

    Args:
        path: the file.
        file_format: that it must have.
        unchecked_formats: older ones, of which files without a checksum are read too.

    Raises:
        DamagedFileError: no such file, no npz, damaged, or of another format.
    """
    arrays = read_npz(path)
    found = _text(arrays.pop(_FORMAT, None))
    if found in unchecked_formats and _CHECKSUM not in arrays:
        return arrays
    check_format(path, found, file_format)
    check_checksum(path, _text(arrays.pop(_CHECKSUM, None)), arrays_checksum(file_format, arrays))
    return arrays


def arrays_checksum(file_format: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256, in hexadecimal, over the format and the names, types, shapes and bytes of all arrays."""
    digest = hashlib.sha256(f"format {file_format}\n".encode())
    for name in sorted(arrays):
        values = arrays[name]
        digest.update(f"{name!r} {values.dtype.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def read_npz(path: Path | str) -> Arrays:
    """The arrays of any npz, of numbers, truth values or fixed-length texts, of no more bytes than the file declares.

    Raises:
        DamagedFileError: no such file, no npz, damaged, arrays of other types, or more declared than a file of this
            size can hold.
    """
    path = Path(path)
    check_is_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename.removesuffix(".npy") for member in members]
            if len(set(names)) < len(names) or len(names) > _MOST_MEMBERS:
                raise DamagedFileError(f"{path}: damaged, {len(names)} arrays of {len(set(names))} names")
            check_declared(path, sum(member.file_size for member in members))
            return {name: _read(path, archive, member) for name, member in zip(names, members, strict=True)}
    except DamagedFileError:
        raise
    except _FOREIGN_ERRORS as error:
        reason = plain(error, 200) or type(error).__name__
        raise DamagedFileError(f"{path}: damaged, or no npz file ({reason})") from error


def _read(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    name = plain(member.filename)
    if member.compress_type not in _PACKINGS or member.flag_bits & _ENCRYPTED:
        raise DamagedFileError(f"{path}: {name} is encrypted, or packed in another way than npz files are")
    with archive.open(member) as stream:
        header, header_bytes = _header(path, name, stream)
        dtype = np.dtype(header["type"].decode())
        if dtype.kind != "U":
            check_numeric(path, name, dtype)
        shape = [int(size) for size in header["shape"].replace(b",", b" ").split()]
        num_bytes = declared_bytes(shape, dtype.itemsize)
        if header_bytes + num_bytes != member.file_size:
            raise DamagedFileError(f"{path}: {name} declares another number of bytes than it holds")
        content = stream.read(num_bytes)  # to its end, where the CRC is compared
    if len(content) != num_bytes:
        raise DamagedFileError(f"{path}: {name} holds {len(content)} bytes of content, declares {num_bytes}")
    values = np.frombuffer(bytearray(content), dtype=dtype) if num_bytes else np.zeros(0, dtype=dtype)
    if dtype == np.bool_:
        values = values.view(np.uint8) != 0
    values = values.reshape(shape, order="F" if header["order"] == b"True" else "C")
    _check_letters(path, name, values)
    return values


def _header(path: Path, name: str, stream: Any) -> tuple[re.Match[bytes], int]:
    """The parts of an array's header, and the bytes up to its end."""
    magic = stream.read(8)
    width = _MAGIC.get(magic)
    if width is None:
        raise DamagedFileError(f"{path}: {name} is no array of NumPy's")
    (length,) = struct.unpack(width, stream.read(struct.calcsize(width)))
    found = _HEADER.fullmatch(stream.read(min(length, _LONGEST_HEADER)))
    if found is None:
        raise DamagedFileError(f"{path}: {name} is no array of plain numbers or texts")
    return found, len(magic) + struct.calcsize(width) + length


def texts_of(path: Path | str, name: str, values: NDArray[Any]) -> list[str]:
    """The texts of an array as Python's own, in its order.

    Raises:
        DamagedFileError: an array of numbers, or of more than `LARGEST_TEXTS` bytes.
    """
    if values.dtype.kind != "U":
        raise DamagedFileError(f"{path}: {name} is of the type {values.dtype}, expected texts")
    if values.nbytes > LARGEST_TEXTS:
        raise DamagedFileError(f"{path}: {name} has {values.nbytes:.3g} bytes of text; at most {LARGEST_TEXTS:.3g}")
    return [str(text) for text in values.reshape(-1).tolist()]


def _check_letters(path: Path | str, name: str, values: NDArray[Any]) -> None:
    """Refuses texts made of numbers that stand for no letter."""
    if values.dtype.kind != "U" or not values.nbytes:
        return
    letters = np.ascontiguousarray(values).reshape(-1).view(f"{values.dtype.str[0]}u4")
    if letters.max() > _LAST_LETTER or ((letters >= _SURROGATES[0]) & (letters <= _SURROGATES[1])).any():
        raise DamagedFileError(f"{path}: {name} holds texts with letters that there are not")


def _text(values: NDArray[Any] | None) -> str | None:
    """A single short text; None for anything else."""
    is_text = values is not None and values.ndim == 0 and values.dtype.kind == "U" and values.nbytes <= _LONGEST_WORD
    return str(values) if is_text else None
