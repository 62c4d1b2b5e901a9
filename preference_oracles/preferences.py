"""What the users answered: segments in pairs, one label each, and who gave it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.errors import DamagedFileError, InputError
from pluralbench.preference_oracles.fingerprints import content_fingerprint
from pluralbench.preference_oracles.preference_storage import COLUMNS, read_preferences, write_preferences


class PreferenceError(InputError):
    """Preferences whose parts do not fit together; the message names the part."""


@dataclass(frozen=True)
class PreferenceDataset:
    """K answers of each of U users."""

    segments: NDArray[np.float32]
    """(U, K, 2, T, S) float32, observations; a read-only view of the file where loaded lazily."""
    labels: NDArray[np.float32]
    """(U, K) float32: 1 where the first segment is preferred, 0 where the second is, 0.5 for a tie."""
    mask: NDArray[np.bool_]
    """(U, K) bool, False where the user skipped; the label there is 0.5 and means nothing."""
    user_ids: NDArray[np.int64]
    """(U,) int64; a user may have several rows."""
    group_names: tuple[str, ...]
    """The names of all groups."""
    group_index: NDArray[np.int64]
    """(U,) int64 into `group_names`."""
    goals: NDArray[np.float64]
    """(U, G) float64, the truth: for the oracle learner and for diagnostics; no learner may read it. (U, 0) where it is
    not known, as of real people."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """What made it (environment, population, teacher, seed, realised rates); JSON values only."""

    def __post_init__(self) -> None:
        if self.segments.ndim != 5 or self.segments.shape[2] != 2 or self.segments.shape[3] < 1:
            raise PreferenceError(f"segments must be (U, K, 2, T, S), are {self.segments.shape}")
        if self.goals.ndim != 2:
            raise PreferenceError(f"goals must be (U, G), are {self.goals.shape}")
        rows, answers = self.segments.shape[:1], self.segments.shape[:2]
        shapes = (self.segments.shape, answers, answers, rows, rows, (*rows, self.goals.shape[1]))
        for (name, dtype), shape in zip(COLUMNS.items(), shapes, strict=True):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise PreferenceError(f"{name} must be {np.dtype(dtype)} {shape}, is {array.dtype} {array.shape}")
        if not ((self.labels == 0.0) | (self.labels == 0.5) | (self.labels == 1.0)).all():
            raise PreferenceError("labels must be 0, 0.5 or 1")
        if len(self.group_index) and not 0 <= self.group_index.min() <= self.group_index.max() < len(self.group_names):
            raise PreferenceError("group_index points outside group_names")

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def num_users(self) -> int:
        """U, the number of rows."""
        return self.segments.shape[0]

    @property
    def num_comparisons(self) -> int:
        """K."""
        return self.segments.shape[1]

    @property
    def segment_length(self) -> int:
        """T, in steps."""
        return self.segments.shape[3]

    @property
    def observation_size(self) -> int:
        """S."""
        return self.segments.shape[4]

    def columns(self) -> dict[str, Any]:
        """The six arrays by name, in the order of the file."""
        return {name: getattr(self, name) for name in COLUMNS}

    def take_users(self, rows: ArrayLike | slice) -> PreferenceDataset:
        """The users of these rows, in this order: a slice, indices, or a (U,) bool."""
        index = rows if isinstance(rows, slice) else np.asarray(rows)
        return replace(self, **{name: values[index] for name, values in self.columns().items()})

    def take_queries(self, columns: ArrayLike | slice) -> PreferenceDataset:
        """These comparisons: a slice or indices (Q,) into K for every user alike, or (U, Q) for each user's own."""
        index = columns if isinstance(columns, slice) else np.asarray(columns)
        own = not isinstance(index, slice) and index.ndim == 2
        chosen = (np.arange(self.num_users)[:, None] if own else slice(None), index)
        return replace(self, segments=self.segments[chosen], labels=self.labels[chosen], mask=self.mask[chosen])

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over all columns and the groups' names, and not over the provenance.

        Segments are read in pieces, also where they are mapped from a file; a gigabyte takes a second or so.
        """
        return content_fingerprint("preferences", {"group_names": self.group_names}, self.columns())

    def save(self, path: Path) -> None:
        """Writes the HDF5 file that `preference_storage` documents, beside and renamed."""
        columns = self.columns()
        shapes = {name: values.shape for name, values in columns.items()}
        write_preferences(Path(path), shapes, [(0, columns)], self.group_names, lambda: self.provenance)

    @classmethod
    def load(cls, path: Path, lazy: bool = False, verify: bool = True) -> PreferenceDataset:
        """Reads what `save` or `stream_preferences` wrote.

        Args:
            path: the HDF5 file.
            lazy: map the segments from the file instead of reading them: rows are read when they are indexed.
            verify: compare the checksum, which reads the file once without keeping it.

        Raises:
            PreferenceError: no such file, another kind of file, or a damaged one.
        """
        try:
            columns, group_names, provenance = read_preferences(Path(path), lazy=lazy, verify=verify)
            return cls(**columns, group_names=group_names, provenance=provenance)
        except DamagedFileError as error:
            raise PreferenceError(str(error)) from error
        except PreferenceError as error:
            raise PreferenceError(f"{path}: {error}") from error
