import json
import sys
from contextlib import nullcontext
from dataclasses import replace

import gymnasium as gym
import h5py
import numpy as np
import pytest

from pluralbench.envs import environments
from pluralbench.envs.collection import collect
from pluralbench.envs.foreign_data import environment_of, write_minari_folder
from pluralbench.envs.maze.maps import LayoutError
from pluralbench.envs.maze.reference_returns import MEASURED
from pluralbench.envs.maze.waypoint_policy import collect as collect_maze
from pluralbench.envs.minari_export import export_minari
from pluralbench.envs.minari_files import import_minari
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.envs.vectors import make_single

minari = pytest.importorskip("minari")


@pytest.fixture
def dataset():
    """Three episodes: one that terminates, one of a single step that is cut short, one that the data cuts."""
    rng = np.random.default_rng(0)
    lengths = [5, 1, 4]
    states = [rng.normal(size=(length + 1, 3)).astype(np.float32) for length in lengths]
    terminals, timeouts = np.zeros(10, bool), np.zeros(10, bool)
    terminals[4], timeouts[5] = True, True
    return TransitionDataset(
        observations=np.concatenate([part[:-1] for part in states]),
        actions=rng.normal(size=(10, 2)).astype(np.float32),
        next_observations=np.concatenate([part[1:] for part in states]),
        rewards=rng.normal(size=10).astype(np.float32),
        terminals=terminals,
        timeouts=timeouts,
        metadata={"environment": "made up", "seed": 3},
    )


def _assert_equal(found, expected):
    for name in ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts"):
        assert getattr(found, name).dtype == getattr(expected, name).dtype
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert found.metadata == expected.metadata


def test_there_and_back_changes_nothing(dataset, tmp_path):
    steps = []
    export_minari(dataset, tmp_path / "made-up-v0", progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    _assert_equal(import_minari(tmp_path / "made-up-v0"), dataset)
    _assert_equal(import_minari(tmp_path / "made-up-v0" / "data"), dataset)


def test_minari_itself_reads_the_export(dataset, tmp_path, monkeypatch):
    export_minari(dataset, tmp_path / "made-up-v0", gym_id="CartPole-v1")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    loaded = minari.load_dataset("made-up-v0")
    assert (loaded.total_episodes, loaded.total_steps) == (3, 10)
    assert loaded.spec.env_spec.id == "CartPole-v1"
    episode = loaded[0]
    assert episode.observations.shape == (6, 3)
    np.testing.assert_array_equal(episode.observations[1:], dataset.next_observations[:5])
    assert episode.terminations.tolist() == [False] * 4 + [True]


@pytest.mark.filterwarnings("ignore:(`|env_spec is None):UserWarning")
def test_a_dataset_that_minari_made_is_read(tmp_path, monkeypatch):
    """Dictionary observations, discrete actions, and an episode that ends without a flag."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    from gymnasium import spaces

    def episode(start, steps, terminated):
        return minari.data_collector.EpisodeBuffer(
            observations={
                "observation": np.arange(start, start + steps + 1, dtype=np.float64)[:, None],
                "desired_goal": np.zeros((steps + 1, 2)),
            },
            actions=np.arange(steps) % 3,
            rewards=np.ones(steps),
            terminations=np.arange(steps) == (steps - 1 if terminated else -1),
            truncations=np.zeros(steps, bool),
        )

    goals = spaces.Box(-1, 1, (2,), np.float64)
    minari.create_dataset_from_buffers(
        "theirs/maze-v1",
        [episode(0, 4, True), episode(10, 3, False), episode(20, 2, True)],
        observation_space=spaces.Dict({"observation": spaces.Box(-9, 99, (1,), np.float64), "desired_goal": goals}),
        action_space=spaces.Discrete(3),
    )
    loaded = import_minari(tmp_path / "theirs" / "maze-v1")
    assert loaded.observations[:, 0].tolist() == [0, 1, 2, 3, 10, 11, 12, 20, 21]
    assert loaded.next_observations[:, 0].tolist() == [1, 2, 3, 4, 11, 12, 13, 21, 22]
    assert loaded.actions.argmax(axis=1).tolist() == [0, 1, 2, 0, 0, 1, 2, 0, 1]
    assert loaded.actions.shape == (9, 3)
    assert loaded.episode_bounds.tolist() == [[0, 4], [4, 7], [7, 9]]
    assert np.flatnonzero(loaded.terminals).tolist() == [3, 8]
    assert np.flatnonzero(loaded.timeouts).tolist() == [6]
    assert loaded.metadata == {"source": "theirs/maze-v1", "layout": "Minari"}


def test_episodes_that_are_no_chains_cannot_be_exported(dataset, tmp_path):
    dataset.next_observations[1] += 1
    with pytest.raises(DatasetError, match="next_observations of row 1 are not row 2's"):
        export_minari(dataset, tmp_path / "made-up-v0")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_names_are_checked(dataset, tmp_path):
    (tmp_path / "made-up-v0").mkdir()
    with pytest.raises(DatasetError, match="exists already"):
        export_minari(dataset, tmp_path / "made-up-v0")
    with pytest.raises(DatasetError, match="with a version"):
        export_minari(dataset, tmp_path / "made-up")


def test_an_interrupted_export_leaves_nothing(dataset, tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_minari(dataset, tmp_path / "made-up-v0", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["nothing there", "no json", "truncated data", "no episode"])
def test_a_damaged_dataset_is_named(dataset, tmp_path, damage):
    folder = tmp_path / "made-up-v0"
    if damage != "nothing there":
        export_minari(dataset, folder)
    if damage == "no json":
        (folder / "data" / "metadata.json").write_text("{")
    if damage == "truncated data":
        path = folder / "data" / "main_data.hdf5"
        path.write_bytes(path.read_bytes()[:500])
    if damage == "no episode":
        metadata = json.loads((folder / "data" / "metadata.json").read_text())
        (folder / "data" / "metadata.json").write_text(json.dumps({**metadata, "total_episodes": 4}))
    with pytest.raises(DatasetError, match=r"made-up-v0: not a Minari dataset, or a damaged one") as caught:
        import_minari(folder)
    assert "\n" not in str(caught.value)


def test_a_dataset_cannot_make_us_run_code(dataset, tmp_path):
    """Without spaces in the file Minari builds the environment that the file names, from any module."""
    folder = tmp_path / "made-up-v0"
    export_minari(dataset, folder, gym_id="CartPole-v1")
    path = folder / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["action_space"]
    metadata["env_spec"] = metadata["env_spec"].replace("gymnasium.envs.classic_control.cartpole", "this")
    path.write_text(json.dumps(metadata))
    with pytest.raises(DatasetError, match="does not say what its spaces are"):
        import_minari(folder)
    assert "this" not in sys.modules


def _external_storage(group, folder):
    group.create_dataset("observations", (6, 3), "f4", external=[(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)])


def _external_link(group, folder):
    group["observations"] = h5py.ExternalLink(str(folder / "secret.hdf5"), "observations")


def _soft_link(group, folder):
    group["observations"] = h5py.SoftLink("/episode_1/observations")


def _virtual(group, folder):
    layout = h5py.VirtualLayout((6, 3), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "secret.hdf5"), "observations", (6, 3))
    group.create_virtual_dataset("observations", layout)


def _sequences(group, folder):
    group.create_dataset("observations", (6,), h5py.vlen_dtype(np.float32))


def _declared(group, folder):
    group.create_dataset("observations", (10**12, 3), "f4", chunks=(100, 3))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_external_storage, "lies in other files"),
        (_external_link, "is a link to elsewhere"),
        (_soft_link, "is a link to elsewhere"),
        (_virtual, "lies in other files"),
        (_sequences, "is not of numbers"),
        (_declared, "declares"),
    ],
)
def test_no_other_file_is_read_and_no_size_believed(spoil, message, dataset, tmp_path):
    export_minari(dataset, tmp_path / "made-up-v0")
    (tmp_path / "secret").write_bytes(b"nobody's business" * 20)
    with h5py.File(tmp_path / "secret.hdf5", "w") as file:
        file["observations"] = np.ones((6, 3), np.float32)
    with h5py.File(tmp_path / "made-up-v0" / "data" / "main_data.hdf5", "a") as file:
        del file["episode_0/observations"]
        spoil(file["episode_0"], tmp_path)
    with pytest.raises(DatasetError, match=f"made-up-v0: not a Minari dataset, or a damaged one .*{message}") as caught:
        import_minari(tmp_path / "made-up-v0")
    assert "\n" not in str(caught.value)


def test_a_link_to_an_episode_elsewhere_is_not_followed(dataset, tmp_path):
    export_minari(dataset, tmp_path / "made-up-v0")
    with h5py.File(tmp_path / "made-up-v0" / "data" / "main_data.hdf5", "a") as file:
        file.move("episode_0", "elsewhere")
        file["episode_0"] = h5py.SoftLink("/elsewhere")
    with pytest.raises(DatasetError, match="episode_0 is a link to elsewhere"):
        import_minari(tmp_path / "made-up-v0")


def test_what_is_not_asked_for_is_not_read(dataset, tmp_path):
    """Infos of texts, for example, which some datasets have; and Minari's reader would read these of another file."""
    export_minari(dataset, tmp_path / "made-up-v0")
    with h5py.File(tmp_path / "made-up-v0" / "data" / "main_data.hdf5", "a") as file:
        file["episode_0/infos/texts"] = ["a", "b"]
        file["episode_0/infos/other"] = h5py.ExternalLink("secret.hdf5", "x")
    _assert_equal(import_minari(tmp_path / "made-up-v0"), dataset)


def _edit(folder, **changes):
    path = folder / "data" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


BOX = {"type": "Box", "dtype": "float32", "low": [], "high": []}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action_space": json.dumps({"type": "Discrete", "n": 9, "start": 0})}, "actions of the shape"),
        ({"action_space": json.dumps({"type": "Discrete", "n": 0, "start": 0})}, "0 choices"),
        ({"action_space": json.dumps({"type": "Discrete", "n": 10**400, "start": 0})}, "choices"),
        ({"action_space": json.dumps({"type": "Discrete", "n": 3})}, "lacks 'start'"),
        ({"action_space": json.dumps({"type": "Text"})}, "actions of the type Text"),
        ({"action_space": json.dumps({"type": "Dict", "subspaces": {}})}, "actions of the type Dict"),
        ({"action_space": json.dumps({**BOX, "shape": [3]})}, r"actions of the shape \(5, 2\) for 5 steps"),
        ({"action_space": json.dumps({**BOX, "shape": [-1]})}, "actions of the shape"),
        ({"action_space": "[" * 9_000}, "nested too deeply"),
        ({"action_space": "{"}, "its spaces cannot be read"),
        ({"action_space": 5}, "its spaces cannot be read"),
        ({"observation_space": json.dumps({"type": "Dict", "subspaces": {"x": BOX}})}, "lacks 'observation'"),
        ({"observation_space": json.dumps([1])}, "its spaces cannot be read"),
        ({"total_episodes": 10**15}, "episode_3 missing"),
        ({"total_episodes": "3"}, "should name the number of episodes"),
        ({"data_format": "arrow"}, "and the format hdf5"),
        ({"pluralbench_metadata": [1]}, "pluralbench_metadata should be a JSON object"),
    ],
)
def test_impossible_words_are_named(changes, message, dataset, tmp_path):
    export_minari(dataset, tmp_path / "made-up-v0")
    _edit(tmp_path / "made-up-v0", **changes)
    with pytest.raises(DatasetError, match=rf"made-up-v0: .*({message})") as caught:
        import_minari(tmp_path / "made-up-v0")
    assert "\n" not in str(caught.value)


def _one_episode(folder, actions, space):
    """A dataset of one number of observation, whose steps are these actions."""
    (folder / "data").mkdir(parents=True)
    spaces = {"observation_space": json.dumps({**BOX, "shape": [1]}), "action_space": json.dumps(space)}
    (folder / "data" / "metadata.json").write_text(json.dumps({**spaces, "total_episodes": 1}))
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        file["episode_0/observations"] = np.zeros((len(actions) + 1, 1))
        file["episode_0/actions"] = actions
        for name in ("rewards", "terminations", "truncations"):
            file[f"episode_0/{name}"] = np.zeros(len(actions))
    return folder


@pytest.mark.parametrize(
    ("choices", "actions", "message"),
    [
        (10**11, [0, 1], r"declares 8e\+11 bytes of content"),
        (3, [0, 5], "actions that are none of 3 choices"),
        (3, [0, 2], "actions that are none of 3 choices"),
        (3, [-1, 0], "actions that are none of 3 choices"),
        (3, [0.5, 1.0], "actions that are none of 3 choices"),
    ],
)
def test_choices_are_those_that_there_are(choices, actions, message, tmp_path):
    right = _one_episode(tmp_path / "a-v0", np.array([1, 3]), {"type": "Discrete", "n": 3, "start": 1})
    assert import_minari(right).actions.tolist() == [[1, 0, 0], [0, 0, 1]]
    space = {"type": "Discrete", "n": choices, "start": 1 if choices == 3 and actions == [0, 2] else 0}
    with pytest.raises(DatasetError, match=message):
        import_minari(_one_episode(tmp_path / "b-v0", np.array(actions), space))


def test_one_large_episode_many_times_over_is_refused(tmp_path):
    """A file of some kB whose episodes are all the same one."""
    folder = tmp_path / "bomb-v0"
    (folder / "data").mkdir(parents=True)
    spaces = {name: json.dumps({**BOX, "shape": [1]}) for name in ("observation_space", "action_space")}
    (folder / "data" / "metadata.json").write_text(json.dumps({**spaces, "total_episodes": 500}))
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        episode = file.create_group("episode_0")
        for name in ("observations", "actions", "rewards", "terminations", "truncations"):
            steps = 100_000 + (name == "observations")
            shape = (steps, 1) if name in ("observations", "actions") else (steps,)
            episode.create_dataset(name, shape, "f4", chunks=True)
        for number in range(1, 500):
            file[f"episode_{number}"] = episode
    with pytest.raises(DatasetError, match=r"declares 1.35e\+08 bytes of content"):
        import_minari(folder)


def test_without_minari_datasets_are_read_and_the_error_says_what_to_install_to_write_one(
    dataset, tmp_path, monkeypatch
):
    export_minari(dataset, tmp_path / "a-v0")
    monkeypatch.setitem(sys.modules, "minari", None)
    _assert_equal(import_minari(tmp_path / "a-v0"), dataset)
    with pytest.raises(DatasetError, match=r"pip install pluralbench\[minari\]"):
        export_minari(dataset, tmp_path / "b-v0")


OWN_ENVIRONMENTS = [name for name in environments.registered() if name != "maze-d4rl-like"]


@pytest.mark.parametrize("name", OWN_ENVIRONMENTS)
def test_an_environments_data_are_exported_with_its_own_spaces(name, tmp_path):
    """Bounds where it has some, and choices as choices; and all of it comes back."""
    environment = environments.get(name)
    data = collect(environment, 60, 0)
    write_minari_folder(data, tmp_path / "own-v0")
    stored = minari.MinariDataset(tmp_path / "own-v0" / "data")
    env = make_single(environment)
    assert stored.observation_space == env.observation_space
    assert stored.action_space == env.action_space
    assert stored.spec.env_spec.id == environment.gym_id
    for episode in stored:
        assert all(row in stored.observation_space for row in episode.observations)
        assert all(action in stored.action_space for action in episode.actions)
        if environment.make_task().discrete_actions:
            assert episode.actions.dtype == np.int64
            assert episode.actions[0].shape == ()
    env.close()
    _assert_equal(import_minari(tmp_path / "own-v0"), data)
    again = gym.make(stored.spec.env_spec)  # as Minari builds it again
    assert again.observation_space == stored.observation_space
    again.close()


def test_another_layout_has_its_own_bounds_and_reference_scores(tmp_path):
    write_minari_folder(collect_maze(500, 0, layout="umaze"), tmp_path / "own-v0")
    stored = minari.MinariDataset(tmp_path / "own-v0" / "data")
    assert stored.observation_space.high.tolist() == pytest.approx([3.3, 3.3, 6, 6])
    assert stored.spec.env_spec.kwargs == {"layout": "umaze"}
    scores = MEASURED["umaze"]
    returns = np.array([scores.random, scores.expert])
    np.testing.assert_allclose(minari.get_normalized_score(stored, returns), [0, 1])


def test_data_that_leave_the_bounds_are_exported_without(tmp_path):
    data = collect_maze(500, 0)
    data.observations[7, 0] = data.next_observations[6, 0] = 99
    write_minari_folder(data, tmp_path / "own-v0")
    stored = minari.MinariDataset(tmp_path / "own-v0" / "data")
    assert not stored.observation_space.is_bounded()
    assert stored.action_space.is_bounded()
    _assert_equal(import_minari(tmp_path / "own-v0"), data)


def test_rows_that_are_no_choices_are_named(tmp_path):
    data = collect(environments.get("habitat-tidy"), 20, 0)
    data.actions[3] = 0.5
    with pytest.raises(
        DatasetError, match="the 2 choices are stored as rows with a single 1; actions of row 3 are not"
    ):
        write_minari_folder(data, tmp_path / "own-v0")
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_here_made_has_no_home(dataset, tmp_path):
    assert environment_of(dataset.metadata) is environment_of({}) is environment_of({"environment": ["maze"]}) is None
    assert environment_of({"environment": "some_file.py:TABLE"}) is None
    write_minari_folder(dataset, tmp_path / "own-v0")
    assert not minari.MinariDataset(tmp_path / "own-v0" / "data").observation_space.is_bounded()
    for layout in ("../large", ["large"]):
        hostile = replace(dataset, metadata={"environment": "maze", "layout": layout})
        with pytest.raises((DatasetError, LayoutError)) if layout == "../large" else nullcontext():
            write_minari_folder(hostile, tmp_path / f"own-{len(layout)}-v0")
