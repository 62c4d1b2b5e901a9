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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.array_files import load_arrays, save_arrays, texts_of
from pluralbench.errors import DamagedFileError
from pluralbench.files import json_values
from pluralbench.preference_oracles.preference_storage import COLUMNS, check_words
from pluralbench.preference_oracles.preferences import PreferenceDataset, PreferenceError

PAIRS_FORMAT = "pluralbench pairs 1"
NPZ_FORMAT = "pluralbench preferences npz 2"
_UNCHECKED = "pluralbench preferences 1"  # what the npz was before it had a checksum


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
    save_arrays(path, PAIRS_FORMAT, vars(to_pairs(preferences)))


def export_npz(preferences: PreferenceDataset, path: Path) -> None:
    """Writes a compressed npz from which `import_npz` gives the same dataset.

    Raises:
        PreferenceError: names of groups that an array of texts cannot hold.
    """
    names = np.array(preferences.group_names, dtype=np.str_)
    if tuple(names.tolist()) != preferences.group_names:
        raise PreferenceError(f"{path}: an npz holds no names of groups that end in NUL")
    provenance = np.array(json.dumps(preferences.provenance, sort_keys=True))
    save_arrays(path, NPZ_FORMAT, {**preferences.columns(), "group_names": names, "provenance": provenance})


def import_npz(path: Path) -> PreferenceDataset:
    """Reads what `export_npz` wrote; PreferenceError where it is damaged or something else."""
    try:
        arrays = load_arrays(path, NPZ_FORMAT, unchecked_formats=(_UNCHECKED,))
        missing = [name for name in (*COLUMNS, "group_names", "provenance") if name not in arrays]
        if missing:
            raise DamagedFileError(f"{path}: {', '.join(missing)} missing")
        group_names = texts_of(path, "group_names", arrays["group_names"])
        provenance = json_values("".join(texts_of(path, "provenance", arrays["provenance"])))
        check_words(path, group_names, provenance)
        columns: dict[str, Any] = {name: arrays[name] for name in COLUMNS}
        return PreferenceDataset(**columns, group_names=tuple(group_names), provenance=provenance)
    except DamagedFileError as error:
        raise PreferenceError(str(error)) from error
    except PreferenceError as error:
        raise PreferenceError(f"{path}: {error}") from error
    except ValueError as error:
        raise PreferenceError(f"{path}: the provenance is no JSON text ({error})") from error
