"""Fingerprints: whether two runs had the same users and the same answers is told by 64 characters.

A fingerprint depends on values, types and shapes alone, not on how an array lies in memory or whether it is mapped
from a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pluralbench.preference_oracles.teachers import Teacher
from pluralbench.preference_oracles.users import Users

PIECE_BYTES = 1 << 22
"""Arrays are read in pieces of this size, so that a large file that is mapped into memory never is in memory whole."""


def users_fingerprint(users: Users) -> str:
    """SHA-256, in hexadecimal, over all that users are: ids, groups, what they want, how they answer, who taught."""
    teacher = {field.name: getattr(users.teacher, field.name) for field in fields(users.teacher)}
    words = {name: value for name, value in teacher.items() if isinstance(value, str)}
    if type(users.teacher) is not Teacher:  # fingerprints of the suite's own teachers are older than this line
        words["class"] = type(users.teacher).__qualname__
    numbers = {name: value for name, value in teacher.items() if name not in words}
    return content_fingerprint(
        "users",
        {"group_names": users.group_names, "taught": [bool(flag) for flag in users.taught], "teacher": words},
        {"ids": users.ids, "group_index": users.group_index, "goals": users.goals, **numbers},
    )


def content_fingerprint(kind: str, words: Mapping[str, Any], arrays: Mapping[str, ArrayLike]) -> str:
    """SHA-256, in hexadecimal, over the kind of thing, JSON values, and arrays with their names, dtypes and shapes."""
    digest = hashlib.sha256(f"{kind} {json.dumps(words, sort_keys=True, allow_nan=False)}\n".encode())
    for name, values in arrays.items():
        array = np.asanyarray(values)  # a mapped file stays one
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        if array.ndim == 0 or array.size == 0:
            digest.update(array.tobytes())
            continue
        rows = max(1, PIECE_BYTES // max(1, array.nbytes // len(array)))
        for start in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    return digest.hexdigest()
