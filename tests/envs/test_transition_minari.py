import json
import sys

import numpy as np
import pytest

from pluralbench.envs.minari_files import export_minari, import_minari
from pluralbench.envs.transitions import DatasetError, TransitionDataset

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


def test_without_minari_the_error_says_what_to_install(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    for action in (lambda: export_minari(dataset, tmp_path / "a-v0"), lambda: import_minari(tmp_path)):
        with pytest.raises(DatasetError, match=r"pip install pluralbench\[minari\]"):
            action()
