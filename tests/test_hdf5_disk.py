"""HDF5 on a disk that takes no more: one OSError that names the file, and HDF5 goes on working."""

import errno
import os

import h5py
import numpy as np
import pytest

from pluralbench.hdf5_disk import ForgivingFile
from pluralbench.hdf5_files import create_checked_hdf5, open_checked_hdf5

FORMAT = "pluralbench test 1"
VALUES = np.random.default_rng(0).normal(size=(4_000, 8)).astype(np.float32)


def fill(file):
    """Data in one piece, in chunks, and packed."""
    file.create_dataset("plain", data=VALUES)
    file.create_dataset("chunks", data=VALUES, chunks=(500, 8))
    file.create_dataset("packed", data=VALUES, chunks=(500, 8), compression="gzip")


@pytest.mark.parametrize("room", [0, 1_000, 100_000, 250_000, 370_000])
def test_a_full_disk_is_one_error_and_leaves_nothing(room, tmp_path, monkeypatch):
    write, left = os.pwrite, [room]

    def pwrite(number, data, place):
        taken = min(len(data), left[0])
        left[0] -= taken
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(number, bytes(data[:taken]), place)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with (
            pytest.raises(OSError, match="No space left") as raised,
            create_checked_hdf5(tmp_path / "x", FORMAT) as file,
        ):
            fill(file)
    assert raised.value.filename == str(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    with create_checked_hdf5(tmp_path / "y", FORMAT) as file:
        fill(file)
    with open_checked_hdf5(tmp_path / "y", FORMAT) as file:
        np.testing.assert_array_equal(file["packed"][()], VALUES)


def test_what_was_not_taken_is_read_back_as_it_was_written(tmp_path, monkeypatch):
    disk = ForgivingFile(tmp_path / "file")
    disk.write(memoryview(b"0123456789"))
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    disk.seek(-4, os.SEEK_CUR)
    disk.write(memoryview(b"abcdef"))
    disk.seek(4)
    assert disk.read(100) == b"45abcdef"
    assert disk.tell() == 12
    with pytest.raises(OSError, match="full"):
        disk.__exit__(None, None, None)


def test_it_is_the_same_file_that_hdf5_writes_by_itself(tmp_path):
    with ForgivingFile(tmp_path / "ours") as disk, h5py.File(disk, "w") as ours:
        fill(ours)
    with h5py.File(tmp_path / "ours") as ours:
        for name in ("plain", "chunks", "packed"):
            np.testing.assert_array_equal(ours[name][()], VALUES)
    with create_checked_hdf5(tmp_path / "first", FORMAT) as file:
        fill(file)
    with create_checked_hdf5(tmp_path / "second", FORMAT) as file:
        fill(file)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
