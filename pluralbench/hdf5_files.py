"""HDF5 files with a format and a checksum over their whole content.

A disk or a network that lost a bit is noticed when the file is read, not weeks later in a figure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pluralbench.errors import InputError
from pluralbench.files import DamagedFileError, replace_file

FORMAT_ATTRIBUTE = "format"
CHECKSUM_ATTRIBUTE = "checksum"
_CHUNK_BYTES = 1 << 24


@contextmanager
def create_checked_hdf5(path: Path | str, file_format: str) -> Iterator[h5py.File]:
    """A new HDF5 file to fill; it gets its format, its checksum and its name when the block ends without an error.

    The same content gives the same bytes. Texts belong in `store_json`, since an attribute holds 64 kB at most.

    Args:
        path: where the file shall stand.
        file_format: what it holds and in which version, for example `pluralbench transitions 1`; readers compare it.
    """
    with replace_file(path) as partial, h5py.File(partial, "w") as file:
        yield file
        # Texts of fixed length: HDF5 can be caught in an endless loop by a damaged heap of variable-length ones.
        file.attrs[FORMAT_ATTRIBUTE] = np.bytes_(file_format)
        file.attrs[CHECKSUM_ATTRIBUTE] = np.bytes_(content_checksum(file))


@contextmanager
def open_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """An HDF5 file to read; whatever HDF5 finds wrong with it becomes a DamagedFileError that names the file.

    Raises:
        DamagedFileError: no such file, no HDF5, truncated, or damaged in a way that HDF5 notices.
    """
    path = Path(path)
    if not path.is_file():
        raise DamagedFileError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if not h5py.is_hdf5(path):
        raise DamagedFileError(f"{path}: not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise  # a caller's own words about the content
        raise DamagedFileError(f"{path}: damaged or truncated HDF5 file ({' '.join(str(error).split())})") from error


@contextmanager
def open_checked_hdf5(path: Path | str, file_format: str) -> Iterator[h5py.File]:
    """A file that `create_checked_hdf5` wrote, opened for reading after its checksum was found right.

    Raises:
        DamagedFileError: as `open_hdf5`, and for a file of another format or with a wrong checksum.
    """
    with open_hdf5(path) as file:
        check_format_and_checksum(file, file_format)
        yield file


def check_format_and_checksum(file: h5py.File, file_format: str) -> None:
    """Raises DamagedFileError unless the file says that it is a `file_format` and holds what was written."""
    found = file_format_of(file)
    if found != file_format:
        raise DamagedFileError(f"{file.filename}: expected the format {file_format!r}, found {found!r}")
    if _text_attribute(file, CHECKSUM_ATTRIBUTE) != content_checksum(file):
        raise DamagedFileError(
            f"{file.filename}: damaged, its content does not have the checksum that it was written with"
        )


def file_format_of(file: h5py.File) -> str | None:
    """The format that the file says it has; None for a file that `create_checked_hdf5` did not write."""
    return _text_attribute(file, FORMAT_ATTRIBUTE)


def content_checksum(file: h5py.File) -> str:
    """SHA-256 over the names, types, shapes and bytes of all datasets, in the order of their names.

    Does not depend on how HDF5 lays the data out (chunks, compression), and reads it in pieces of some megabytes.

    Raises:
        TypeError: a dataset of variable-length strings or objects, whose bytes are addresses.
    """
    digest = hashlib.sha256(f"format {file_format_of(file)}\n".encode())
    for name in dataset_names(file):
        dataset = file[name]
        if dataset.dtype.hasobject:
            raise TypeError(f"{name}: variable-length data has no stable bytes; store text with store_json")
        digest.update(f"{name} {dataset.dtype.str} {dataset.shape}\n".encode())
        if dataset.ndim == 0 or dataset.size == 0:
            digest.update(np.asarray(dataset[()]).tobytes())
            continue
        rows = max(1, _CHUNK_BYTES // max(1, dataset.nbytes // len(dataset)))
        for start in range(0, len(dataset), rows):
            digest.update(np.ascontiguousarray(dataset[start : start + rows]).data)
    return digest.hexdigest()


def dataset_names(file: h5py.File) -> list[str]:
    """The full names of all datasets in the file, for example `infos/goal`, sorted."""
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return sorted(names)


def store_json(file: h5py.File, name: str, value: Any) -> None:
    """Stores JSON values of any length as a text dataset that `load_json` reads.

    Raises:
        TypeError, ValueError: `value` is not made of JSON values, or holds NaN.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    file.create_dataset(name, data=np.bytes_(text.encode()))


def load_json(file: h5py.File, name: str) -> Any:
    """What `store_json` stored; KeyError when there is nothing, ValueError when it is no JSON."""
    return json.loads(bytes(file[name][()]).decode())


def _text_attribute(file: h5py.File, name: str) -> str | None:
    """A short text of fixed length; one of variable length is none of ours and is not read."""
    if name not in file.attrs or file.attrs.get_id(name).dtype.kind != "S":
        return None
    return bytes(file.attrs[name]).decode()
