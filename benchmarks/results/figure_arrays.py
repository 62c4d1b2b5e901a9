"""What the figures of reward models draw, kept as npz with a checksum: all of one seed, by a name and a part.

<environment>-reward-maps.npz, by the name of each reward
learned  (U, H, W) scaled reward of each place for a user of each group, NaN where no state is
true     (U, H, W) true utility
users    (U,) names of the users' goals; ("each user",) where H are the users themselves, all in one table
rows     (H,) names of rows, or none      columns  (W,) names of columns, or none

<environment>-latents.npz, by the name of each learner with latents
means    (U, Z) posterior means of test users      groups  (U,) names of their groups

Every map of a file is of the same users and places.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.array_files import load_arrays, read_npz, save_arrays
from pluralbench.benchmarks.results.names import ResultsError, check_text
from pluralbench.errors import DamagedFileError
from pluralbench.lines import shown

REWARD_MAPS_FORMAT, LATENTS_FORMAT = "pluralbench reward-maps 1", "pluralbench latents 1"
_TEXTS = ("users", "rows", "columns", "groups")
"""Parts that hold names; the others hold numbers."""

Parts = dict[str, NDArray[Any]]
Named = dict[str, Parts]
"""Parts by the name of a reward or a learner."""


def reward_maps_path(suite_folder: Path, environment: str) -> Path:
    """Where an environment's reward maps lie."""
    return suite_folder / f"{environment}-reward-maps.npz"


def latents_path(suite_folder: Path, environment: str) -> Path:
    """Where an environment's latents lie."""
    return suite_folder / f"{environment}-latents.npz"


def save_reward_maps(path: Path, maps: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes reward maps by the name of their reward, the pictures in half precision."""
    small = _as_arrays(maps)
    for parts in small.values():
        for part in ("learned", "true"):
            parts[part] = parts[part].astype(np.float16)
    _save(path, REWARD_MAPS_FORMAT, small)


def load_reward_maps(path: Path) -> Named:
    """The maps by the name of their reward; nothing where there is no such file.

    Raises:
        ResultsError: it is damaged, of another version, or its arrays do not fit each other.
    """
    maps = _load(path, REWARD_MAPS_FORMAT, {"learned", "true", "users", "rows", "columns"})
    for name, parts in maps.items():
        _check_map(path, name, parts)
        if not _are_of_the_same_places(parts, next(iter(maps.values()))):
            raise ResultsError(f"{path}: the maps of {shown(name)} are of other users or places than the first")
    return maps


def save_latents(path: Path, latents: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the latents of learners."""
    _save(path, LATENTS_FORMAT, _as_arrays(latents))


def load_latents(path: Path) -> Named:
    """The latents by the name of their learner; nothing where there is no such file.

    Raises:
        ResultsError: it is damaged, of another version, or its arrays do not fit each other.
    """
    latents = _load(path, LATENTS_FORMAT, {"means", "groups"})
    for name, parts in latents.items():
        shape = parts["means"].shape
        if len(shape) != 2 or 0 in shape or parts["groups"].shape != shape[:1] or not np.isfinite(parts["means"]).all():
            raise ResultsError(
                f"{path}: {shown(name)} has means {shape} and groups {parts['groups'].shape}, expected finite (U, Z) "
                "and (U,)"
            )
    return latents


def fitting_maps(kept: Named, new: Mapping[str, Mapping[str, Any]]) -> Named:
    """Those of the maps of a file that can be drawn beside new ones: of the same users and places."""
    arrays = next(iter(_as_arrays(new).values()))
    return {name: parts for name, parts in kept.items() if _are_of_the_same_places(parts, arrays)}


def _are_of_the_same_places(first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]]) -> bool:
    same_names = all(np.array_equal(first[part], second[part]) for part in ("users", "rows", "columns"))
    return same_names and first["true"].shape == second["true"].shape


def _check_map(path: Path, name: str, parts: Parts) -> None:
    shape = parts["learned"].shape
    if len(shape) != 3 or 0 in shape or parts["true"].shape != shape:
        raise ResultsError(
            f"{path}: {shown(name)} has maps {shape} and {parts['true'].shape}, expected twice the same (U, H, W)"
        )
    named = parts["rows"].size > 0
    expected = {"users": shape[:1], "rows": shape[1:2] if named else (0,), "columns": shape[2:] if named else (0,)}
    for part, size in expected.items():
        if parts[part].shape != size:
            raise ResultsError(f"{path}: {shown(name)} has {part} {parts[part].shape}, expected {size}")


def _as_arrays(named: Mapping[str, Mapping[str, Any]]) -> Named:
    return {
        name: {
            part: np.asarray(values, dtype=np.str_) if part in _TEXTS else np.asarray(values)
            for part, values in parts.items()
        }
        for name, parts in named.items()
    }


def _save(path: Path, file_format: str, named: Named) -> None:
    arrays = {f"{name}/{part}": values for name, parts in named.items() for part, values in parts.items()}
    save_arrays(path, file_format, arrays)


def _is_without_format(path: Path) -> bool:
    try:
        return "format" not in read_npz(path)
    except DamagedFileError:
        return False


def _load(path: Path, file_format: str, parts: set[str]) -> Named:
    if not path.exists():
        return {}
    try:
        arrays = load_arrays(path, file_format)
    except DamagedFileError as error:
        old = (
            "; arrays without a format were written by an older version: run again" if _is_without_format(path) else ""
        )
        raise ResultsError(f"{error}{old}") from error
    named: Named = {}
    for key, values in arrays.items():
        name, _, part = key.rpartition("/")
        named.setdefault(check_text(name, f"{path}: a name"), {})[part] = values
    if not named:
        raise ResultsError(f"{path}: holds nothing")
    for name, own in named.items():
        if set(own) != parts:
            raise ResultsError(
                f"{path}: {shown(name)} has {', '.join(sorted(own))}, expected {', '.join(sorted(parts))}"
            )
        for part, values in own.items():
            if (values.dtype.kind == "U") != (part in _TEXTS):
                raise ResultsError(f"{path}: {shown(name)}: {part} is of the type {values.dtype}")
            for text in values.ravel() if part in _TEXTS else ():
                check_text(str(text), f"{path}: a name of {part}")
    return named
