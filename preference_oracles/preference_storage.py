"""The HDF5 file of preferences.

    preferences.hdf5                  attributes: format = "pluralbench preferences 1", checksum = SHA-256 of content
    |-- segments     (U, K, 2, T, S)  float32   observations along both segments of every pair
    |-- labels       (U, K)           float32   1 first preferred, 0 second preferred, 0.5 equal
    |-- mask         (U, K)           bool      False where the user skipped
    |-- user_ids     (U,)             int64
    |-- group_index  (U,)             int64     into group_names
    |-- goals        (U, G)           float64   what each user truly wants; G = 0 where it is not known
    |-- group_names                   JSON text ["(7, 1)", "(7, 10)"]
    `-- provenance                    JSON text {"environment": "...", "population": "two-goals", "seed": 0, ...}

          segments[u, k]                          U users, K comparisons each, T steps, S numbers in an observation
    +--------------------------+
    | first  o_1 o_2 ... o_T   |  --\
    +--------------------------+     >  labels[u, k] = 1: user u would rather have the first
    | second o_1 o_2 ... o_T   |  --/
    +--------------------------+

Arrays are stored whole and uncompressed, one row per user, so that rows can be written as they come and be mapped into
memory without being read. The checksum covers every dataset. Nothing in the file is ever executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.errors import DamagedFileError
from pluralbench.integrity import check_format

if TYPE_CHECKING:  # h5py is imported when a file is written or read, for it takes long
    import h5py

FORMAT = "pluralbench preferences 1"
COLUMNS: dict[str, Any] = {
    "segments": np.float32,
    "labels": np.float32,
    "mask": np.bool_,
    "user_ids": np.int64,
    "group_index": np.int64,
    "goals": np.float64,
}


def write_preferences(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    chunks: Iterable[tuple[int, Mapping[str, NDArray[Any]]]],
    group_names: tuple[str, ...],
    provenance: Callable[[], Mapping[str, Any]],
) -> None:
    """Writes a file, which stands at `path` only when all of it is written.

    Args:
        path: where.
        shapes: of every column.
        chunks: the number of the first row, and every column, of some rows; written as they come.
        group_names: the names of all groups.
        provenance: gives it when all rows are there.
    """
    from pluralbench.hdf5_files import create_checked_hdf5, store_json

    with create_checked_hdf5(path, FORMAT) as file:
        for name, dtype in COLUMNS.items():
            file.create_dataset(name, shape=shapes[name], dtype=dtype)
        for start, columns in chunks:
            for name, values in columns.items():
                if len(values):
                    file[name][start : start + len(values)] = values
        store_json(file, "group_names", list(group_names))
        store_json(file, "provenance", dict(provenance()))


def read_preferences(
    path: Path, lazy: bool = False, verify: bool = True
) -> tuple[dict[str, NDArray[Any]], tuple[str, ...], dict[str, Any]]:
    """The columns, the group names and the provenance.

    Args:
        path: the file.
        lazy: map the segments, read-only, instead of reading them.
        verify: compare the checksum first.

    Raises:
        DamagedFileError: no such file, of another kind, or damaged; the message says which.
    """
    from pluralbench.hdf5_files import (
        file_format_of,
        load_json,
        open_checked_hdf5,
        open_hdf5,
        plain_dataset,
        read_numbers,
    )

    opened = open_checked_hdf5(path, FORMAT) if verify else open_hdf5(path)
    with opened as file:
        check_format(path, file_format_of(file), FORMAT)
        columns: dict[str, NDArray[Any]] = {}
        for name, dtype in COLUMNS.items():
            stored = plain_dataset(file, name)
            mapped = lazy and name == "segments"
            columns[name] = _mapped(path, stored) if mapped else read_numbers(stored).astype(dtype, copy=False)
        group_names, provenance = load_json(file, "group_names"), load_json(file, "provenance")
        check_words(path, group_names, provenance)
        return columns, tuple(group_names), provenance


def check_words(path: Path, group_names: Any, provenance: Any) -> None:
    """Raises DamagedFileError unless these are a list of texts and a mapping."""
    if not isinstance(group_names, list) or not all(isinstance(name, str) for name in group_names):
        raise DamagedFileError(f"{path}: group_names should be a list of texts")
    if not isinstance(provenance, dict):
        raise DamagedFileError(f"{path}: the provenance should be a JSON object")


def _mapped(path: Path, stored: h5py.Dataset) -> NDArray[Any]:
    from pluralbench.hdf5_files import read_numbers

    offset = stored.id.get_offset()
    if offset is None:  # nothing stored in one piece: an empty dataset, or one that another program compressed
        return read_numbers(stored)
    return np.memmap(path, dtype=stored.dtype, mode="r", offset=offset, shape=stored.shape)
