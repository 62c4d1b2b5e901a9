"""PreferenceDataset and its files: what comes back, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pluralbench.hdf5_files import content_checksum
from pluralbench.preference_oracles.inspection import describe, group_statistics
from pluralbench.preference_oracles.preference_files import export_npz, export_pairs, import_npz, to_pairs
from pluralbench.preference_oracles.preferences import PreferenceDataset, PreferenceError

COLUMNS = ("segments", "labels", "mask", "user_ids", "group_index", "goals")


def preferences(num_users: int = 6, num_comparisons: int = 4) -> PreferenceDataset:
    generator = np.random.default_rng(0)
    mask = generator.random((num_users, num_comparisons)) < 0.8
    labels = np.where(mask, generator.choice([0.0, 0.5, 1.0], size=mask.shape), 0.5).astype(np.float32)
    return PreferenceDataset(
        segments=generator.normal(size=(num_users, num_comparisons, 2, 3, 5)).astype(np.float32),
        labels=labels,
        mask=mask,
        user_ids=np.arange(num_users) * 7,
        group_names=("wants (7, 1)", "möchte anderes"),
        group_index=np.arange(num_users) % 2,
        goals=generator.normal(size=(num_users, 2)),
        provenance={"population": "two-goals", "seed": 3, "rates": {"skip": 0.2}},
    )


def assert_same(a: PreferenceDataset, b: PreferenceDataset) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        assert getattr(a, name).dtype == getattr(b, name).dtype
    assert (a.group_names, a.provenance) == (b.group_names, b.provenance)


def test_sizes_and_slices() -> None:
    data = preferences()
    assert len(data) == data.num_users == 6
    assert (data.num_comparisons, data.segment_length, data.observation_size) == (4, 3, 5)
    some = data.take_users([4, 1])
    np.testing.assert_array_equal(some.user_ids, [28, 7])
    np.testing.assert_array_equal(some.segments, data.segments[[4, 1]])
    assert data.take_users(data.group_index == 1).num_users == 3
    np.testing.assert_array_equal(data.take_queries(slice(1, 3)).labels, data.labels[:, 1:3])
    np.testing.assert_array_equal(data.take_queries([3, 0]).segments, data.segments[:, [3, 0]])


def test_hdf5_gives_back_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "preferences.hdf5"
    data = preferences()
    data.save(path)
    assert_same(PreferenceDataset.load(path), data)
    lazy = PreferenceDataset.load(path, lazy=True)
    assert isinstance(lazy.segments, np.memmap)
    assert_same(lazy, data)
    assert_same(PreferenceDataset.load(path, verify=False), data)
    first = path.read_bytes()
    data.save(path)
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == ["preferences.hdf5"]


def test_goals_of_real_people_are_unknown(tmp_path: Path) -> None:
    data = replace(preferences(), goals=np.empty((6, 0)))
    data.save(tmp_path / "real.hdf5")
    export_npz(data, tmp_path / "real.npz")
    for found in (PreferenceDataset.load(tmp_path / "real.hdf5"), import_npz(tmp_path / "real.npz")):
        assert_same(found, data)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_flipped_byte_is_noticed_wherever_it_matters(tmp_path: Path, lazy: bool) -> None:
    path = tmp_path / "preferences.hdf5"
    data = preferences()
    data.save(path)
    whole = path.read_bytes()
    noticed = 0
    for position in np.random.default_rng(0).integers(len(whole), size=150):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            found = PreferenceDataset.load(path, lazy=lazy)
        except PreferenceError:
            noticed += 1
        else:
            assert_same(found, data)  # a byte that nothing reads
    assert noticed > 40
    path.write_bytes(whole)
    with h5py.File(path, "r") as file:
        offsets = {name: file[name].id.get_offset() for name in COLUMNS}
    for offset in offsets.values():
        damaged = bytearray(whole)
        damaged[offset] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(PreferenceError, match="checksum"):
            PreferenceDataset.load(path, lazy=lazy)


def test_foreign_and_truncated_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "preferences.hdf5"
    with pytest.raises(PreferenceError, match="no such file"):
        PreferenceDataset.load(path)
    path.write_text("observations, actions\n")
    with pytest.raises(PreferenceError, match=r"preferences\.hdf5: not an HDF5 file"):
        PreferenceDataset.load(path)
    with h5py.File(path, "w") as file:
        file["observations"] = np.zeros((3, 2))
    for verify in (True, False):
        with pytest.raises(PreferenceError, match="expected the format 'pluralbench preferences 1', found None"):
            PreferenceDataset.load(path, verify=verify)
    preferences().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PreferenceError, match=r"preferences\.hdf5"):
        PreferenceDataset.load(path)


def test_npz_gives_back_what_was_exported(tmp_path: Path) -> None:
    path = tmp_path / "preferences.npz"
    data = preferences()
    export_npz(data, path)
    assert_same(import_npz(path), data)
    with np.load(path, allow_pickle=False) as file:
        assert {*COLUMNS, "group_names", "provenance", "format", "checksum"} == set(file.files)


def save_unchecked(path: Path, data: PreferenceDataset, **changes: object) -> None:
    """As npz files were written before they had a checksum."""
    words = {"group_names": np.array(data.group_names), "provenance": json.dumps(data.provenance)}
    np.savez_compressed(path, format="pluralbench preferences 1", **{**data.columns(), **words, **changes})


def test_an_npz_from_before_the_checksum_is_read(tmp_path: Path) -> None:
    save_unchecked(tmp_path / "old.npz", preferences())
    assert_same(import_npz(tmp_path / "old.npz"), preferences())


def test_other_npz_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    with pytest.raises(PreferenceError, match="no such file"):
        import_npz(path)
    np.savez(path, observations=np.zeros(3))
    with pytest.raises(PreferenceError, match="expected the format 'pluralbench preferences npz 2', found None"):
        import_npz(path)
    export_pairs(preferences(), path)
    with pytest.raises(PreferenceError, match="found 'pluralbench pairs 1'"):
        import_npz(path)
    path.write_bytes(b"PK nothing")
    with pytest.raises(PreferenceError, match="damaged, or no npz"):
        import_npz(path)
    np.savez(path, format=np.array([object()], dtype=object))
    with pytest.raises(PreferenceError, match=r"format.npy is of the type object"):
        import_npz(path)
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(path)
    with pytest.raises(PreferenceError, match="damaged, or no npz"):
        import_npz(path)
    export_npz(preferences(), path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(PreferenceError):
        import_npz(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"provenance": "no {"}, "the provenance is no JSON text"),
        ({"provenance": "[" * 9_000}, r"the provenance is no JSON text \(nested too deeply\)"),
        ({"provenance": '{"a": NaN}'}, "NaN is no JSON"),
        ({"provenance": "[1]"}, "the provenance should be a JSON object"),
        ({"provenance": np.zeros(3)}, "provenance is of the type float64, expected texts"),
        ({"group_names": np.arange(2)}, "group_names is of the type int64, expected texts"),
        ({"labels": np.zeros((6, 3), np.float32)}, r"labels must be float32 \(6, 4\)"),
    ],
)
def test_impossible_content_of_an_npz_is_named(changes: dict, message: str, tmp_path: Path) -> None:
    save_unchecked(tmp_path / "old.npz", preferences(), **changes)
    with pytest.raises(PreferenceError, match=rf"old\.npz: .*{message}") as caught:
        import_npz(tmp_path / "old.npz")
    assert "\n" not in str(caught.value)


def test_pairs_have_the_preferred_segment_first(tmp_path: Path) -> None:
    data = preferences()
    data = replace(data, labels=np.where(data.mask, data.labels, np.float32(0.5)))
    pairs = to_pairs(data)
    assert len(pairs) == data.mask.sum()
    row = 0
    for user in range(6):
        for k in np.flatnonzero(data.mask[user]):
            label = data.labels[user, k]
            chosen = 1 if label == 0 else 0
            np.testing.assert_array_equal(pairs.chosen[row], data.segments[user, k, chosen])
            np.testing.assert_array_equal(pairs.rejected[row], data.segments[user, k, 1 - chosen])
            assert pairs.label[row] == (0.5 if label == 0.5 else 1.0)
            assert pairs.user_id[row] == data.user_ids[user]
            assert pairs.group[row] == data.group_names[user % 2]
            row += 1
    path = tmp_path / "mine.pairs.npz"
    export_pairs(data, path)
    with np.load(path, allow_pickle=False) as file:
        assert str(file["format"]) == "pluralbench pairs 1"
        for name in ("chosen", "rejected", "label", "user_id", "group"):
            np.testing.assert_array_equal(file[name], getattr(pairs, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments": np.zeros((6, 4, 3, 3, 5), np.float32)}, r"segments must be \(U, K, 2, T, S\)"),
        ({"segments": np.zeros((6, 4, 2, 3, 5))}, "segments must be float32"),
        ({"labels": np.zeros((6, 3), np.float32)}, r"labels must be float32 \(6, 4\)"),
        ({"labels": np.full((6, 4), 0.7, np.float32)}, "labels must be 0, 0.5 or 1"),
        ({"labels": np.full((6, 4), np.nan, np.float32)}, "labels must be 0, 0.5 or 1"),
        ({"mask": np.zeros((6, 4))}, "mask must be bool"),
        ({"user_ids": np.arange(5)}, r"user_ids must be int64 \(6,\)"),
        ({"group_index": np.full(6, 2)}, "outside group_names"),
        ({"goals": np.zeros(6)}, r"goals must be \(U, G\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    with pytest.raises(PreferenceError, match=message):
        replace(preferences(), **change)


def small(num_users: int, num_comparisons: int, **changes: object) -> PreferenceDataset:
    """So many users and comparisons, all first segments preferred."""
    return PreferenceDataset(
        segments=np.zeros((num_users, num_comparisons, 2, 1, 2), np.float32),
        labels=np.ones((num_users, num_comparisons), np.float32),
        mask=np.ones((num_users, num_comparisons), bool),
        user_ids=np.arange(num_users),
        group_index=np.zeros(num_users, np.int64),
        goals=np.zeros((num_users, 0)),
        **{"group_names": ("a",), **changes},
    )


ODD = {
    "no comparisons": small(3, 0),
    "no users": small(0, 4),
    "nobody and nothing": small(0, 0, group_names=()),
    "a group named segments": small(2, 2, group_names=("segments",)),
    "a group named all": small(2, 2, group_names=("all",)),
    "groups of one name": small(2, 2, group_names=("a", "a")),
    "lists": small(2, 2, provenance={"a": [], "b": [[1, 2], [3]], "c": {"d": [None]}, "e": [1, 2]}),
    "other letters": small(2, 2, group_names=("a\nb\x1b[2J",), provenance={"x\ny": "z\n\x1b[2J"}),
    "long observations": replace(small(2, 2), segments=np.zeros((2, 2, 2, 1, 3_000), np.float32)),
    "many groups": small(300, 1, group_names=tuple(map(str, range(300))), provenance={"text": "x" * 10**5}),
}
ODD["many groups"] = replace(ODD["many groups"], group_index=np.arange(300))


@pytest.mark.parametrize("suffix", [".hdf5", ".npz"])
@pytest.mark.parametrize("name", ODD)
def test_odd_datasets_come_back_and_are_described(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"odd{suffix}"
    if suffix == ".npz":
        export_npz(ODD[name], path)
        found = import_npz(path)
    else:
        ODD[name].save(path)
        found = PreferenceDataset.load(path, lazy=True)
    assert_same(found, ODD[name])
    lines = describe(found).split("\n")
    assert all(line.isprintable() and len(line) < 3_000 for line in lines)
    assert f"users         {found.num_users} rows" in lines[0]
    assert any(line.split()[:1] == ["all"] for line in lines)


def test_a_group_named_all_is_not_taken_for_the_sum() -> None:
    table = group_statistics(ODD["a group named all"])
    assert table["all"]["share"] == 1
    assert table["all #0"]["users"] == 2


def _group(file: h5py.File) -> None:
    del file["segments"]
    file.create_group("segments")


def _link(file: h5py.File) -> None:
    del file["segments"]
    file["segments"] = h5py.ExternalLink("elsewhere.hdf5", "segments")


def _replaced(name: str, value: object) -> Callable[[h5py.File], None]:
    def spoil(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return spoil


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_group, "segments is no dataset"),
        (_link, "segments is a link to elsewhere"),
        (_replaced("group_names", np.bytes_(b"[1, 2]")), "group_names should be a list of texts"),
        (_replaced("group_names", np.bytes_(b'{"a": 1}')), "group_names should be a list of texts"),
        (_replaced("provenance", np.bytes_(b"[1, 2]")), "the provenance should be a JSON object"),
        (_replaced("labels", np.zeros((6, 3), np.float32)), r"labels must be float32 \(6, 4\)"),
        (_replaced("segments", np.zeros((6, 4), np.float32)), r"segments must be \(U, K, 2, T, S\)"),
    ],
)
def test_impossible_content_is_named(
    spoil: Callable[[h5py.File], None], message: str, lazy: bool, verify: bool, tmp_path: Path
) -> None:
    """Of a file whose checksum is right, except where a part lies elsewhere."""
    path = tmp_path / "odd.hdf5"
    preferences().save(path)
    with h5py.File(path, "a") as file:
        spoil(file)
        if spoil not in (_link, _group):
            file.attrs["checksum"] = np.bytes_(content_checksum(file))
    expected = "damaged, its content" if spoil is _group and verify else message
    with pytest.raises(PreferenceError, match=rf"odd\.hdf5: {expected}") as caught:
        PreferenceDataset.load(path, lazy=lazy, verify=verify)
    assert "\n" not in str(caught.value)


def test_names_that_an_array_of_texts_would_cut_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(PreferenceError, match="end in NUL"):
        export_npz(small(1, 1, group_names=("a\0",)), tmp_path / "a.npz")
