"""PointMaze data there and back: the frame on every cell of every map, real episodes, and what is refused."""

import json
from dataclasses import replace

import gymnasium as gym
import h5py
import numpy as np
import pytest

from pluralbench.envs.gymnasium_ids import MAZE
from pluralbench.envs.maze import pointmaze_files
from pluralbench.envs.maze.maps import LAYOUTS, load_map
from pluralbench.envs.maze.physics import MazePhysics
from pluralbench.envs.maze.pointmaze_files import to_ours, to_theirs
from pluralbench.envs.maze.waypoint_policy import collect
from pluralbench.envs.minari_files import stored_environment
from pluralbench.envs.transitions import DatasetError

minari = pytest.importorskip("minari")
robotics = pytest.importorskip("gymnasium_robotics")
from minari.data_collector import EpisodeBuffer  # noqa: E402

gym.register_envs(robotics)
NAMES = {"open": "Open", "umaze": "UMaze", "medium": "Medium", "large": "Large"}
COLUMNS = ("observations", "actions", "next_observations", "terminals", "timeouts")
pytestmark = pytest.mark.filterwarnings("ignore:(`|env_spec is None):UserWarning", "ignore:.*set to True:UserWarning")


def theirs(layout, **settings):
    return gym.make(f"PointMaze_{NAMES[layout]}-v3", disable_env_checker=True, **settings)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_cell_of_every_map_lies_where_it_lies_there(layout):
    maze, env = load_map(layout), theirs(layout).unwrapped.maze
    np.testing.assert_array_equal(np.array(env.maze_map) == 1, maze.walls)
    for index, cell in enumerate(maze.free_cells):
        middle = env.cell_rowcol_to_xy(cell)
        np.testing.assert_allclose(to_ours(maze, middle), cell - 0.2, atol=1e-12)
        corners = middle + np.array([[-0.499, -0.499], [-0.499, 0.499], [0.499, -0.499], [0.499, 0.499]])
        assert (maze.cell_index(to_ours(maze, corners)) == index).all()
        assert all((env.cell_xy_to_rowcol(corner) == cell).all() for corner in corners)
    states = np.random.default_rng(0).normal(size=(100, 4))
    np.testing.assert_allclose(to_ours(maze, to_theirs(maze, states)), states, atol=1e-12)
    np.testing.assert_array_equal(
        to_ours(maze, to_theirs(maze, states[:, :2])), to_ours(maze, to_theirs(maze, states))[:, :2]
    )


def episodes_of(env, num=3, steps=40, seed=0):
    """Real episodes, as Minari's script cuts them: at the first success, else where they stop."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(num):
        observation, _ = env.reset(seed=seed + number)
        rows, actions, rewards, ends, cuts = [observation], [], [], [], []
        for _ in range(steps):
            action = generator.uniform(-1, 1, 2).astype(np.float32)
            observation, reward, terminated, _, info = env.step(action)
            rows.append(observation), actions.append(action), rewards.append(reward)
            ends.append(terminated), cuts.append(info["success"] and not terminated)
            if info["success"]:
                break
        joined = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        found.append(
            EpisodeBuffer(
                observations=joined, actions=np.stack(actions), rewards=rewards, terminations=ends, truncations=cuts
            )
        )
    return found


def published(tmp_path, monkeypatch, layout="large", **settings):
    """A folder of Minari's, with the environment's spec beside the data, as its script makes it."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = theirs(layout, **settings)
    buffers = episodes_of(env)
    minari.create_dataset_from_buffers("D4RL/pointmaze/some-v2", buffers, env=env)
    return tmp_path / "D4RL" / "pointmaze" / "some-v2", buffers


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_real_episodes_come_in_in_our_frame_and_obey_our_physics(layout, tmp_path, monkeypatch):
    folder, buffers = published(tmp_path, monkeypatch, layout)
    data = pointmaze_files.read(folder)
    assert data.metadata["environment"] == MAZE
    assert data.metadata["layout"] == layout
    assert data.metadata["pointmaze"]["id"] == f"PointMaze_{NAMES[layout]}-v3"
    maze = load_map(layout)
    assert maze.is_free(data.observations[:, :2]).all()
    first = buffers[0].observations["observation"][0]
    rows, cols = maze.walls.shape
    np.testing.assert_allclose(
        data.observations[0],
        [rows / 2 - 0.7 - first[1], first[0] + cols / 2 - 0.7, -first[3], first[2]],
        rtol=1e-6,
        atol=1e-6,
    )
    after = MazePhysics(maze, num_threads=1).step(data.observations.astype(float), data.actions)
    error = np.abs(after - data.next_observations).max(axis=1)
    assert np.median(error) < 1e-5  # off the walls, on which another MuJoCo is softer
    assert (error < 1e-5).mean() > 0.7
    rewards = np.concatenate([buffer.rewards for buffer in buffers])
    np.testing.assert_array_equal(data.rewards, rewards.astype(np.float32))
    for goal, buffer in zip(data.metadata["goals"], buffers, strict=True):
        assert maze.is_free(np.array(goal))
        np.testing.assert_allclose(to_theirs(maze, np.array(goal)), buffer.observations["desired_goal"][-1], atol=1e-9)


@pytest.mark.parametrize("settings", [{}, {"continuing_task": False}, {"reward_type": "dense"}])
def test_what_came_in_goes_out_as_it_was(settings, tmp_path, monkeypatch):
    folder, buffers = published(tmp_path, monkeypatch, "umaze", **settings)
    data = pointmaze_files.read(folder)
    pointmaze_files.write(data, tmp_path / "again-v0")
    again = minari.MinariDataset(tmp_path / "again-v0" / "data")
    assert stored_environment(tmp_path / "again-v0")["kwargs"] == stored_environment(folder)["kwargs"]
    assert again.observation_space == theirs("umaze").observation_space
    assert again.action_space == theirs("umaze").action_space
    for episode, buffer in zip(again, buffers, strict=True):
        for name, values in buffer.observations.items():
            start = 1 if name == "desired_goal" else 0
            np.testing.assert_allclose(episode.observations[name][start:], values[start:], rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(episode.actions, buffer.actions)
        np.testing.assert_allclose(episode.rewards, np.array(buffer.rewards, np.float32))
        assert episode.terminations.tolist() == [bool(end) for end in buffer.terminations]
    twice = pointmaze_files.read(tmp_path / "again-v0")
    for name in (*COLUMNS, "rewards"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(data, name), err_msg=name)
    assert twice.metadata["pointmaze"] == data.metadata["pointmaze"]
    np.testing.assert_allclose(twice.metadata["goals"], data.metadata["goals"], atol=1e-9)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_our_data_go_there_and_come_back_to_the_last_bit(layout, tmp_path):
    data = collect(2_000, seed=0, layout=layout)
    steps = []
    pointmaze_files.write(data, tmp_path / "own-v0", progress=lambda done, total: steps.append(done == total))
    assert steps[-1]
    again = pointmaze_files.read(tmp_path / "own-v0")
    for name in COLUMNS:
        assert getattr(again, name).tobytes() == getattr(data, name).tobytes(), name
    assert again.metadata["layout"] == layout
    stored = minari.MinariDataset(tmp_path / "own-v0" / "data")
    env = gym.make(stored.spec.env_spec)  # Minari can build it again
    assert env.observation_space == stored.observation_space
    maze = load_map(layout)
    cell = env.unwrapped.maze.cell_xy_to_rowcol(to_theirs(maze, np.array(maze.own_goal, dtype=float)))
    assert tuple(cell) == maze.own_goal
    assert len(env.unwrapped.maze.unique_goal_locations) == 1
    episode = stored[0]
    reward = env.unwrapped.compute_reward(
        episode.observations["achieved_goal"][1:], episode.observations["desired_goal"][1:], {}
    )
    np.testing.assert_array_equal(episode.rewards, reward)


def _edited(folder, **changes):
    path = folder / "data" / "metadata.json"
    metadata = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in metadata.items() if value is not None}))


def _spec(folder, **changes):
    spec = stored_environment(folder)
    return json.dumps(
        {
            **spec,
            **{name: value for name, value in changes.items() if name != "kwargs"},
            "kwargs": changes.get("kwargs", spec["kwargs"]),
        }
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kwargs": {"maze_map": [[1, 1, 1], [1, 0, 1], [1, 1, 1]]}}, "map of 3 x 3 cells is none of those known here"),
        ({"kwargs": {"maze_map": "large"}}, "maze_map is not a table"),
        ({"kwargs": {"maze_map": [[1, 0], [1]]}}, "maze_map is not a table"),
        ({"kwargs": {"noise": float("nan")}}, "the arguments of PointMaze_Large-v3 must be finite"),
        ({"kwargs": {}, "id": "PointMaze_Own-v3"}, "does not say what the map of PointMaze_Own-v3 is"),
        ({"kwargs": None, "id": "PointMaze_Tiny-v3"}, "does not say what the map of PointMaze_Tiny-v3 is"),
        ({"kwargs": {}, "id": "PointMaze_Medium-v3"}, "of its positions lie in walls of medium"),
    ],
)
def test_another_map_is_refused_with_the_reason(changes, message, tmp_path):
    pointmaze_files.write(collect(2_000, seed=0), tmp_path / "own-v0")
    _edited(tmp_path / "own-v0", env_spec=_spec(tmp_path / "own-v0", **changes))
    with pytest.raises(DatasetError, match=f"own-v0: .*{message}") as caught:
        pointmaze_files.read(tmp_path / "own-v0")
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("own-v0") == 1


def test_a_goal_that_is_no_number_is_refused(tmp_path):
    pointmaze_files.write(collect(500, seed=0), tmp_path / "own-v0")
    with h5py.File(tmp_path / "own-v0" / "data" / "main_data.hdf5", "r+") as file:
        file["episode_0/observations/desired_goal"][-1] = np.nan
    with pytest.raises(DatasetError, match="own-v0: desired_goal must be finite"):
        pointmaze_files.read(tmp_path / "own-v0")


def test_the_map_is_taken_from_the_name_where_nothing_else_tells_it(tmp_path):
    pointmaze_files.write(collect(2_000, seed=0), tmp_path / "own-v0")
    _edited(tmp_path / "own-v0", env_spec=_spec(tmp_path / "own-v0", kwargs={}, id="PointMaze_Large_Diverse_GR-v3"))
    assert pointmaze_files.read(tmp_path / "own-v0").metadata["layout"] == "large"


def test_an_unknown_frame_is_refused(tmp_path):
    """PointMaze's observations without a word on the environment: the map, and with it the frame, is not known."""
    pointmaze_files.write(collect(500, seed=0), tmp_path / "own-v0")
    _edited(tmp_path / "own-v0", env_spec=None)
    with pytest.raises(DatasetError, match="neither its map nor its frame is known"):
        pointmaze_files.read(tmp_path / "own-v0")


def test_what_is_no_pointmaze_is_left_to_others(tmp_path):
    pointmaze_files.write(collect(500, seed=0), tmp_path / "own-v0")
    _edited(tmp_path / "own-v0", env_spec=_spec(tmp_path / "own-v0", id="AntMaze_Large-v4"))
    assert pointmaze_files.read(tmp_path / "own-v0") is None
    assert pointmaze_files.read(tmp_path / "nothing.hdf5") is None


def test_data_of_something_else_are_not_written(tmp_path):
    data = collect(500, seed=0)
    with pytest.raises(DatasetError, match=r"ravens with observations .* are not of a maze"):
        pointmaze_files.write(replace(data, metadata={"environment": "ravens"}), tmp_path / "own-v0")
    moved = data.observations + np.float32([4, 4, 0, 0])
    with pytest.raises(DatasetError, match="of another map or frame"):
        pointmaze_files.write(replace(data, observations=moved), tmp_path / "own-v0")
    hostile = {**data.metadata, "goals": [["x"], 3], "pointmaze": {"id": "x y", "kwargs": {}}}
    pointmaze_files.write(replace(data, metadata=hostile), tmp_path / "own-v0")
    assert stored_environment(tmp_path / "own-v0")["id"] == "PointMaze_Large-v3"
