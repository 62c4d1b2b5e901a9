"""What every stored file has in common, and paths that are no files."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from pluralbench.array_files import read_npz
from pluralbench.envs.minari_files import import_minari
from pluralbench.envs.transition_files import load_transitions
from pluralbench.errors import DamagedFileError, InputError
from pluralbench.files import LARGEST_TEXT, json_values, read_json, read_text
from pluralbench.integrity import (
    LARGEST_RATIO,
    SMALLEST_LIMIT,
    check_checksum,
    check_declared,
    check_format,
    check_numeric,
    declared_bytes,
    declared_limit,
    words_checksum,
)
from pluralbench.iql import Policy
from pluralbench.preference_oracles.preference_files import import_npz
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.learners import load_model


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("some thing 1", "a: 'some thing 1', written by an older version of this program: make it again"),
        ("some thing 12", "a: 'some thing 12', written by a newer version of this program"),
        ("some other thing 2", "a: expected the format 'some thing 2', found 'some other thing 2'"),
        (None, "a: expected the format 'some thing 2', found None"),
        (["some thing 2"], "a: expected the format"),
        ("some thing " + "9" * 5_000, "a: expected the format"),
        ("some thing\n1", r"a: expected the format 'some thing 2', found 'some thing\\n1'"),
    ],
)
def test_another_format_is_named(found, message):
    with pytest.raises(DamagedFileError, match=message) as caught:
        check_format("a", found, "some thing 2")
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_the_right_format_and_checksum_pass():
    check_format("a", "some thing 2", "some thing 2")
    check_checksum("a", "abc", "abc")
    with pytest.raises(DamagedFileError, match="a: damaged"):
        check_checksum("a", None, "abc")


def test_small_files_may_declare_some_megabytes_and_large_ones_a_multiple(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    assert declared_limit(path) == SMALLEST_LIMIT
    check_declared(path, SMALLEST_LIMIT)
    with pytest.raises(DamagedFileError, match=r"declares 1.34e\+08 bytes of content"):
        check_declared(path, SMALLEST_LIMIT + 1)
    with pytest.raises(DamagedFileError, match=r"declares 1e\+300 bytes of content"):
        check_declared(path, declared_bytes([10**200, 10**200], 4))  # more than a float can say
    os.truncate(path, SMALLEST_LIMIT)
    assert declared_limit(path) == LARGEST_RATIO * SMALLEST_LIMIT


@pytest.mark.parametrize("dtype", ["O", "S3", "U3", "c8", "V8", "M8[s]", [("a", "f4")], "g"])
def test_types_that_are_no_plain_numbers_are_refused(dtype):
    with pytest.raises(DamagedFileError, match="a: x is of the type"):
        check_numeric("a", "x", np.dtype(dtype))


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", ">i4", "f2", "f8"])
def test_plain_numbers_pass(dtype):
    check_numeric("a", "x", np.dtype(dtype))


def test_the_checksum_of_words_is_of_their_values():
    words = {"a": [1, 2.5, "ä"], "b": {"c": None}}
    assert words_checksum({"b": {"c": None}, "a": [1, 2.5, "ä"]}) == words_checksum(words)
    others = [{"a": [1, 2.5, "ä"]}, {**words, "a": [1, 2.5]}, {**words, "a": [1.0, 2.5, "ä"]}, {**words, "b": {"c": 0}}]
    assert len({words_checksum(each) for each in [words, *others]}) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("NaN", "NaN is no JSON"),
        ("[-Infinity]", "-Infinity is no JSON"),
        ("[1e999]", "a number too large"),
        ("9" * 5_000, "digits"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ('{"\\udc80": 1}', "surrogates not allowed"),
        (b'"\xff"', "can't decode"),
    ],
)
def test_a_text_that_is_no_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        json_values(text)
    assert "\n" not in str(caught.value)


def test_json_that_can_be_written_again_is_read():
    assert json_values("[" * 100 + "]" * 100)
    assert json_values('{"a": [1e308, "ä", null, true]}') == {"a": [1e308, "ä", None, True]}
    assert np.isnan(json_values("[NaN]", finite=False)).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", "holds a list, expected a JSON object"),
        (b"{", "is no JSON file"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (b"", "is no JSON file"),
    ],
)
def test_a_file_that_is_no_json_object_is_named(content, message, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DamagedFileError, match=rf"a\.json: {message}"):
        read_json(tmp_path / "a.json")


def test_a_text_is_not_read_whatever_its_size(tmp_path):
    (tmp_path / "a.json").touch()
    os.truncate(tmp_path / "a.json", LARGEST_TEXT + 1)
    with pytest.raises(DamagedFileError, match=r"a text of 6.71e\+07 bytes; at most 6.71e\+07 are read"):
        read_json(tmp_path / "a.json")


READERS = {
    "transitions": load_transitions,
    "preferences": PreferenceDataset.load,
    "preferences-lazy": lambda path: PreferenceDataset.load(path, lazy=True, verify=False),
    "preferences-npz": import_npz,
    "npz": read_npz,
    "text": read_text,
    "json": read_json,
    "minari": import_minari,
    "model": load_model,
    "policy": Policy.load,
}


def no_file(tmp_path, what):
    path = tmp_path / "a"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "loop":
        path.symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(path)
    elif what == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif what == "inside a file":
        path.write_text("x")
        return path / "b"
    return {"device": Path("/dev/zero"), "long": tmp_path / ("x" * 300), "NUL": tmp_path / "a\0b"}.get(what, path)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes, devices and links of POSIX")
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    "what", ["nothing", "folder", "pipe", "device", "loop", "dangling", "long", "NUL", "inside a file"]
)
def test_a_path_to_no_file_is_refused_in_one_line(what, read, tmp_path):
    with pytest.raises(InputError) as caught:
        read(no_file(tmp_path, what))
    assert "\n" not in str(caught.value)
