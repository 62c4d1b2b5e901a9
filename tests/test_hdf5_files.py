"""HDF5 files that want something else than to be read: other files, all memory, what lies behind a buffer, a crash."""

import hashlib
import os
import struct
import zlib

import h5py
import numpy as np
import pytest

from pluralbench.envs.transition_files import load_transitions, save_transitions
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.errors import DamagedFileError
from pluralbench.hdf5_files import open_hdf5, plain_dataset, read_numbers

NUM = 12
SECRET = b"what is none of a dataset's business, and long enough to be read as numbers; " * 8


def arrays():
    states = np.random.default_rng(0).normal(size=(NUM + 1, 4)).astype(np.float32)
    return {
        "observations": states[:-1],
        "next_observations": states[1:],
        "actions": np.zeros((NUM, 3), np.float32),
        "rewards": np.zeros(NUM, np.float32),
        "terminals": np.zeros(NUM, bool),
        "timeouts": np.arange(NUM) == NUM - 1,
    }


def seal(file):
    """Makes a file one of our format, with the checksum that belongs to the datasets that hard links lead to."""
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    digest = hashlib.sha256(b"format pluralbench transitions 1\n")
    for name in sorted(found):
        digest.update(f"{name} {file[name].dtype.str} {file[name].shape}\n".encode())
        digest.update(np.asarray(file[name][()]).tobytes())
    file.attrs["format"] = np.bytes_("pluralbench transitions 1")
    file.attrs["checksum"] = np.bytes_(digest.hexdigest())


def write(path, spoil, ours=False, **options):
    """A dataset that would be read, but for what `spoil` does to the open file."""
    with h5py.File(path, "w", **options) as file:
        for name, values in arrays().items():
            file[name] = values
        if ours:
            file["metadata"] = np.bytes_(b"{}")
        spoil(file)
        if ours:
            seal(file)
    return path


def refused(path, message):
    with pytest.raises(DatasetError, match=message) as caught:
        load_transitions(path)
    assert str(caught.value).isprintable()
    assert str(path) in str(caught.value)


def external_storage(file):
    del file["observations"]
    file.create_dataset("observations", (NUM, 4), "f4", external=[("secret", 0, h5py.h5f.UNLIMITED)])


def external_link(file):
    del file["rewards"]
    file["rewards"] = h5py.ExternalLink("secret.hdf5", "numbers")


def soft_link(file):
    del file["rewards"]
    file["elsewhere"] = np.zeros(NUM, np.float32)
    file["rewards"] = h5py.SoftLink("/elsewhere")


def virtual_dataset(file):
    del file["rewards"]
    layout = h5py.VirtualLayout((NUM,), "f4")
    layout[:] = h5py.VirtualSource("secret.hdf5", "numbers", (NUM,))
    file.create_virtual_dataset("rewards", layout)


@pytest.mark.parametrize("ours", [False, True], ids=["foreign", "ours"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (external_storage, "observations lies in other files"),
        (external_link, "rewards is a link to elsewhere"),
        (soft_link, "rewards is a link to elsewhere"),
        (virtual_dataset, "rewards lies in other files"),
    ],
)
def test_no_other_file_is_read(spoil, message, ours, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(SECRET)
    with h5py.File(tmp_path / "secret.hdf5", "w") as file:
        file["numbers"] = np.ones(NUM, np.float32)
    refused(write(tmp_path / "data.hdf5", spoil, ours), message)


@pytest.mark.parametrize("beside", [[], ["a"]], ids=["alone", "beside a link"])
def test_a_name_is_not_taken_for_a_path(beside, tmp_path):
    """A hard link named `a/b`, which no library writes, would be looked up through a link `a` to another file."""
    with h5py.File(tmp_path / "secret.hdf5", "w") as file:
        file["b"] = np.zeros(3)

    def spoil(file):
        file["infos/a_b"] = np.zeros(3)
        for name in beside:
            file["infos"][name] = h5py.ExternalLink(str(tmp_path / "secret.hdf5"), "/")

    path = write(tmp_path / "data.hdf5", spoil, ours=True, libver="earliest")
    content = path.read_bytes()
    assert content.count(b"a_b\0") == 1
    path.write_bytes(content.replace(b"a_b\0", b"a/b\0"))
    refused(path, "something in it is named 'a/b'|a is a link to elsewhere")


def replaced(name, values, **options):
    def spoil(file):
        del file[name]
        file.create_dataset(name, data=values, **options)

    return spoil


@pytest.mark.parametrize("name", ["terminals", "observations", "infos/goal"])
@pytest.mark.parametrize(
    "dtype",
    [
        h5py.vlen_dtype(np.float32),
        h5py.string_dtype(),
        h5py.ref_dtype,
        np.dtype([("a", "f4"), ("b", "i4")]),
        np.dtype("S4"),
        np.dtype("c8"),
        np.dtype("V3"),
        np.dtype(np.longdouble),
    ],
    ids=["sequences", "texts", "references", "records", "bytes", "complex", "opaque", "long"],
)
def test_only_numbers_are_read(dtype, name, tmp_path):
    def spoil(file):
        if name in file:
            del file[name]
        file.create_dataset(name, (NUM,), dtype)

    refused(write(tmp_path / "data.hdf5", spoil), f"{name} is (not of numbers|of the type)")


def test_numbers_of_odd_bits_are_refused(tmp_path):
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_ebias(100)

    def spoil(file):
        del file["rewards"]
        h5py.h5d.create(file.id, b"rewards", kind, h5py.h5s.create_simple((NUM,)))

    refused(write(tmp_path / "data.hdf5", spoil), "rewards is of numbers that are not known here")


@pytest.mark.parametrize("ours", [False, True], ids=["foreign", "ours"])
@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((10**15, 4), {"chunks": (1000, 4)}, r"declares 1.6e\+16 bytes of content"),
        ((10**15, 4), {}, r"declares 1.6e\+16 bytes of content"),
        ((2**62,) * 2, {"chunks": (1000, 4)}, "declares|damaged"),
        ((20_000_000,), {"chunks": (1,)}, "declares 20000000 chunks, more than the file has room for"),
        ((4, 4), {"chunks": (1 << 24, 4), "maxshape": (None, 4)}, r"declares 2.68e\+08 bytes of content"),
    ],
)
def test_no_more_is_allocated_than_a_file_can_hold(shape, options, message, ours, tmp_path):
    path = tmp_path / "data.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in arrays().items():
            if name != "observations":
                file[name] = values
        file.create_dataset("observations", shape, "f4", **options)
        if ours:
            file.attrs["format"] = np.bytes_("pluralbench transitions 1")
            file.attrs["checksum"] = np.bytes_("0" * 64)
    refused(path, message)


@pytest.mark.parametrize("content", [b"", b"\1" * 100, bytes(NUM * 16 + 1), bytes(1 << 27)], ids=len)
def test_a_chunk_has_the_bytes_that_it_says(content, tmp_path):
    """HDF5 gives what lies behind a short one in memory, or crashes, and unpacks a long one to its end."""

    def spoil(file):
        del file["observations"]
        data = file.create_dataset("observations", (NUM, 4), "f4", chunks=(NUM, 4), compression="gzip")
        data.id.write_direct_chunk((0, 0), zlib.compress(content))

    refused(write(tmp_path / "data.hdf5", spoil), "observations has a chunk of another size|longer than its chunk")


@pytest.mark.parametrize("size", [16, NUM * 16 + 8, 2**32 - 1])
def test_a_chunk_that_is_not_packed_has_them_too(size, tmp_path):
    spoil = replaced("observations", arrays()["observations"], chunks=(NUM, 4))
    path = write(tmp_path / "data.hdf5", spoil, libver="earliest")
    content = bytearray(path.read_bytes())
    place = content.index(b"TREE\x01") + 24  # the first chunk's entry in the index begins with its size
    assert content[place : place + 4] == struct.pack("<I", NUM * 16)
    content[place : place + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    refused(path, "observations has a chunk of another size")


def test_filters_of_others_are_refused(tmp_path):
    refused(
        write(tmp_path / "data.hdf5", replaced("rewards", np.zeros(NUM), scaleoffset=2)), "filters that are not known"
    )


@pytest.mark.parametrize("fletcher32", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "i1", "<u2", "?"])
def test_what_h5py_packs_is_read_as_h5py_reads_it(dtype, compression, shuffle, fletcher32, tmp_path):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(50, 7)) * 10).astype(dtype)
    values[20:] = values[:30]
    path = tmp_path / "data.hdf5"
    with h5py.File(path, "w") as file:
        for chunks in ((7, 3), (50, 7), (1, 1), (64, 8)):
            options = {"compression": compression, "shuffle": shuffle, "fletcher32": fletcher32, "maxshape": (None, 9)}
            file.create_dataset(f"x{chunks}", data=values, chunks=chunks, **options)
        file.create_dataset("partly", (9, 9), dtype, chunks=(2, 2), fillvalue=1)[3:5, 3] = 0
    with open_hdf5(path) as file:
        for name in file:
            found = read_numbers(plain_dataset(file, name))
            assert found.dtype == file[name].dtype
            np.testing.assert_array_equal(found, file[name][()])


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
@pytest.mark.parametrize("fletcher32", [False, True])
def test_a_damaged_chunk_is_noticed_or_of_its_size(compression, fletcher32, tmp_path):
    values = np.repeat(np.random.default_rng(0).normal(size=(40, 5)), 3, axis=0)
    path = tmp_path / "data.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", data=values, chunks=(120, 5), compression=compression, fletcher32=fletcher32)
        chunk = data.id.get_chunk_info(0)
    content, noticed = path.read_bytes(), 0
    for place in range(0, chunk.size, 7):
        damaged = bytearray(content)
        damaged[chunk.byte_offset + place] ^= 0x41
        path.write_bytes(damaged)
        try:
            with open_hdf5(path) as file:
                assert read_numbers(plain_dataset(file, "x")).shape == values.shape
        except DamagedFileError:
            noticed += 1
    assert noticed == len(range(0, chunk.size, 7)) if fletcher32 or compression == "gzip" else noticed


def test_truth_values_are_0_or_1(tmp_path):
    path = write(tmp_path / "data.hdf5", lambda file: None)
    with h5py.File(path) as file:
        place = file["timeouts"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[place : place + NUM] = bytes([7] * NUM)
    path.write_bytes(content)
    assert load_transitions(path).timeouts.view(np.uint8).tolist() == [1] * NUM


def test_a_circle_of_links_ends(tmp_path):
    def spoil(file):
        group = file.create_group("infos")
        group["infos"] = group

    def seal_alone(file):
        spoil(file)
        file["metadata"] = np.bytes_(b"{}")
        file.attrs["format"] = np.bytes_("pluralbench transitions 1")
        file.attrs["checksum"] = np.bytes_("0" * 64)

    refused(write(tmp_path / "ours.hdf5", seal_alone), "more than 1000 groups and datasets")
    assert len(load_transitions(write(tmp_path / "foreign.hdf5", spoil))) == NUM  # looks for names that it knows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 60_000, "nested too deeply"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested too deeply"),
        (b"[1]", "the metadata should be a JSON object"),
        (b"{", "metadata is no JSON text"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": 1e999}', "a number too large"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "metadata is no JSON text"),
        (b'{"a": "\\ud800"}', "surrogates not allowed"),
        (b'{"a": "\xff"}', "metadata is no JSON text"),
    ],
)
def test_metadata_are_json_that_can_be_written_again(text, message, tmp_path):
    def spoil(file):
        del file["metadata"]
        file["metadata"] = np.bytes_(text)

    refused(write(tmp_path / "data.hdf5", spoil, ours=True), message)


@pytest.mark.parametrize("value", [np.zeros(3), [b"a", b"b"], 5])
def test_metadata_that_are_no_text_are_named(value, tmp_path):
    def spoil(file):
        del file["metadata"]
        file["metadata"] = value

    refused(write(tmp_path / "data.hdf5", spoil, ours=True), "metadata is no")


def test_a_group_in_place_of_a_dataset_is_named(tmp_path):
    def spoil(file):
        del file["rewards"]
        file.create_group("rewards")

    refused(write(tmp_path / "data.hdf5", spoil), "rewards is no dataset")


def test_odd_names_cannot_break_the_line(tmp_path):
    with h5py.File(tmp_path / "data.hdf5", "w") as file:
        file[b"a\nb\x1b[2J\xff"] = 0
    refused(tmp_path / "data.hdf5", "missing, has .*a")


def test_numbers_too_large_for_float32_warn_of_nothing(tmp_path, recwarn):
    refused(write(tmp_path / "data.hdf5", replaced("rewards", np.full(NUM, 1e300))), "rewards must be finite")
    assert not recwarn.list


def test_a_file_of_ours_that_another_program_packed_is_read(tmp_path):
    data = TransitionDataset(**arrays(), metadata={"a": 1})
    save_transitions(data, tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5") as source, h5py.File(tmp_path / "b.hdf5", "w") as file:
        for name in source:
            packing = {} if source[name].shape == () else {"compression": "gzip", "chunks": True}
            file.create_dataset(name, data=source[name][()], dtype=source[name].dtype, **packing)
        file.attrs.update(source.attrs)
    np.testing.assert_array_equal(load_transitions(tmp_path / "b.hdf5").observations, data.observations)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in this file system")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "data.hdf5")
    refused(tmp_path / "data.hdf5", "is no file")
