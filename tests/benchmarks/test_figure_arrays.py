"""The arrays that figures of reward models draw: what is written is read back, and nothing else is."""

import numpy as np
import pytest

from pluralbench.array_files import save_arrays
from pluralbench.benchmarks.results import ResultsError
from pluralbench.benchmarks.results.figure_arrays import (
    LATENTS_FORMAT,
    REWARD_MAPS_FORMAT,
    fitting_maps,
    load_latents,
    load_reward_maps,
    save_latents,
    save_reward_maps,
)

PICTURE = np.array([[[1.0, np.nan, 3.0]], [[4.0, 5.0, 6.0]]], dtype=np.float32)  # two users, one row of three places
MAP = {"learned": PICTURE, "true": 2 * PICTURE, "users": ["north", "süd"], "rows": [], "columns": []}
NAMED = {**MAP, "rows": ["cup"], "columns": ["l", "m", "r"]}
LATENTS = {"means": np.arange(6.0).reshape(3, 2), "groups": ["a", "b", "a"]}


@pytest.mark.parametrize("parts", [MAP, NAMED])
def test_maps_are_read_as_they_were_written_in_half_precision(tmp_path, parts):
    save_reward_maps(tmp_path / "maps.npz", {"vpl": parts, "maxmin@maxmin group 1": parts})
    found = load_reward_maps(tmp_path / "maps.npz")
    assert list(found) == ["vpl", "maxmin@maxmin group 1"]
    assert found["vpl"]["learned"].dtype == np.float16
    np.testing.assert_array_equal(found["vpl"]["true"], 2 * PICTURE)
    assert {part: list(found["vpl"][part]) for part in ("users", "rows", "columns")} == {
        part: parts[part] for part in ("users", "rows", "columns")
    }
    assert load_reward_maps(tmp_path / "none.npz") == {}


def test_latents_are_read_as_they_were_written(tmp_path):
    save_latents(tmp_path / "latents.npz", {"vpl": LATENTS})
    found = load_latents(tmp_path / "latents.npz")
    np.testing.assert_array_equal(found["vpl"]["means"], LATENTS["means"])
    assert list(found["vpl"]["groups"]) == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"true": PICTURE[:1]}, r"maps \(2, 1, 3\) and \(1, 1, 3\), expected twice the same"),
        ({"learned": PICTURE[0], "true": PICTURE[0]}, r"maps \(1, 3\) and"),
        ({"users": ["one"]}, r"users \(1,\), expected \(2,\)"),
        ({"rows": ["cup", "fork"]}, r"rows \(2,\), expected \(1,\)"),
        ({"rows": ["cup"]}, r"columns \(0,\), expected \(3,\)"),
        ({"columns": ["l", "m", "r"]}, r"columns \(3,\), expected \(0,\)"),
        ({"users": ["a", "b\nc"]}, "a name of users holds a control character"),
    ],
)
def test_maps_that_do_not_fit_are_refused(tmp_path, changes, message):
    save_reward_maps(tmp_path / "maps.npz", {"vpl": {**MAP, **changes}})
    with pytest.raises(ResultsError, match=message):
        load_reward_maps(tmp_path / "maps.npz")


@pytest.mark.parametrize(
    "changes", [{"means": np.arange(3.0)}, {"groups": ["a"]}, {"means": np.full((3, 2), np.nan)}, {"groups": []}]
)
def test_latents_that_do_not_fit_are_refused(tmp_path, changes):
    save_latents(tmp_path / "latents.npz", {"vpl": {**LATENTS, **changes}})
    with pytest.raises(ResultsError, match=r"expected finite \(U, Z\) and \(U,\)"):
        load_latents(tmp_path / "latents.npz")


def test_maps_of_other_users_are_not_drawn_side_by_side(tmp_path):
    other = {**MAP, "users": ["east", "west"]}
    save_reward_maps(tmp_path / "maps.npz", {"vpl": MAP, "btl": other})
    with pytest.raises(ResultsError, match="'btl' are of other users or places"):
        load_reward_maps(tmp_path / "maps.npz")
    save_reward_maps(tmp_path / "maps.npz", {"vpl": MAP})
    kept = load_reward_maps(tmp_path / "maps.npz")
    assert fitting_maps(kept, {"btl": MAP}).keys() == {"vpl"}
    assert fitting_maps(kept, {"btl": other}) == {}


@pytest.mark.parametrize(("load", "other"), [(load_latents, REWARD_MAPS_FORMAT), (load_reward_maps, LATENTS_FORMAT)])
def test_other_and_damaged_files_are_refused_in_one_line(tmp_path, load, other):
    path = tmp_path / "arrays.npz"
    np.savez(path, **{"vpl/means": np.zeros((2, 2))})
    with pytest.raises(ResultsError, match="arrays without a format were written by an older version: run again"):
        load(path)
    for content in (path.read_bytes()[:-9], b"", b"PK\x03\x04" * 30):
        path.write_bytes(content)
        with pytest.raises(ResultsError) as error:
            load(path)
        assert len(str(error.value).splitlines()) == 1
    save_arrays(path, other, {"vpl/means": np.zeros((2, 2))})
    with pytest.raises(ResultsError, match="expected the format"):
        load(path)


@pytest.mark.parametrize("arrays", [{"vpl/means": np.zeros((2, 2))}, {"means": np.zeros(2)}, {}])
def test_whole_files_of_other_parts_are_refused(tmp_path, arrays):
    save_arrays(tmp_path / "latents.npz", LATENTS_FORMAT, arrays)
    with pytest.raises(ResultsError, match=r"latents\.npz"):
        load_latents(tmp_path / "latents.npz")
