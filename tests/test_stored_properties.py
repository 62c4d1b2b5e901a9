"""Whatever is stored comes back: arrays of any type and shape, names, texts, JSON words, and whole datasets."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from pluralbench.array_files import load_arrays, save_arrays
from pluralbench.envs.minari_export import export_minari
from pluralbench.envs.minari_files import import_minari
from pluralbench.envs.transition_files import load_transitions, save_transitions
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.files import json_values, read_json, write_json
from pluralbench.hdf5_files import (
    create_checked_hdf5,
    load_json,
    open_checked_hdf5,
    plain_dataset,
    read_numbers,
    store_json,
)
from pluralbench.iql.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from pluralbench.preference_oracles.inspection import describe
from pluralbench.preference_oracles.preference_files import export_npz, import_npz
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.tensor_files import load_tensors, save_tensors

few = settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

texts = st.text(max_size=12)
words = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
shapes = arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
numbers = (
    arrays_of.boolean_dtypes()
    | arrays_of.integer_dtypes(endianness="?")
    | arrays_of.unsigned_integer_dtypes(endianness="?")
    | arrays_of.floating_dtypes(endianness="?", sizes=(16, 32, 64))
)
number_arrays = numbers.flatmap(lambda dtype: arrays_of.arrays(dtype, shapes))
letters = st.characters(codec="utf-8", exclude_characters="\0")  # with which NumPy fills up
text_arrays = shapes.flatmap(lambda shape: arrays_of.arrays("U6", shape, elements=st.text(letters, max_size=6)))
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


def assert_same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()  # not-a-numbers too


@few
@given(st.dictionaries(names.filter(lambda name: name not in ("format", "checksum")), number_arrays | text_arrays))
def test_arrays_of_an_npz(tmp_path, arrays):
    names_in_file = {name.removesuffix(".npy") for name in arrays}
    if len(names_in_file) < len(arrays) or any(name.endswith(".npy") for name in arrays):
        return
    save_arrays(tmp_path / "a.npz", "test 1", arrays)
    found = load_arrays(tmp_path / "a.npz", "test 1")
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        assert_same(found[name], values)


@few
@given(st.lists(number_arrays, max_size=4), words)
def test_arrays_and_words_of_hdf5(tmp_path, arrays, value):
    with create_checked_hdf5(tmp_path / "a.hdf5", "test 1") as file:
        for place, values in enumerate(arrays):
            file[f"group/{place}"] = values
        store_json(file, "words", value)
    with open_checked_hdf5(tmp_path / "a.hdf5", "test 1") as file:
        for place, values in enumerate(arrays):
            found = read_numbers(plain_dataset(file, f"group/{place}"))
            assert_same(found if found.ndim else found.astype(values.dtype), values)  # a single number is native
        assert load_json(file, "words") == value


@few
@given(number_arrays.filter(lambda values: values.ndim and values.size), st.data())
def test_arrays_of_hdf5_in_chunks(tmp_path, values, data):
    chunks = tuple(data.draw(st.integers(1, size)) for size in values.shape)
    packing = data.draw(st.sampled_from([None, "gzip", "lzf"]))
    with create_checked_hdf5(tmp_path / "a.hdf5", "test 1") as file:
        file.create_dataset("x", data=values, chunks=chunks, compression=packing, shuffle=data.draw(st.booleans()))
    with open_checked_hdf5(tmp_path / "a.hdf5", "test 1") as file:
        assert_same(read_numbers(plain_dataset(file, "x")), values)


@few
@given(words)
def test_json_files(tmp_path, value):
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


@few
@given(st.text() | st.binary())
def test_any_text_is_json_or_refused(text):
    try:
        json_values(text)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either is right)


tensors = (
    st.sampled_from(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?"])
    .flatmap(lambda dtype: arrays_of.arrays(dtype, shapes))
    .map(lambda values: torch.from_numpy(values.copy()))
)


@few
@given(st.dictionaries(names.filter(lambda name: name != "__metadata__"), tensors, max_size=4), words)
def test_tensors_and_words(tmp_path, state, value):
    value = {name: item for name, item in value.items() if name not in ("format", "sha256", "checksum")}
    save_tensors(tmp_path, "pair", state, {**value, "format": "test-1"})
    found, said = load_tensors(tmp_path, "pair", "test-1")
    assert said == {**value, "format": "test-1"}
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert_same(found[name].numpy(), tensor.numpy())


@few
@given(
    st.integers(0, 10**10), st.dictionaries(names.filter(lambda name: name != "__metadata__"), tensors), words, words
)
def test_checkpoints(tmp_path, step, state, identity, history):
    rows = {name: [value, float("inf")] for name, value in history.items()}
    folder = tmp_path / str(step)
    save_checkpoint(folder, Checkpoint(step, state, identity, rows))
    found = load_checkpoint(folder)
    assert found is not None
    assert (found.step, found.identity, found.history) == (step, identity, rows)
    assert found.tensors.keys() == state.keys()


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def transition_datasets(draw):
    num, size = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    states = draw(arrays_of.arrays(np.float32, (num + 1, size), elements=finite))
    truth = arrays_of.arrays(bool, (num,))
    return TransitionDataset(
        observations=states[:-1],
        actions=draw(arrays_of.arrays(np.float32, (num, draw(st.integers(1, 3))), elements=finite)),
        next_observations=states[1:],
        rewards=draw(arrays_of.arrays(np.float32, (num,), elements=finite)),
        terminals=draw(truth),
        timeouts=draw(truth),
        metadata=draw(words),
    )


def assert_same_dataset(found, expected):
    for field in fields(expected):
        value = getattr(expected, field.name)
        if isinstance(value, np.ndarray):
            assert_same(getattr(found, field.name), value)
        else:
            assert getattr(found, field.name) == value


@few
@given(transition_datasets())
def test_transitions(tmp_path, dataset):
    save_transitions(dataset, tmp_path / "a.hdf5")
    assert_same_dataset(load_transitions(tmp_path / "a.hdf5"), dataset)


@settings(few, max_examples=8)
@given(transition_datasets(), st.integers(0, 2**62))
def test_transitions_by_way_of_minari(tmp_path, dataset, number):
    pytest.importorskip("minari")
    folder = tmp_path / f"made-up{number}-v0"
    if not folder.exists():
        export_minari(dataset, folder)
        assert_same_dataset(import_minari(folder), dataset)


@st.composite
def preference_datasets(draw):
    users, comparisons = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    segment = (2, draw(st.integers(1, 3)), draw(st.integers(0, 3)))
    group_names = tuple(draw(st.lists(st.text(letters, max_size=8), min_size=1, max_size=3)))

    def array(dtype, *shape, **elements):
        return draw(arrays_of.arrays(dtype, (users, *shape), **elements))

    return PreferenceDataset(
        segments=array(np.float32, comparisons, *segment),
        labels=array(np.float32, comparisons, elements=st.sampled_from([0.0, 0.5, 1.0])),
        mask=array(bool, comparisons),
        user_ids=array(np.int64),
        group_names=group_names,
        group_index=array(np.int64, elements=st.integers(0, len(group_names) - 1)),
        goals=array(np.float64, draw(st.integers(0, 2))),
        provenance=draw(words),
    )


@few
@given(preference_datasets())
def test_preferences(tmp_path, preferences):
    preferences.save(tmp_path / "a.hdf5")
    export_npz(preferences, tmp_path / "a.npz")
    for found in (
        PreferenceDataset.load(tmp_path / "a.hdf5"),
        PreferenceDataset.load(tmp_path / "a.hdf5", lazy=True),
        import_npz(tmp_path / "a.npz"),
    ):
        assert_same_dataset(found, preferences)
        assert all(line.isprintable() for line in describe(found).split("\n"))
