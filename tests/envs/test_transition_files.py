import warnings

import h5py
import numpy as np
import pytest

from pluralbench.envs.transition_files import load_transitions, save_transitions
from pluralbench.envs.transitions import DatasetError, TransitionDataset

COLUMNS = ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts")


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(31, 3)).astype(np.float32)
    terminals, timeouts = np.zeros(30, bool), np.zeros(30, bool)
    terminals[9], timeouts[19] = True, True
    return TransitionDataset(
        observations=states[:-1],
        actions=rng.normal(size=(30, 2)).astype(np.float32),
        next_observations=states[1:],
        rewards=rng.normal(size=30).astype(np.float32),
        terminals=terminals,
        timeouts=timeouts,
        metadata={"environment": "made up", "settings": {"noise": 0.5, "cells": [1, 2]}},
    )


def test_what_was_saved_is_loaded_bit_for_bit(dataset, tmp_path):
    save_transitions(dataset, tmp_path / "data.hdf5")
    loaded = load_transitions(tmp_path / "data.hdf5")
    for name in COLUMNS:
        expected = getattr(dataset, name)
        assert getattr(loaded, name).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(loaded, name), expected)
    assert loaded.metadata == dataset.metadata


def test_the_same_dataset_gives_the_same_bytes(dataset, tmp_path):
    save_transitions(dataset, tmp_path / "a.hdf5")
    save_transitions(dataset, tmp_path / "b.hdf5")
    assert (tmp_path / "a.hdf5").read_bytes() == (tmp_path / "b.hdf5").read_bytes()


def test_the_layout_is_d4rls(dataset, tmp_path):
    save_transitions(dataset, tmp_path / "data.hdf5")
    with h5py.File(tmp_path / "data.hdf5") as file:
        assert {*COLUMNS} <= {*file}
        assert file["terminals"].dtype == np.bool_
        assert file["rewards"].shape == (30,)


# Files that are not what they should be


def test_a_text_file_is_named(tmp_path):
    path = tmp_path / "notes.hdf5"
    path.write_text("not a dataset")
    with pytest.raises(DatasetError, match=r"^\S*notes\.hdf5: not an HDF5 file$"):
        load_transitions(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        load_transitions(tmp_path / "nothing.hdf5")
    with pytest.raises(DatasetError, match="folder"):
        load_transitions(tmp_path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_file_is_named(dataset, tmp_path, share):
    path = tmp_path / "data.hdf5"
    save_transitions(dataset, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DatasetError, match=r"data\.hdf5: .*(truncated|damaged)") as caught:
        load_transitions(path)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "data.hdf5").touch()
    with pytest.raises(DatasetError, match="not an HDF5 file"):
        load_transitions(tmp_path / "data.hdf5")


def test_a_flipped_byte_in_the_data_is_noticed(dataset, tmp_path):
    path = tmp_path / "data.hdf5"
    save_transitions(dataset, path)
    for name in (*COLUMNS, "metadata"):
        with h5py.File(path) as file:
            place = file[name].id.get_offset()
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        damaged = tmp_path / f"{name}.hdf5"
        damaged.write_bytes(content)
        with pytest.raises(DatasetError, match=rf"{name}\.hdf5: damaged"):
            load_transitions(damaged)


def test_a_byte_flipped_anywhere_is_noticed_or_changes_nothing(dataset, tmp_path):
    path = tmp_path / "data.hdf5"
    save_transitions(dataset, path)
    content = path.read_bytes()
    messages = []
    for place in range(0, len(content), 17):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            loaded = load_transitions(path)
        except DatasetError as error:
            messages.append(str(error))
        else:
            assert loaded.metadata == dataset.metadata
            for name in COLUMNS:
                np.testing.assert_array_equal(getattr(loaded, name), getattr(dataset, name))
    assert len(messages) > 30
    assert all("data.hdf5" in message and "\n" not in message for message in messages)


def test_hdf5_of_something_else_says_what_is_missing(tmp_path):
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(DatasetError, match=r"observations, actions, rewards, terminals missing, has images"):
        load_transitions(tmp_path / "other.hdf5")


def test_a_file_of_another_format_of_ours_is_refused(dataset, tmp_path):
    save_transitions(dataset, tmp_path / "data.hdf5")
    with h5py.File(tmp_path / "data.hdf5", "a") as file:
        file.attrs["format"] = np.bytes_("pluralbench preferences 1")
    with pytest.raises(DatasetError, match=r"expected the format 'pluralbench transitions 1', found 'pluralbench pref"):
        load_transitions(tmp_path / "data.hdf5")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("actions", np.zeros((9, 2)), r"actions should be \(10, \.\.\.\), is \(9, 2\)"),
        ("rewards", np.zeros((10, 1)), r"rewards should be \(10,\), is \(10, 1\)"),
        ("timeouts", np.zeros(9, bool), r"timeouts should be \(10,\), is \(9,\)"),
        ("observations", np.zeros((0, 4)), "holds no transitions"),
        ("observations", np.full((10, 4), np.inf), "observations must be finite"),
    ],
)
def test_wrong_shapes_in_a_foreign_file_are_named(tmp_path, name, values, message):
    path = _write(tmp_path / "maze.hdf5", {**_maze2d([10]), name: values})
    with pytest.raises(DatasetError, match=message) as caught:
        load_transitions(path)
    assert "maze.hdf5" in str(caught.value)


def test_text_where_numbers_belong_is_named(tmp_path):
    path = _write(tmp_path / "maze.hdf5", {**_maze2d([10]), "rewards": np.array([b"x"] * 10)})
    with pytest.raises(DatasetError, match=r"maze\.hdf5"):
        load_transitions(path)


# D4RL's own files


def _maze2d(lengths, with_timeouts=True, ends_in_terminals=False, goal=(0.5, 0.5)):
    """An imitation of a maze2d file: one walk, cut where a way point is reached, with all of D4RL's faults.

    Row t of the true walk is at position (0.01 t, 0) with velocity (1, t).
    """
    num = sum(lengths)
    time = np.arange(num)
    state = np.stack([0.01 * time, 0 * time, 0 * time + 1, time], axis=1).astype(np.float32)
    last = np.cumsum(lengths) - 1
    ends = np.zeros(num, bool)
    ends[last] = True
    observations = state.copy()
    observations[last[:-1] + 1] = state[last[:-1]]  # the generator does not update the observation there
    content = {
        "observations": observations,
        "actions": np.stack([time, -time], axis=1).astype(np.float32),
        "rewards": (np.linalg.norm(observations[:, :2] - np.array(goal), axis=1) <= 0.5).astype(np.float32),
        "terminals": ends if ends_in_terminals else np.zeros(num, bool),
        "infos/goal": np.repeat(np.arange(2 * len(lengths), dtype=np.float32).reshape(-1, 2), lengths, axis=0),
        "infos/qpos": state[:, :2],
        "infos/qvel": state[:, 2:],
    }
    if with_timeouts:
        content["timeouts"] = ends
    return content


def _write(path, content):
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values.dtype.kind == "f":
                file.create_dataset(name, data=values, compression="gzip")
            else:
                file[name] = values
    return path


def _times(observations):
    """The moments of the walk that these observations are."""
    return np.rint(observations[:, 0] / 0.01).astype(int)


def test_maze2d_successors_are_rebuilt_inside_episodes_only(tmp_path):
    dataset = load_transitions(_write(tmp_path / "maze2d-large-v1.hdf5", _maze2d([40, 30, 30])))
    assert len(dataset) == 97  # each episode loses its last row
    assert dataset.episode_bounds.tolist() == [[0, 39], [39, 68], [68, 97]]
    assert not dataset.terminals.any()
    np.testing.assert_array_equal(dataset.actions[:, 0], _times(dataset.observations))
    np.testing.assert_array_equal(_times(dataset.next_observations), _times(dataset.observations) + 1)
    assert dataset.metadata["layout"] == "D4RL maze2d"
    assert any("3 rows without a successor" in repair for repair in dataset.metadata["repairs"])


def test_maze2d_rewards_are_for_arriving(tmp_path):
    content = _maze2d([40, 30, 30], goal=(0.8, 0.0))  # reached from time 30 on
    dataset = load_transitions(_write(tmp_path / "maze.hdf5", content))
    arrived = np.linalg.norm(dataset.next_observations[:, :2] - np.array([0.8, 0.0]), axis=1) <= 0.5
    np.testing.assert_array_equal(dataset.rewards, arrived)
    assert dataset.rewards.min() == 0
    assert dataset.rewards[_times(dataset.observations) == 29] == content["rewards"][30] == 1


def test_maze2d_observations_that_stand_still_come_from_the_simulators_state(tmp_path):
    dataset = load_transitions(_write(tmp_path / "maze.hdf5", _maze2d([40, 30, 30])))
    assert dataset.observations[39].tolist() == pytest.approx([0.40, 0, 1, 40])
    assert any(repair.startswith("2 observations that stood still") for repair in dataset.metadata["repairs"])


def test_maze2d_without_the_simulators_state_keeps_its_observations(tmp_path):
    content = {name: values for name, values in _maze2d([40, 30]).items() if not name.startswith("infos/q")}
    dataset = load_transitions(_write(tmp_path / "maze.hdf5", content))
    assert _times(dataset.observations)[39] == 39


def test_a_maze2d_robot_that_truly_rests_is_left_alone(tmp_path):
    content = _maze2d([50])
    for name in ("observations", "infos/qpos", "infos/qvel"):
        content[name][10:20] = content[name][10]
    dataset = load_transitions(_write(tmp_path / "maze.hdf5", content))
    np.testing.assert_array_equal(dataset.observations, content["observations"][:-1])
    assert not any("stood still" in repair for repair in dataset.metadata["repairs"])


@pytest.mark.parametrize("how", ["terminals", "goals", "jumps"])
def test_maze2d_without_timeouts_finds_its_episodes(tmp_path, how):
    content = _maze2d([40, 30, 30], with_timeouts=False, ends_in_terminals=how == "terminals")
    if how == "jumps":
        del content["infos/goal"]
        for name in ("observations", "infos/qpos"):
            content[name][40:, 1] += 2.0
            content[name][70:, 1] += 2.0
    dataset = load_transitions(_write(tmp_path / "maze.hdf5", content))
    assert dataset.episode_bounds.tolist() == [[0, 39], [39, 68], [68, 97]]
    assert not dataset.terminals.any()  # a way point is no end of the task
    words = {"terminals": "terminals taken", "goals": "infos/goal changes", "jumps": "step is longer"}
    assert any(words[how] in repair for repair in dataset.metadata["repairs"])


def test_episodes_of_one_row_vanish_and_a_file_of_nothing_else_is_refused(tmp_path):
    dataset = load_transitions(_write(tmp_path / "maze.hdf5", _maze2d([1, 10, 1, 5, 1])))
    assert dataset.episode_bounds.tolist() == [[0, 9], [9, 13]]
    with pytest.raises(DatasetError, match="one row long"):
        load_transitions(_write(tmp_path / "short.hdf5", _maze2d([1, 1, 1])))


def _locomotion(num=20, size=5):
    states = np.random.default_rng(1).normal(size=(num + 1, size)).astype(np.float32)
    states_after = states[1:].copy()
    states_after[9] += 1.0  # the episode ended there, and row 10 is a start
    return {
        "observations": states[:-1],
        "next_observations": states_after,
        "actions": np.zeros((num, 3), np.float32),
        "rewards": np.arange(num, dtype=np.float64),
        "terminals": np.zeros(num, np.uint8),
        "timeouts": (np.arange(num) == 9).astype(np.uint8),
    }


def test_a_d4rl_file_with_successors_is_taken_as_it_is(tmp_path):
    content = _locomotion()
    dataset = load_transitions(_write(tmp_path / "hopper.hdf5", content))
    for name in ("observations", "next_observations", "rewards"):
        np.testing.assert_array_equal(getattr(dataset, name), content[name])
    assert dataset.timeouts.dtype == np.bool_
    assert dataset.metadata["repairs"] == []


def test_with_successors_missing_timeouts_are_where_they_do_not_continue(tmp_path):
    content = _locomotion()
    del content["timeouts"]
    dataset = load_transitions(_write(tmp_path / "hopper.hdf5", content))
    assert np.flatnonzero(dataset.timeouts).tolist() == [9]


def test_a_terminal_without_a_successor_stays(tmp_path):
    content = _locomotion()
    del content["next_observations"]
    content["terminals"][9], content["timeouts"][9] = 1, 0
    dataset = load_transitions(_write(tmp_path / "ant.hdf5", content))
    assert len(dataset) == 19
    assert np.flatnonzero(dataset.terminals).tolist() == [9]
    assert np.flatnonzero(dataset.timeouts).tolist() == [18]
    np.testing.assert_array_equal(dataset.next_observations[9], content["observations"][9])
    np.testing.assert_array_equal(dataset.next_observations[10], content["observations"][11])
    np.testing.assert_array_equal(dataset.rewards, content["rewards"][:-1])  # only maze2d's rewards are late


def test_episodes_that_cannot_be_known_are_refused(tmp_path):
    content = _locomotion()
    del content["timeouts"], content["next_observations"]
    with pytest.raises(DatasetError, match="neither timeouts nor next_observations"):
        load_transitions(_write(tmp_path / "ant.hdf5", content))


def test_loading_warns_of_nothing(dataset, tmp_path):
    save_transitions(dataset, tmp_path / "data.hdf5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_transitions(tmp_path / "data.hdf5")
        load_transitions(_write(tmp_path / "maze.hdf5", _maze2d([10, 10])))
