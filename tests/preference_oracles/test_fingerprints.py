"""Fingerprints: the same for the same content however it is stored, another one for any change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluralbench.preference_oracles import PopulationError, PreferenceDataset, Teacher, Users, fingerprints
from pluralbench.preference_oracles.fingerprints import content_fingerprint, users_fingerprint


def users(**changes: Any) -> Users:
    values: dict[str, Any] = {
        "ids": np.arange(4),
        "group_names": ("a", "b"),
        "group_index": np.array([0, 1, 0, 1]),
        "goals": np.arange(8.0).reshape(4, 2),
        "teacher": Teacher(),
        "taught": (True, False),
    }
    return Users(**{**values, **changes})


def preferences(num_users: int = 6, num_comparisons: int = 4, length: int = 3) -> PreferenceDataset:
    generator = np.random.default_rng(0)
    shape = (num_users, num_comparisons)
    return PreferenceDataset(
        segments=generator.normal(size=(*shape, 2, length, 5)).astype(np.float32),
        labels=generator.choice([0.0, 0.5, 1.0], size=shape).astype(np.float32),
        mask=generator.random(shape) < 0.8,
        user_ids=np.arange(num_users),
        group_names=("a", "b"),
        group_index=np.arange(num_users) % 2,
        goals=generator.normal(size=(num_users, 2)),
        provenance={"seed": 3},
    )


def changed(array: np.ndarray, value: Any) -> np.ndarray:
    copy = array.copy()
    copy[(-1,) * copy.ndim] = value
    return copy


def test_flags_are_one_for_each_group_and_true_unless_said_otherwise() -> None:
    assert users(taught=()).taught == (True, True)
    for flags in ((True,), (True, True, False)):
        with pytest.raises(PopulationError, match="2 groups need as many flags `taught`, got"):
            users(taught=flags)
    with pytest.raises(PopulationError, match="group names repeat: a, a"):
        users(group_names=("a", "a"))


@pytest.mark.parametrize(
    "change",
    [
        {"ids": np.array([0, 1, 2, 9])},
        {"group_names": ("a", "c")},
        {"group_index": np.array([0, 1, 0, 0])},
        {"goals": changed(np.arange(8.0).reshape(4, 2), 7.5)},
        {"goals": np.arange(8.0).reshape(4, 2)[:, :1]},
        {"taught": (True, True)},
        {"teacher": Teacher(rationality=5.0)},
        {"teacher": Teacher(discount=0.9)},
        {"teacher": Teacher(skip_fraction=0.1)},
        {"teacher": Teacher(equal_fraction=0.1)},
        {"teacher": Teacher(mistake_rate=0.1)},
        {"teacher": Teacher(mistake_rate=np.array([0, 0, 0, 0.1]))},
        {"teacher": Teacher(threshold_rule="quantile")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_change_of_users_shows(change: dict[str, Any]) -> None:
    fingerprint = users_fingerprint(users())
    assert len(fingerprint) == 64
    assert int(fingerprint, 16) > 0
    assert users_fingerprint(users()) == fingerprint
    assert users_fingerprint(users(goals=np.asfortranarray(users().goals))) == fingerprint
    assert users_fingerprint(users(**change)) != fingerprint


class Sleepy(Teacher):
    """Answers by a rule of its own."""


def test_the_rule_by_which_users_answer_shows() -> None:
    plain = "b39df586c74a707a36b523104a4afbd809ae64368b6628e519e15689cfca03c9"
    assert users_fingerprint(users()) == plain  # that of older versions, so that experiments of theirs can be resumed
    assert users_fingerprint(users(teacher=Sleepy())) != plain
    assert users_fingerprint(users(teacher=Sleepy())) == users_fingerprint(users(teacher=Sleepy()))


@pytest.mark.parametrize("column", ["segments", "labels", "mask", "user_ids", "group_index", "goals", "group_names"])
def test_any_change_of_answers_shows(column: str) -> None:
    data = preferences()
    values = {
        "segments": changed(data.segments, 9.0),
        "labels": changed(data.labels, 0.0 if data.labels[-1, -1] else 1.0),
        "mask": changed(data.mask, not data.mask[-1, -1]),
        "user_ids": changed(data.user_ids, 77),
        "group_index": changed(data.group_index, 0),
        "goals": changed(data.goals, 9.0),
        "group_names": ("a", "c"),
    }
    assert preferences().fingerprint == data.fingerprint
    assert replace(data, **{column: values[column]}).fingerprint != data.fingerprint
    assert replace(data, provenance={}).fingerprint == data.fingerprint  # how they came about is not what they are
    assert data.take_users([1, 0, 2, 3, 4, 5]).fingerprint != data.fingerprint
    assert data.take_queries([1, 0, 2, 3]).fingerprint != data.fingerprint


def test_the_same_whether_in_memory_mapped_broadcast_or_strided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = preferences()
    data.save(tmp_path / "p.hdf5")
    assert PreferenceDataset.load(tmp_path / "p.hdf5", lazy=True).fingerprint == data.fingerprint
    bank = replace(data, segments=np.broadcast_to(data.segments[:1], data.segments.shape))
    assert bank.fingerprint == replace(bank, segments=bank.segments.copy()).fingerprint
    both_ways = replace(data, segments=data.segments[::-1].copy()[::-1])
    monkeypatch.setattr(fingerprints, "PIECE_BYTES", 100)
    assert both_ways.fingerprint == data.fingerprint


def test_names_types_and_shapes_enter() -> None:
    one = content_fingerprint("kind", {}, {"x": np.zeros(4, np.float32)})
    assert one == content_fingerprint("kind", {}, {"x": np.zeros(4, np.float32)})
    others = [
        content_fingerprint("other", {}, {"x": np.zeros(4, np.float32)}),
        content_fingerprint("kind", {"a": 1}, {"x": np.zeros(4, np.float32)}),
        content_fingerprint("kind", {}, {"y": np.zeros(4, np.float32)}),
        content_fingerprint("kind", {}, {"x": np.zeros(4, np.int32)}),
        content_fingerprint("kind", {}, {"x": np.zeros((2, 2), np.float32)}),
        content_fingerprint("kind", {}, {"x": np.zeros((0, 2), np.float32)}),
        content_fingerprint("kind", {}, {"x": 0.0}),
    ]
    assert len({one, *others}) == len(others) + 1
