"""HDF5 files with a format and a checksum over their whole content, and HDF5 of others read without trusting it.

A disk or a network that lost a bit is noticed when the file is read, not weeks later in a figure. HDF5 can also point
at other files (soft and external links, external storage, virtual datasets) and declare any size; what does is refused
before anything is read. Chunks are read by `hdf5_chunks`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from pluralbench.errors import DamagedFileError, InputError
from pluralbench.files import check_is_file, json_values, replace_file
from pluralbench.hdf5_chunks import read_chunks
from pluralbench.hdf5_disk import ForgivingFile
from pluralbench.integrity import check_checksum, check_declared, check_format, check_numeric, declared_bytes
from pluralbench.lines import plain

FORMAT_ATTRIBUTE = "format"
CHECKSUM_ATTRIBUTE = "checksum"
_CHUNK_BYTES = 1 << 24
_LONGEST_ATTRIBUTE = 256  # bytes
_MOST_OBJECTS = 1_000  # groups and datasets of a file of ours
_NUMBERS = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM)  # truth values are an enumeration


@contextmanager
def create_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """A new HDF5 file to fill, in another library's layout; it gets its name when the block ends without an error."""
    with replace_file(path) as partial, ForgivingFile(partial) as disk, h5py.File(disk, "w") as file:
        yield file


@contextmanager
def create_checked_hdf5(path: Path | str, file_format: str) -> Iterator[h5py.File]:
    """A new HDF5 file to fill; it gets its format, its checksum and its name when the block ends without an error.

    The same content gives the same bytes. Texts belong in `store_json`, since an attribute holds 64 kB at most.

    Args:
        path: where the file shall stand.
        file_format: what it holds and in which version, for example `pluralbench transitions 1`; readers compare it.
    """
    with create_hdf5(path) as file:
        yield file
        # Texts of fixed length: HDF5 can be caught in an endless loop by a damaged heap of variable-length ones.
        file.attrs[FORMAT_ATTRIBUTE] = np.bytes_(file_format)
        file.attrs[CHECKSUM_ATTRIBUTE] = np.bytes_(content_checksum(file))


@contextmanager
def open_hdf5(path: Path | str) -> Iterator[h5py.File]:
    """An HDF5 file to read; whatever HDF5 finds wrong with it becomes a DamagedFileError that names the file.

    Raises:
        DamagedFileError: no such file, no HDF5, truncated, or damaged in a way that HDF5 notices.
    """
    path = Path(path)
    check_is_file(path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read ({error.strerror})") from error
    if not h5py.is_hdf5(path):
        raise DamagedFileError(f"{path}: not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, OverflowError, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise  # a caller's own words about the content
        raise DamagedFileError(f"{path}: damaged or truncated HDF5 file ({plain(error, 200)})") from error


@contextmanager
def open_checked_hdf5(path: Path | str, file_format: str) -> Iterator[h5py.File]:
    """A file that `create_checked_hdf5` wrote, opened for reading after its checksum was found right.

    Raises:
        DamagedFileError: as `open_hdf5`, and for a file of another format or with a wrong checksum.
    """
    with open_hdf5(path) as file:
        check_format_and_checksum(file, file_format)
        yield file


def check_format_and_checksum(file: h5py.File, file_format: str) -> None:
    """Raises DamagedFileError unless the file says that it is a `file_format` and holds what was written."""
    check_format(file.filename, file_format_of(file), file_format)
    check_checksum(file.filename, text_attribute(file, CHECKSUM_ATTRIBUTE), content_checksum(file))


def file_format_of(file: h5py.File) -> str | None:
    """The format that the file says it has; None for a file that `create_checked_hdf5` did not write."""
    return text_attribute(file, FORMAT_ATTRIBUTE)


def content_checksum(file: h5py.File) -> str:
    """SHA-256 over the names, types, shapes and bytes of all datasets, in the order of their names.

    Does not depend on how HDF5 lays the data out (chunks, compression), and reads it in pieces of some megabytes.

    Raises:
        DamagedFileError: a link to elsewhere, a dataset that `plain_dataset` refuses, or more than the file can hold.
    """
    digest = hashlib.sha256(f"format {file_format_of(file)}\n".encode())
    datasets = {name: plain_dataset(file, name, texts=True) for name in dataset_names(file)}
    check_declared(file.filename, sum(dataset.nbytes for dataset in datasets.values()))
    for name, dataset in datasets.items():
        digest.update(f"{name} {dataset.dtype.str} {dataset.shape}\n".encode())
        if dataset.ndim == 0 or dataset.size == 0 or dataset.chunks is not None:
            values = np.asarray(dataset[()]) if dataset.dtype.kind == "S" else read_numbers(dataset)
            digest.update(values.tobytes())
            continue
        rows = max(1, _CHUNK_BYTES // max(1, dataset.nbytes // len(dataset)))
        for start in range(0, len(dataset), rows):
            digest.update(np.ascontiguousarray(dataset[start : start + rows]).data)
    return digest.hexdigest()


def dataset_names(file: h5py.File) -> list[str]:
    """The full names of all datasets in the file, for example `infos/goal`, sorted.

    Raises:
        DamagedFileError: a link to elsewhere, or more objects than a file of ours has, as in a circle of links.
    """
    names: list[str] = []
    waiting, num_seen = [("", file["/"])], 0
    while waiting:
        place, group = waiting.pop()
        for part in group:
            num_seen += 1
            if num_seen > _MOST_OBJECTS:
                raise DamagedFileError(f"{file.filename}: more than {_MOST_OBJECTS} groups and datasets")
            item = _linked(group, part)
            if isinstance(item, h5py.Group):
                waiting.append((f"{place}{part}/", item))
            elif isinstance(item, h5py.Dataset):
                names.append(f"{place}{part}")
            else:
                raise DamagedFileError(f"{file.filename}: {plain(part)} is neither a group nor a dataset")
    return sorted(names)


def plain_dataset(place: h5py.Group, name: str, texts: bool = False) -> h5py.Dataset:
    """The dataset of this full name, once it is sure that it lies in this file alone and holds what it says.

    What it holds is read by `read_numbers`.

    Args:
        place: a file opened for reading, or a `plain_group` of it.
        name: for example `infos/goal`.
        texts: whether it may hold texts of fixed length.

    Raises:
        DamagedFileError: no such dataset; one behind a soft or external link, stored in other files, virtual, not of
            numbers, or larger than a file of this size can hold.
    """
    path, label = place.file.filename, plain(name)
    where = f"{path}: {label}"
    item = _found(place, name)
    if not isinstance(item, h5py.Dataset):
        raise DamagedFileError(f"{where} is no dataset")
    kind = item.id.get_type()
    is_text = texts and kind.get_class() == h5py.h5t.STRING and not kind.is_variable_str()
    if not is_text and kind.get_class() not in _NUMBERS:  # before NumPy's type is made of it, at which HDF5 can crash
        raise DamagedFileError(f"{where} is not of numbers")
    dtype, shape = item.dtype, item.shape
    if not is_text:
        check_numeric(path, label, dtype)
        if not _is_plain(kind, dtype):
            raise DamagedFileError(f"{where} is of numbers that are not known here")
    if shape is None:
        raise DamagedFileError(f"{where} is empty")
    check_declared(path, declared_bytes(shape, dtype.itemsize))
    plist = item.id.get_create_plist()
    if plist.get_layout() == h5py.h5d.VIRTUAL or plist.get_external_count():
        raise DamagedFileError(f"{where} lies in other files, which are not read")
    if is_text and item.chunks is not None:
        raise DamagedFileError(f"{where} is a text in chunks")
    return item


def plain_group(file: h5py.File, name: str) -> h5py.Group:
    """The group of this full name, in this file; DamagedFileError where there is none."""
    item = _found(file, name)
    if not isinstance(item, h5py.Group):
        raise DamagedFileError(f"{file.filename}: {plain(name)} is no group")
    return item


def _found(place: h5py.Group, name: str) -> Any:
    """What hard links lead to by this name."""
    item: Any = place
    for part in name.split("/"):
        if not _has_link(item, part):
            raise DamagedFileError(f"{place.file.filename}: {plain(name)} missing")
        item = _linked(item, part)
    return item


def _is_plain(kind: Any, dtype: np.dtype[Any]) -> bool:
    """Whether the bits of these numbers mean what NumPy would read from them."""
    if kind.get_class() == h5py.h5t.ENUM:
        kind = kind.get_super()
    plain = np.dtype(np.int8) if dtype == np.bool_ else np.dtype(dtype.str)
    return bool(kind.equal(h5py.h5t.py_create(plain)))


def read_numbers(dataset: h5py.Dataset) -> NDArray[Any]:
    """The numbers of a `plain_dataset`, all of them."""
    file = dataset.file
    in_chunks = dataset.chunks is not None and file.mode == "r"  # what is being written is our own
    values = read_chunks(file.filename, dataset.name, dataset) if in_chunks else np.asarray(dataset[()])
    return values.view(np.uint8) != 0 if values.dtype == np.bool_ else values


def is_named(file: h5py.File, name: str) -> bool:
    """Whether there is something of this full name; unlike `in`, opens no other file to find out."""
    item: Any = file["/"]
    *groups, last = name.split("/")
    for part in groups:
        if not _has_link(item, part):
            return False
        item = _linked(item, part)
    return _has_link(item, last)


def _has_link(item: Any, part: str) -> bool:
    return isinstance(item, h5py.Group) and bool(item.id.links.exists(part.encode()))


def _linked(group: h5py.Group, part: str) -> Any:
    """What a hard link leads to; DamagedFileError for any other link, and for a name that HDF5 takes for a path."""
    if not isinstance(part, str) or "/" in part or part in ("", "."):  # what is no UTF-8 comes as bytes
        raise DamagedFileError(f"{group.file.filename}: something in it is named {plain(part)!r}")
    if group.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
        raise DamagedFileError(f"{group.file.filename}: {plain(part)} is a link to elsewhere, which is not followed")
    return group[part]


def store_json(file: h5py.File, name: str, value: Any) -> None:
    """Stores JSON values of any length as a text dataset that `load_json` reads.

    Raises:
        TypeError, ValueError: `value` is not made of JSON values, or holds NaN.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    file.create_dataset(name, data=np.bytes_(text.encode()))


def load_json(file: h5py.File, name: str) -> Any:
    """What `store_json` stored.

    Raises:
        DamagedFileError: there is nothing, or it is no JSON.
    """
    dataset = plain_dataset(file, name, texts=True)
    if dataset.shape != () or dataset.dtype.kind != "S":
        raise DamagedFileError(f"{file.filename}: {name} is no text")
    try:
        return json_values(bytes(dataset[()]))
    except ValueError as error:
        raise DamagedFileError(f"{file.filename}: {name} is no JSON text ({error})") from error


def text_attribute(file: h5py.File, name: str) -> str | None:
    """A short text of fixed length; one of variable length is none of ours and is not read."""
    if name not in file.attrs:
        return None
    attribute = file.attrs.get_id(name)
    kind = attribute.get_type()
    if kind.get_class() != h5py.h5t.STRING or kind.is_variable_str() or kind.get_size() > _LONGEST_ATTRIBUTE:
        return None
    return bytes(file.attrs[name]).decode(errors="replace") if attribute.shape == () else None
