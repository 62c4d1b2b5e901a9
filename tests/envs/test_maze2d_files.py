"""Data in D4RL's maze2d layout: what is written reads back to the same data, as D4RL reads it too."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from pluralbench.envs.gymnasium_ids import MAZE
from pluralbench.envs.maze import maze2d_files
from pluralbench.envs.maze.maps import LAYOUTS, load_map
from pluralbench.envs.maze.waypoint_policy import collect
from pluralbench.envs.transition_files import is_maze2d, load_transitions, save_transitions
from pluralbench.envs.transitions import DatasetError

COLUMNS = ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts")
KEYS = {"observations", "actions", "rewards", "terminals", "timeouts", "infos"}


def assert_equal(found, expected):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


def forget_maze(path):
    """As D4RL's own files, which do not name theirs."""
    with h5py.File(path, "r+") as file:
        del file.attrs["maze"]


def test_a_file_of_few_cells_names_its_maze(tmp_path):
    data, path = collect(300, seed=0), tmp_path / "x.hdf5"
    maze2d_files.write(data, path)
    again = maze2d_files.read(path)
    assert_equal(again, data)
    assert again.metadata["layout"] == "large"
    with h5py.File(path, "r+") as file:
        file.attrs["maze"] = np.bytes_("umaze")
    with pytest.raises(DatasetError, match=r"x\.hdf5: \d+ % of its positions lie in walls of umaze"):
        maze2d_files.read(path)
    for unknown in (np.bytes_("?"), np.bytes_(b"\xff"), "large", 3):
        with h5py.File(path, "r+") as file:
            file.attrs["maze"] = unknown
        with pytest.raises(DatasetError, match="so that its maze cannot be told"):
            maze2d_files.read(path)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_there_and_back_changes_nothing(layout, tmp_path):
    data = collect(6_000, seed=0, layout=layout)
    path = tmp_path / f"maze2d-{layout}.hdf5"
    maze2d_files.write(data, path)
    again = maze2d_files.read(path)
    assert_equal(again, data)
    assert (again.metadata["environment"], again.metadata["layout"]) == (MAZE, layout)
    assert_equal(load_transitions(path), data)


def test_the_layout_is_d4rls(tmp_path):
    data = collect(3_000, seed=0, layout="umaze")
    maze2d_files.write(data, tmp_path / "own.hdf5")
    num = len(data) + len(data.episode_bounds)
    with h5py.File(tmp_path / "own.hdf5") as file:
        assert {*file} == KEYS
        assert {*file["infos"]} == {"qpos", "qvel"}  # where the data's own controller was going is not kept
        shapes = {name: (file[name].shape, file[name].dtype) for name in KEYS - {"infos"}}
        assert shapes["observations"] == ((num, 4), np.float32)
        assert shapes["actions"] == ((num, 2), np.float32)
        assert shapes["terminals"] == shapes["timeouts"] == ((num,), np.bool_)
        observations = file["observations"][:]
        np.testing.assert_array_equal(np.concatenate([file["infos/qpos"], file["infos/qvel"]], axis=1), observations)
        distance = np.linalg.norm(observations[:, :2] - load_map("umaze").own_goal, axis=1)
        np.testing.assert_array_equal(file["rewards"][:], distance <= 0.5)  # D4RL's own relabelling
        # as d4rl.qlearning_dataset goes about it: the next row's observation, ends left out
        goes_on = ~file["timeouts"][:-1]
        assert goes_on.sum() == len(data)
        np.testing.assert_array_equal(observations[1:][goes_on], data.next_observations)
        np.testing.assert_array_equal(file["actions"][:-1][goes_on], data.actions)


def test_goals_and_dense_rewards_of_a_maze2d_file_are_kept(tmp_path):
    data = collect(3_000, seed=0, layout="umaze")
    goals = np.random.default_rng(0).uniform(1, 3, size=(len(data.episode_bounds), 2)).astype(np.float32)
    distance = np.linalg.norm(data.next_observations[:, :2] - load_map("umaze").own_goal, axis=1)
    dense = replace(
        data, rewards=np.exp(-distance).astype(np.float32), metadata={**data.metadata, "goals": goals.tolist()}
    )
    maze2d_files.write(dense, tmp_path / "own-umaze.hdf5")
    again = maze2d_files.read(tmp_path / "own-umaze.hdf5")
    np.testing.assert_allclose(again.rewards, dense.rewards, rtol=1e-6)
    np.testing.assert_array_equal(np.array(again.metadata["goals"], np.float32), goals)
    with h5py.File(tmp_path / "own-umaze.hdf5") as file:
        assert file["infos/goal"].shape == file["infos/qpos"].shape
        assert (file["rewards"][:] > 0).all()
    maze2d_files.write(again, tmp_path / "twice.hdf5")
    with h5py.File(tmp_path / "own-umaze.hdf5") as one, h5py.File(tmp_path / "twice.hdf5") as other:
        for name in ("observations", "infos/goal", "timeouts"):
            np.testing.assert_array_equal(one[name][:], other[name][:])
    assert "goals" not in load_transitions(tmp_path / "own-umaze.hdf5").metadata


def test_a_goal_that_is_no_number_is_refused(tmp_path):
    data = collect(500, seed=0)
    goals = np.ones((len(data.episode_bounds), 2)).tolist()
    maze2d_files.write(replace(data, metadata={**data.metadata, "goals": goals}), tmp_path / "own-large.hdf5")
    with h5py.File(tmp_path / "own-large.hdf5", "r+") as file:
        file["infos/goal"][:] = np.inf
    with pytest.raises(DatasetError, match="infos/goal must be finite"):
        maze2d_files.read(tmp_path / "own-large.hdf5")
    assert len(load_transitions(tmp_path / "own-large.hdf5")) == len(data)


def test_the_first_reward_of_an_episode_is_zero_where_no_rule_is_known(tmp_path):
    data = collect(1_000, seed=0, layout="umaze")
    maze2d_files.write(replace(data, rewards=np.full(len(data), 3.0, np.float32)), tmp_path / "own-umaze.hdf5")
    with h5py.File(tmp_path / "own-umaze.hdf5") as file:
        rewards = file["rewards"][:]
    assert rewards[0] == 0
    assert (rewards == 3).sum() == len(data)
    assert (maze2d_files.read(tmp_path / "own-umaze.hdf5").rewards == 3).all()


def test_the_maze_is_told_by_the_cells_where_no_name_tells_it(tmp_path):
    for layout in LAYOUTS:
        maze2d_files.write(collect(30_000, seed=0, layout=layout), tmp_path / "own.hdf5")
        forget_maze(tmp_path / "own.hdf5")
        assert maze2d_files.read(tmp_path / "own.hdf5").metadata["layout"] == layout


def test_another_map_is_refused_with_the_reason(tmp_path):
    """maze2d-eval-* have maps of their own, of the same sizes; and umaze's mirror image fits into open."""
    large, umaze = collect(30_000, seed=0), collect(5_000, seed=0, layout="umaze")

    def written(data, layout, change):
        path = tmp_path / "own.hdf5"
        maze2d_files.write(data, path)
        forget_maze(path)
        with h5py.File(path, "r+") as file:
            file["observations"][:] = rows = change(file["observations"][:])
            file["infos/qpos"][:], file["infos/qvel"][:] = rows[:, :2], rows[:, 2:]
        return path.rename(tmp_path / f"own{layout}.hdf5")

    upside_down = lambda rows: rows * np.float32([-1, 1, -1, 1]) + np.float32([7.6, 0, 0, 0])  # noqa: E731
    with pytest.raises(DatasetError, match=r"own\.hdf5: its positions lie in walls of every maze known here \(open, "):
        maze2d_files.read(written(large, "", upside_down))
    with pytest.raises(DatasetError, match=r"own-large\.hdf5: \d+ % of its positions lie in walls of large: it is of"):
        maze2d_files.read(written(large, "-large", upside_down))
    mirrored = lambda rows: rows * np.float32([1, -1, 1, -1]) + np.float32([0, 3.6, 0, 0])  # noqa: E731
    with pytest.raises(DatasetError, match="visits 47 % of the cells of open only, so that its maze cannot be told"):
        maze2d_files.read(written(umaze, "", mirrored))


def test_what_is_no_maze2d_file_is_left_to_others(tmp_path):
    save_transitions(collect(500, seed=0), tmp_path / "ours.hdf5")
    assert not is_maze2d(tmp_path / "ours.hdf5")
    assert maze2d_files.read(tmp_path / "ours.hdf5") is None
    assert maze2d_files.read(tmp_path) is None
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["segments"] = np.zeros(3)
    assert maze2d_files.read(tmp_path / "other.hdf5") is None


def test_what_maze2d_cannot_hold_is_refused(tmp_path):
    data = collect(500, seed=0)
    ends = np.zeros(len(data), bool)
    ends[[3, 100]] = True
    with pytest.raises(DatasetError, match="maze2d never terminates, and 2 transitions do"):
        maze2d_files.write(replace(data, terminals=ends), tmp_path / "own.hdf5")
    with pytest.raises(DatasetError, match=r"habitat-tidy with observations .* are not of a maze"):
        maze2d_files.write(replace(data, metadata={"environment": "habitat-tidy"}), tmp_path / "own.hdf5")
    assert list(tmp_path.iterdir()) == []


def test_data_that_name_no_maze_are_known_by_their_cells(tmp_path):
    data = replace(collect(30_000, seed=0), metadata={})
    maze2d_files.write(data, tmp_path / "own.hdf5")
    forget_maze(tmp_path / "own.hdf5")
    assert maze2d_files.read(tmp_path / "own.hdf5").metadata["layout"] == "large"
