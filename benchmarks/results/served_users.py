"""users.npz: whom a run was scored on and how it knew them, so that its policy can act for them again.

An npz with a checksum, beside the run's policy, of U users:

user_ids     (U,)        as in success_rates.csv      group_names  (J,)  of all groups
goals        (U, G)      what they truly want         group_index  (U,)  into them
latents      (U, Z)      float32, as the policy was given them; Z = 0 where it does not tell users apart
questions    (U, K, 2)   the answers from which the latents were inferred: rows of `segments` ...
labels       (U, K)      ... 1 where the first is preferred, 0 where the second is, 0.5 for a tie ...
mask         (U, K)      ... and False where the user skipped
segments     (P, T, S)   each segment that was asked about, once

K = 0 where no answers decided the latents: of methods that do not tell users apart, and of the oracle, whose latents
are the goals.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.array_files import Arrays, load_arrays, save_arrays, texts_of
from pluralbench.benchmarks.results.names import ResultsError, check_text
from pluralbench.errors import DamagedFileError
from pluralbench.integrity import SMALLEST_LIMIT, check_declared, declared_bytes
from pluralbench.preference_oracles.preferences import PreferenceDataset, PreferenceError

FILE = "users.npz"
FORMAT = "pluralbench users 1"
_COLUMNS = ("user_ids", "group_index", "goals", "labels", "mask")
"""Columns of the answers that are kept as they are."""
_PARTS = {*_COLUMNS, "group_names", "latents", "questions", "segments"}


@dataclass(frozen=True)
class ServedUsers:
    """The U users for whom a run's policy acted."""

    latents: NDArray[np.float32]
    """(U, Z), as the policy was given them."""
    answers: PreferenceDataset
    """Of the same users in the same order; `infer` of the run's reward model gives the latents again, except that
    `individual` numbers its networks anew."""

    def __post_init__(self) -> None:
        num = self.answers.num_users
        if self.latents.ndim != 2 or len(self.latents) != num or self.latents.dtype != np.float32:
            raise ResultsError(f"latents must be float32 ({num}, Z), are {self.latents.dtype} {self.latents.shape}")

    @property
    def ids(self) -> NDArray[np.int64]:
        """(U,), as in success_rates.csv."""
        return self.answers.user_ids

    def latent_of(self, user: int) -> NDArray[np.float32]:
        """The latent (Z,) of the user with this id.

        Raises:
            ResultsError: the run was not scored on that user.
        """
        (rows,) = np.nonzero(self.ids == user)
        if not len(rows):
            raise ResultsError(f"user {user} is none of the {len(self.ids)} users on whom the run was scored")
        return np.asarray(self.latents[rows[0]])


def save_served_users(path: Path | str, users: ServedUsers) -> None:
    """Writes users.npz."""
    answers = users.answers
    segments, questions = _each_once(answers.segments)
    save_arrays(
        path,
        FORMAT,
        {
            **{name: getattr(answers, name) for name in _COLUMNS},
            "group_names": np.array(answers.group_names, dtype=np.str_),
            "latents": users.latents,
            "questions": questions,
            "segments": segments,
        },
    )


def load_served_users(path: Path | str) -> ServedUsers:
    """Reads what `save_served_users` wrote, without running code from it.

    Raises:
        ResultsError: no such file, damaged, of another version, or its arrays do not fit each other.
    """
    try:
        return _from_arrays(path, load_arrays(path, FORMAT))
    except DamagedFileError as error:
        raise ResultsError(str(error)) from error
    except PreferenceError as error:
        raise ResultsError(f"{path}: {error}") from error


def _from_arrays(path: Path | str, arrays: Arrays) -> ServedUsers:
    if set(arrays) != _PARTS:
        raise ResultsError(f"{path}: holds {', '.join(sorted(arrays))}, expected {', '.join(sorted(_PARTS))}")
    segments, questions = arrays["segments"], arrays["questions"]
    if segments.ndim != 3 or questions.ndim != 3 or questions.dtype.kind != "u":
        raise ResultsError(
            f"{path}: segments {segments.shape} and questions {questions.dtype} {questions.shape}, expected (P, T, S) "
            "and whole numbers (U, K, 2)"
        )
    if questions.size and questions.max() >= len(segments):
        raise ResultsError(f"{path}: questions are about segments that there are not")
    check_declared(path, questions.size * declared_bytes(segments.shape[1:], segments.itemsize))
    names = texts_of(path, "group_names", arrays["group_names"])
    columns: dict[str, Any] = {name: arrays[name] for name in _COLUMNS}
    answers = PreferenceDataset(
        segments=segments[questions],  # (U, K, 2, T, S)
        group_names=tuple(check_text(name, f"{path}: a name of group_names") for name in names),
        **columns,
    )
    try:
        return ServedUsers(arrays["latents"], answers)
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from error


def _each_once(segments: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Each of the segments (U, K, 2, T, S) once, (P, T, S), and which of them is where, (U, K, 2).

    Thousands of users are asked about the same few thousand states. What is too large for a reader to believe that a
    small file stands for it is kept as it is.
    """
    flat = np.ascontiguousarray(segments).reshape(-1, *segments.shape[3:])  # (U * K * 2, T, S)
    order = np.arange(len(flat))
    if 0 < segments.nbytes < SMALLEST_LIMIT:
        numbers: dict[bytes, int] = {}  # by the bits: 0 and -0 are two; a tenth of the time of np.unique over rows
        order = np.array([numbers.setdefault(segment.tobytes(), len(numbers)) for segment in flat])
        flat = flat[np.unique(order, return_index=True)[1]]
    return flat, order.reshape(segments.shape[:3]).astype(np.min_scalar_type(max(len(flat) - 1, 0)))
