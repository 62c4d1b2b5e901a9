import time

import h5py
import numpy as np
import pytest

from pluralbench.errors import DamagedFileError, InputError
from pluralbench.files import replace_file, write_text
from pluralbench.hdf5_files import (
    content_checksum,
    create_checked_hdf5,
    load_json,
    open_checked_hdf5,
    open_hdf5,
    store_json,
)


def test_a_file_appears_whole_and_folders_are_made(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    with replace_file(path) as partial:
        partial.write_text("all of it")
        assert partial.parent == path.parent  # else the rename could cross disks
        assert not path.exists()
    assert path.read_text() == "all of it"
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write_half():
        with replace_file(path) as partial:
            partial.write_text("ha")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_two_writers_at_once_do_not_share_a_partial_file(tmp_path):
    path = tmp_path / "file.txt"
    with replace_file(path) as first, replace_file(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the block that ended last


def test_files_get_the_permissions_of_ordinary_files(tmp_path):
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def _write(path, **arrays):
    with create_checked_hdf5(path, "test 1") as file:
        for name, values in arrays.items():
            file[name] = values


def _checksum(path):
    with h5py.File(path) as file:
        return content_checksum(file)


def test_the_same_content_gives_the_same_bytes_at_another_time(tmp_path):
    _write(tmp_path / "a", x=np.arange(5))
    time.sleep(1.1)  # HDF5 keeps times in seconds where it keeps them
    _write(tmp_path / "b", x=np.arange(5))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_checksum_sees_names_types_shapes_and_values_but_not_the_layout(tmp_path):
    contents = {
        "plain": {"x": np.arange(6, dtype=np.int32)},
        "value": {"x": np.array([0, 1, 2, 3, 4, 6], dtype=np.int32)},
        "type": {"x": np.arange(6, dtype=np.uint32)},
        "shape": {"x": np.arange(6, dtype=np.int32).reshape(2, 3)},
        "name": {"y": np.arange(6, dtype=np.int32)},
        "more": {"x": np.arange(6, dtype=np.int32), "y": np.zeros((0, 3))},
    }
    for name, arrays in contents.items():
        _write(tmp_path / name, **arrays)
    assert len({_checksum(tmp_path / name) for name in contents}) == len(contents)

    with create_checked_hdf5(tmp_path / "packed", "test 1") as file:
        file.create_dataset("x", data=contents["plain"]["x"], chunks=(2,), compression="gzip")
    with open_checked_hdf5(tmp_path / "packed", "test 1") as packed, h5py.File(tmp_path / "plain") as plain:
        assert packed.attrs["checksum"] == plain.attrs["checksum"]


def test_large_arrays_are_read_in_pieces_that_give_the_same_checksum(tmp_path, monkeypatch):
    _write(tmp_path / "a", x=np.arange(1000.0).reshape(100, 10))
    whole = _checksum(tmp_path / "a")
    monkeypatch.setattr("pluralbench.hdf5_files._CHUNK_BYTES", 300)
    assert _checksum(tmp_path / "a") == whole


def test_another_format_is_refused(tmp_path):
    _write(tmp_path / "a", x=np.arange(3))
    with (
        pytest.raises(DamagedFileError, match="expected the format 'other 1', found 'test 1'"),
        open_checked_hdf5(tmp_path / "a", "other 1"),
    ):
        pass


def test_json_of_any_length_comes_back(tmp_path):
    value = {"names": ["ä"] * 50_000, "number": 0.1, "none": None}  # an attribute would hold 64 kB
    with create_checked_hdf5(tmp_path / "a", "test 1") as file:
        store_json(file, "value", value)
    with open_checked_hdf5(tmp_path / "a", "test 1") as file:
        assert load_json(file, "value") == value


def test_what_has_no_stable_bytes_is_refused(tmp_path):
    with pytest.raises(DamagedFileError, match="x is not of numbers"):
        _write(tmp_path / "a", x=["variable", "length"])
    assert [*tmp_path.iterdir()] == []


def test_a_readers_own_error_passes_through(tmp_path):
    class OwnError(InputError):
        pass

    def read():
        with open_hdf5(tmp_path / "a"):
            raise OwnError("of the reader")

    _write(tmp_path / "a", x=np.arange(3))
    with pytest.raises(OwnError, match="of the reader"):
        read()
