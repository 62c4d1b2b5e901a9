"""npz files: what comes back, and crafted ones, which are refused in one line before memory is asked for them."""

import io
import struct
import zipfile

import numpy as np
import pytest

from pluralbench.array_files import load_arrays, read_npz, save_arrays, texts_of
from pluralbench.errors import DamagedFileError

FORMAT = "test 1"
ARRAYS = {"file": np.arange(5.0), "a/b": np.array(["ä", "", "b𝄞"]), "truth": np.array([True, False])}


def header(descr="'<f4'", shape="(3,)", order="False", magic=b"\x93NUMPY\x01\x00"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return magic + struct.pack("<H", len(text)) + text


def npz(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def stored(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def refused(path, message, **options):
    with pytest.raises(DamagedFileError, match=message) as caught:
        load_arrays(path, FORMAT, **options)
    assert str(caught.value).isprintable()
    assert str(path) in str(caught.value)


def test_names_that_clash_with_numpys_arguments_come_back(tmp_path):
    save_arrays(tmp_path / "a.npz", FORMAT, ARRAYS)
    found = load_arrays(tmp_path / "a.npz", FORMAT)
    assert {name: values.tolist() for name, values in found.items()} == {
        name: values.tolist() for name, values in ARRAYS.items()
    }
    found["file"][0] = 7  # it can be written to, like what NumPy loads
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["a/b"], ARRAYS["a/b"])


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_arrays(tmp_path / name, FORMAT, ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_arrays_that_pack_well_can_be_read_again(tmp_path):
    zeros = np.zeros(1 << 24)  # 128 MiB, which a thousandth of it holds packed
    save_arrays(tmp_path / "a.npz", FORMAT, {"x": zeros})
    assert load_arrays(tmp_path / "a.npz", FORMAT)["x"].nbytes == zeros.nbytes


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.array([object()])},
        {"x": np.array([b"a"])},
        {"x": np.zeros(2, complex)},
        {"x": np.array(["\ud800"])},
        {"format": np.zeros(1)},
        {"checksum": np.zeros(1)},
        {"a\0b": np.zeros(1)},
    ],
)
def test_what_could_not_be_read_is_not_written(arrays, tmp_path):
    with pytest.raises(DamagedFileError):
        save_arrays(tmp_path / "a.npz", FORMAT, arrays)
    assert not [*tmp_path.iterdir()]


def test_arrays_under_other_names_are_noticed(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, FORMAT, {"mean": np.zeros(3), "size": np.ones(3)})
    content = path.read_bytes()
    for old, new in ((b"mean.npy", b"even.npy"), (b"mean.npy", b"file.npy")):
        path.write_bytes(content.replace(old, new))
        refused(path, "damaged, its content does not have the checksum")
    path.write_bytes(content.replace(b"mean.npy", b"x___.npy").replace(b"size.npy", b"mean.npy"))
    refused(path, "damaged, its content does not have the checksum")


def test_an_array_more_or_less_is_noticed(tmp_path):
    save_arrays(tmp_path / "a.npz", FORMAT, ARRAYS)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    refused(npz(tmp_path / "b.npz", {**members, "more.npy": stored(np.zeros(1))}), "checksum")
    del members["truth.npy"]
    refused(npz(tmp_path / "c.npz", members), "checksum")
    del members["checksum.npy"]
    refused(npz(tmp_path / "d.npz", members), "checksum")


def test_another_format_is_refused_and_an_older_one_is_named_as_such(tmp_path):
    save_arrays(tmp_path / "a.npz", "test 0", ARRAYS)
    refused(tmp_path / "a.npz", "'test 0', written by an older version of this program: make it again")
    refused(tmp_path / "a.npz", "written by an older version", unchecked_formats=("test 0",))  # it has a checksum
    npz(tmp_path / "b.npz", {"format.npy": stored(np.array("test 0")), "x.npy": stored(np.ones(2))})
    assert load_arrays(tmp_path / "b.npz", FORMAT, ("test 0",))["x"].tolist() == [1, 1]


def test_fortran_order_is_read(tmp_path):
    values = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    npz(tmp_path / "a.npz", {"x.npy": stored(values)})
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["x"], values)


GOOD = header() + bytes(12)
BOMB = header("'<f8'", f"({1 << 30},)") + bytes(12)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(shape="(4,)") + bytes(12), "declares another number of bytes than it holds"),
        (header(shape="(3,)") + bytes(13), "declares another number of bytes than it holds"),
        (header(shape=f"({10**17}, {10**17})") + bytes(12), "declares another number of bytes"),
        (header(shape=f"(0, {10**17}, {10**17})"), "damaged, or no npz file"),
        (header(shape="(-3,)") + bytes(12), "no array of plain numbers"),
        (header(shape="(True, 3)") + bytes(12), "no array of plain numbers"),
        (header(shape="3") + bytes(12), "no array of plain numbers"),
        (header(shape="(" * 90 + ")" * 5) + bytes(12), "no array of plain numbers"),
        (header(descr="'|O'", shape="()") + b"cos\nsystem\n(S'true'\ntR.", "is of the type object"),
        (header(descr="'<c8'") + bytes(24), "is of the type complex64"),
        (header(descr="'<f16'") + bytes(48), "is of the type"),
        (header(descr="'|V4'") + bytes(12), "is of the type"),
        (header(descr="'<q9'") + bytes(12), "damaged, or no npz file"),
        (header(descr="'<U9999999999'") + bytes(12), "damaged, or no npz file|declares another number"),
        (header(descr="[('a', '<f4')]") + bytes(12), "no array of plain numbers"),
        (header(descr="__import__('os').getpid()") + bytes(12), "no array of plain numbers"),
        (header("'<U1'", "(1,)") + b"\xff\xff\xff\x7f", "letters that there are not"),
        (header("'<U1'", "(1,)") + struct.pack("<I", 0xD800), "letters that there are not"),
        (header(magic=b"\x93NUMPY\x09\x00") + bytes(12), "no array of NumPy's"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b" " * 100, "no array of plain numbers"),
        (b"", "no array of NumPy's"),
        (b"text", "no array of NumPy's"),
    ],
)
def test_an_array_that_is_none_is_named(content, message, tmp_path):
    refused(npz(tmp_path / "a.npz", {"x.npy": content, "format.npy": stored(np.array(FORMAT))}), message)


def change_member(path, **values):
    """Changes fields of the first member in the zip's directory and in front of it."""
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\1\2")
    for name, (width, local, central) in {
        "flags": ("<H", 6, 8),
        "method": ("<H", 8, 10),
        "crc": ("<I", 14, 16),
        "packed": ("<I", 18, 20),
        "size": ("<I", 22, 24),
    }.items():
        if name in values:
            struct.pack_into(width, content, local, values[name])
            struct.pack_into(width, content, directory + central, values[name])
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "values", "message"),
    [
        (BOMB, {"size": len(BOMB) - 12 + (1 << 30)}, r"declares 1.07e\+09 bytes of content"),
        (header("'<f8'", f"({1 << 23},)"), {"size": 128 + (1 << 26)}, "holds 0 bytes of content, declares 67108864"),
        (GOOD, {"flags": 1}, "encrypted, or packed in another way"),
        (GOOD, {"method": 14}, "encrypted, or packed in another way"),
        (GOOD, {"method": 99}, "encrypted, or packed in another way"),
        (GOOD, {"crc": 5}, r"damaged, or no npz file \(Bad CRC-32"),
        (GOOD, {"packed": 3}, "damaged"),
    ],
)
def test_what_the_zip_says_is_not_believed(content, values, message, tmp_path):
    refused(change_member(npz(tmp_path / "a.npz", {"x.npy": content}), **values), message)


def test_a_member_is_unpacked_no_further_than_it_says(tmp_path, monkeypatch):
    """zipfile would unpack all of it at once, and only then cut it to the size that was declared."""
    path = npz(tmp_path / "a.npz", {"x.npy": GOOD + bytes(1 << 26)})
    change_member(path, size=len(GOOD))
    longest = 0
    unpack = zipfile.ZipExtFile._read1

    def watched(self, n):
        nonlocal longest
        data = unpack(self, n)
        longest = max(longest, n)
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", watched)
    refused(path, "damaged")
    assert longest < 1 << 16


def test_names_stand_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", GOOD)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", GOOD)
    refused(tmp_path / "a.npz", "2 arrays of 1 names")
    refused(npz(tmp_path / "b.npz", {"x.npy": GOOD, "x": GOOD}), "2 arrays of 1 names")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_may_take_any_memory_are_refused(compression, tmp_path):
    refused(npz(tmp_path / "a.npz", {"x.npy": GOOD}, compression), "packed in another way than npz files are")


def test_a_file_cut_short_is_refused_wherever(tmp_path):
    save_arrays(tmp_path / "a.npz", FORMAT, ARRAYS)
    content = (tmp_path / "a.npz").read_bytes()
    for length in range(0, len(content), 13):
        (tmp_path / "a.npz").write_bytes(content[:length])
        refused(tmp_path / "a.npz", "damaged, or no npz file")


def test_texts_are_made_of_texts_that_are_not_too_many(tmp_path):
    assert texts_of("a", "x", np.array([["a", "b"]])) == ["a", "b"]
    with pytest.raises(DamagedFileError, match="a: x is of the type float64, expected texts"):
        texts_of("a", "x", np.zeros(2))
    with pytest.raises(DamagedFileError, match=r"3.36e\+07 bytes of text; at most 3.36e\+07"):
        texts_of("a", "x", np.zeros((1 << 23) + 1, "U1"))
