"""`pluralbench data convert` and `inspect` with D4RL's maze2d, PointMaze and Minari: in, out, refused in one line."""

import json

import h5py
import numpy as np
import pytest

from pluralbench.benchmarks.commands.cli import main
from pluralbench.envs import load_transitions, save_transitions
from pluralbench.envs.maze.waypoint_policy import collect

COLUMNS = ("observations", "actions", "next_observations", "terminals", "timeouts")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory with `maze.hdf5`, data of ours that visit the large maze."""
    monkeypatch.chdir(tmp_path)
    save_transitions(collect(4_000, seed=0), "maze.hdf5")
    return tmp_path


def assert_same(first, second, names=(*COLUMNS, "rewards")):
    one, other = load_transitions(first), load_transitions(second)
    for name in names:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def refused(capsys, *arguments):
    """The one line that a command ends with."""
    assert main(["data", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_maze2d_files_go_out_and_come_in(here, capsys):
    assert main(["data", "convert", "maze.hdf5", "maze2d-large.hdf5", "--as", "maze2d"]) == 0
    with h5py.File("maze2d-large.hdf5") as file:
        assert "next_observations" not in file
        assert "infos/qpos" in file
    assert main(["data", "convert", "maze2d-large.hdf5", "again.hdf5"]) == 0
    assert_same("maze.hdf5", "again.hdf5")
    metadata = load_transitions("again.hdf5").metadata
    assert metadata["layout"] == "large"
    assert metadata["reference_returns"]["d4rl"]["expert"] == 273.99
    capsys.readouterr()
    for path in ("maze.hdf5", "maze2d-large.hdf5", "again.hdf5"):
        assert main(["data", "inspect", path]) == 0
        told = capsys.readouterr().out
        assert "scores        100 (return - random) / (expert - random), of episodes of 800 steps" in told
        assert "d4rl: random 6.7, expert 273.99 (d4rl/infos.py" in told
        assert "pluralbench: random 11.5, expert 551.5 (4,000 episodes, seed 0" in told


def test_pointmaze_goes_out_and_comes_in(here, capsys):
    pytest.importorskip("minari")
    assert main(["data", "convert", "maze.hdf5", "pointmaze-large-v0", "--as", "pointmaze"]) == 0
    metadata = json.loads((here / "pointmaze-large-v0" / "data" / "metadata.json").read_text())
    assert json.loads(metadata["env_spec"])["id"] == "PointMaze_Large-v3"
    assert main(["data", "convert", "pointmaze-large-v0", "again.hdf5"]) == 0
    assert_same("maze.hdf5", "again.hdf5", COLUMNS)
    assert main(["data", "convert", "pointmaze-large-v0", "maze2d.hdf5", "--as", "maze2d"]) == 0
    with h5py.File("maze2d.hdf5") as file:
        assert (file["infos/goal"][:] == (7, 9)).all()  # PointMaze's goal, which here is the maze's own
    capsys.readouterr()
    assert main(["data", "inspect", "pointmaze-large-v0"]) == 0
    assert "format        pointmaze" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "actions"), [("habitat-tidy", "Discrete"), ("ravens", "Box")])
def test_minari_folders_have_the_environments_spaces(name, actions, tmp_path, monkeypatch):
    pytest.importorskip("minari")
    monkeypatch.chdir(tmp_path)
    assert main(["data", "generate", name, "own.hdf5", "--transitions", "30"]) == 0
    assert main(["data", "convert", "own.hdf5", "own-v0"]) == 0
    metadata = json.loads((tmp_path / "own-v0" / "data" / "metadata.json").read_text())
    assert json.loads(metadata["action_space"])["type"] == actions
    assert np.isfinite(json.loads(metadata["observation_space"])["high"]).all()
    assert main(["data", "convert", "own-v0", "again.hdf5"]) == 0
    assert_same("own.hdf5", "again.hdf5")


def test_an_environment_can_be_named_for_data_that_name_none(here):
    pytest.importorskip("minari")
    data = load_transitions("maze.hdf5")
    data.metadata.clear()
    save_transitions(data, "bare.hdf5")
    for options, bounded in (((), False), (("--environment", "maze"), True)):
        assert main(["data", "convert", "bare.hdf5", f"own-{len(options)}-v0", *options]) == 0
        metadata = json.loads((here / f"own-{len(options)}-v0" / "data" / "metadata.json").read_text())
        assert bool(np.isfinite(json.loads(metadata["observation_space"])["high"]).all()) is bounded


def test_what_cannot_be_is_refused_in_one_line(here, capsys):
    assert "maze2d, pointmaze" in refused(capsys, "convert", "maze.hdf5", "own.hdf5", "--as", "maze3d")
    assert "--environment is for folders" in refused(
        capsys, "convert", "maze.hdf5", "own.hdf5", "--environment", "ravens"
    )
    moved = load_transitions("maze.hdf5")
    moved.observations[:, :2] -= 4.5
    save_transitions(moved, "moved.hdf5")
    assert "of another map or frame" in refused(capsys, "convert", "moved.hdf5", "own.hdf5", "--as", "maze2d")
    assert main(["data", "convert", "maze.hdf5", "maze2d.hdf5", "--as", "maze2d"]) == 0
    with h5py.File("maze2d.hdf5", "r+") as file:
        file["observations"][:] -= np.float32([4.5, 6, 0, 0])
    capsys.readouterr()
    assert "of another map or frame" in refused(capsys, "convert", "maze2d.hdf5", "own.hdf5")
    assert not (here / "own.hdf5").exists()
    assert main(["data", "inspect", "maze2d.hdf5"]) == 0  # what cannot be converted can be looked at
    told = capsys.readouterr().out
    assert "D4RL maze2d" in told
    assert "not converted maze2d.hdf5: 90 % of its positions lie in walls of large: it is of another map" in told


def test_pairs_are_not_made_of_transitions(here, capsys):
    assert "holds transitions, and .pairs.npz is for preferences" in refused(
        capsys, "convert", "maze.hdf5", "m.pairs.npz"
    )
    assert not (here / "m.pairs.npz").exists()


def test_generate_says_where_it_wrote(here, capsys):
    assert main(["data", "generate", "maze", "new.h5", "--transitions", "300"]) == 0
    assert capsys.readouterr().out.endswith("wrote new.h5\n")


def test_a_folder_as_dataset_says_what_to_do(here, run, capsys):
    (here / "folder-v0").mkdir()
    assert run("maze", "--preset", "smoke", "--dataset", here / "folder-v0") == 2
    assert "is a folder: `pluralbench data convert` makes a file of Minari's data" in capsys.readouterr().err


def test_preferences_have_no_such_formats(here, capsys):
    with h5py.File("answers.hdf5", "w") as file:
        file["segments"] = np.zeros(3)
    for option in ("--as", "--environment"):
        said = refused(capsys, "convert", "answers.hdf5", "own.npz", option, "maze")
        assert "answers.hdf5 holds preferences; --as and --environment are for transitions" in said


OWN_FORMAT = """
import json
import numpy as np
import gymnasium as gym
from dataclasses import replace
from pluralbench.envs import environments
from pluralbench.envs.environments import DataFormat
from pluralbench.envs.transition_files import load_transitions

def read(path, progress=None):
    return load_transitions(path.with_suffix(".hdf5")) if path.suffix == ".mine" else None

def write(dataset, path, progress=None):
    path.write_text(json.dumps({"rows": len(dataset)}))

MINE = replace(environments.get("maze"), name="mine", formats={"mine": DataFormat("mine alone", read, write)})
BARE = replace(environments.get("maze"), name="bare", formats={})
"""


def test_an_environment_from_a_file_brings_its_formats(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN_FORMAT)
    assert main(["data", "generate", "maze", "maze.hdf5", "--transitions", "1000"]) == 0
    own = ["--environment", "own.py:MINE"]
    assert main(["data", "convert", "maze.hdf5", "maze.mine", "--as", "mine", *own]) == 0
    assert json.loads((tmp_path / "maze.mine").read_text()) == {"rows": 1000}
    assert main(["data", "convert", "maze.mine", "again.hdf5", *own]) == 0
    assert len(load_transitions(tmp_path / "again.hdf5")) == 1000
    assert main(["data", "convert", "maze.hdf5", "other.mine", "--as", "mine"]) == 2
    assert "unknown data format 'mine'" in capsys.readouterr().err
    assert main(["data", "convert", "maze.hdf5", "x.hdf5", "--environment", "own.py:BARE"]) == 2
    assert "bare brings no format of its own" in capsys.readouterr().err
