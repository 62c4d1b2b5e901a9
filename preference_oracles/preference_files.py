"""Preferences in other formats: plain npz, and one row per pair as trainers of reward models read them.

npz holds the columns of `PreferenceDataset` under their names, with `group_names` as strings and `provenance` as JSON
text, and gives the same dataset back.

The pairwise file, `NAME.pairs.npz`, has one row for each pair that was answered:

| column | shape | meaning |
|---|---|---|
| chosen | (R, T, S) float32 | the segment that the user preferred; the first one of a tie |
| rejected | (R, T, S) float32 | the other one |
| label | (R,) float32 | probability that `chosen` is the better: 1, or 0.5 for a tie |
| user_id | (R,) int64 | who answered |
| group | (R,) str | the user's group, for diagnostics |

A trainer that knows no ties keeps the rows whose label is 1. Queries that were skipped have no row.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.files import replace_file
from pluralbench.preference_oracles.preference_storage import COLUMNS, FORMAT
from pluralbench.preference_oracles.preferences import PreferenceDataset, PreferenceError

PAIRS_FORMAT = "pluralbench pairs 1"


@dataclass(frozen=True)
class Pairs:
    """One row for each answered pair; the columns are those of the module's table."""

    chosen: NDArray[np.float32]
    rejected: NDArray[np.float32]
    label: NDArray[np.float32]
    user_id: NDArray[np.int64]
    group: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)


def to_pairs(preferences: PreferenceDataset) -> Pairs:
    """The answered pairs, user after user, each with the preferred segment first."""
    users, comparisons = np.nonzero(preferences.mask)
    labels = preferences.labels[users, comparisons]
    segments = preferences.segments[users, comparisons]  # (R, 2, T, S)
    chosen = np.where(labels == 0, 1, 0)
    rows = np.arange(len(labels))
    names = np.array(preferences.group_names, dtype=np.str_)
    return Pairs(
        chosen=segments[rows, chosen],
        rejected=segments[rows, 1 - chosen],
        label=np.where(labels == 0.5, 0.5, 1.0).astype(np.float32),
        user_id=preferences.user_ids[users],
        group=names[preferences.group_index[users]],
    )


def export_pairs(preferences: PreferenceDataset, path: Path) -> None:
    """Writes the pairwise file."""
    _write(path, PAIRS_FORMAT, vars(to_pairs(preferences)))


def export_npz(preferences: PreferenceDataset, path: Path) -> None:
    """Writes a compressed npz from which `import_npz` gives the same dataset."""
    columns = preferences.columns()
    columns["group_names"] = np.array(preferences.group_names, dtype=np.str_)
    columns["provenance"] = np.array(json.dumps(preferences.provenance, sort_keys=True))
    _write(path, FORMAT, columns)


def import_npz(path: Path) -> PreferenceDataset:
    """Reads what `export_npz` wrote; PreferenceError where it is damaged or something else."""
    columns = _read(path, (*COLUMNS, "group_names", "provenance"))
    group_names = tuple(str(name) for name in columns.pop("group_names"))
    text = str(columns.pop("provenance"))
    try:
        return PreferenceDataset(**columns, group_names=group_names, provenance=json.loads(text))
    except json.JSONDecodeError as error:
        raise PreferenceError(f"{path}: the provenance is no JSON text: {error}") from error
    except PreferenceError as error:
        raise PreferenceError(f"{path}: {error}") from error


def _write(path: Path, file_format: str, columns: dict[str, Any]) -> None:
    with replace_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, format=np.array(file_format), **columns)


def _read(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The named arrays of a file of format `FORMAT`; a zip member's own CRC tells damage."""
    if not Path(path).is_file():
        raise PreferenceError(f"{path}: no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise PreferenceError(f"{path}: expected an npz of format {FORMAT!r}, found a single array")
        with loaded as file:
            found = str(file["format"]) if "format" in file.files else None
            if found != FORMAT:
                raise PreferenceError(f"{path}: expected an npz of format {FORMAT!r}, found {found!r}")
            return {name: file[name] for name in names}
    except PreferenceError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise PreferenceError(f"{path}: damaged, or no npz of format {FORMAT!r} ({reason})") from error
