"""Folders that cannot be written to, have no room or no possible name are refused beforehand."""

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from pluralbench.files import replace_file, write_text
from pluralbench.folders import FolderError, check_names, check_room, expanded, make_writable

Disk = namedtuple("Disk", "total used free")


def full_disk(*_, **__):
    """What writing to a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_is_made_and_left_empty(tmp_path):
    make_writable(tmp_path / "a" / "b", "advice")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below", "loop", "loop/below", "n" * 300])
def test_what_cannot_be_a_folder_is_named_with_advice(name, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FolderError, match=r"cannot write to .* \(.*\); try another"):
        make_writable(tmp_path / name, "try another")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


def test_a_full_disk_is_noticed_by_writing_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", full_disk)
    with pytest.raises(FolderError, match="No space left on device"):
        make_writable(tmp_path, "advice")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FolderError, match="Permission denied"):
        make_writable(tmp_path / "x", "advice")


def test_room_is_compared_with_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10**9, 10**9 - 10**6, 10**6))
    check_room(tmp_path / "not" / "there", 10**6, "advice")
    with pytest.raises(FolderError, match=r"needs about 2\.5 GB, its disk has 1\.0 MB left; advice"):
        check_room(tmp_path / "not" / "there", 2_500_000_000, "advice")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(0, 0, 0))
    check_room(tmp_path, 10**12, "advice")  # such a file system does not say


@pytest.mark.parametrize("file", ["n" * 240, "n" * 256 + "/x", "/".join(["n" * 100] * 50)])
def test_names_beyond_what_the_file_system_takes_are_refused(file, tmp_path):
    check_names(tmp_path, ["n" * 200, "n" * 250 + "/x"], "advice")
    with pytest.raises(FolderError, match="too long a") as raised:
        check_names(tmp_path, [file], "advice")
    assert len(str(raised.value)) < 300


def test_an_unknown_home_folder_is_an_error_of_the_input():
    with pytest.raises(FolderError, match="no such home folder"):
        expanded("~nobody-of-this-name/x")


def test_a_disk_that_gets_full_while_a_file_is_written_leaves_the_old_one_and_names_it(tmp_path, monkeypatch):
    path = tmp_path / "report.md"
    write_text(path, "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left") as raised, replace_file(path) as partial:
            partial.write_text("new")
    assert raised.value.filename == str(path)
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["report.md"]
