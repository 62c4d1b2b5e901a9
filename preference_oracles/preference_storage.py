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

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.files import DamagedFileError

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


class PreferenceWriter:
    """Fills an open file with rows of users as they come."""

    def __init__(self, file: h5py.File, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._file = file
        for name, dtype in COLUMNS.items():
            file.create_dataset(name, shape=shapes[name], dtype=dtype)

    def write(self, start: int, columns: Mapping[str, NDArray[Any]]) -> None:
        """Writes the rows from `start` on; `columns` names every column of the layout."""
        for name in COLUMNS:
            values = columns[name]
            if len(values):
                self._file[name][start : start + len(values)] = values

    def finish(self, group_names: tuple[str, ...], provenance: Mapping[str, Any]) -> None:
        """Writes what is known only at the end."""
        from pluralbench.hdf5_files import store_json

        store_json(self._file, "group_names", list(group_names))
        store_json(self._file, "provenance", dict(provenance))


@contextmanager
def create_preferences(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[PreferenceWriter]:
    """A writer for a new file, which stands at `path` only when the block ends without an error."""
    from pluralbench.hdf5_files import create_checked_hdf5

    with create_checked_hdf5(path, FORMAT) as file:
        yield PreferenceWriter(file, shapes)


def write_preferences(
    path: Path, columns: Mapping[str, NDArray[Any]], group_names: tuple[str, ...], provenance: Mapping[str, Any]
) -> None:
    """Writes all rows at once."""
    with create_preferences(path, {name: columns[name].shape for name in COLUMNS}) as writer:
        writer.write(0, columns)
        writer.finish(group_names, provenance)


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
    from pluralbench.hdf5_files import file_format_of, load_json, open_checked_hdf5, open_hdf5

    opened = open_checked_hdf5(path, FORMAT) if verify else open_hdf5(path)
    with opened as file:
        if file_format_of(file) != FORMAT:
            raise DamagedFileError(f"{path}: expected the format {FORMAT!r}, found {file_format_of(file)!r}")
        columns: dict[str, NDArray[Any]] = {}
        for name, dtype in COLUMNS.items():
            stored = file[name]
            columns[name] = (
                _mapped(path, stored) if lazy and name == "segments" else stored[()].astype(dtype, copy=False)
            )
        return columns, tuple(load_json(file, "group_names")), load_json(file, "provenance")


def _mapped(path: Path, stored: h5py.Dataset) -> NDArray[Any]:
    offset = stored.id.get_offset()
    if offset is None:  # nothing stored in one piece: an empty dataset, or one that another program compressed
        return stored[()]
    return np.memmap(path, dtype=stored.dtype, mode="r", offset=offset, shape=stored.shape)
