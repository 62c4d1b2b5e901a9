"""Data from a file that is of something else is refused with the reason; answers that are all ties are survived."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pluralbench.benchmarks.stages.prepare import generator_for
from pluralbench.envs import DatasetError, MultiGoalTask, environments, load_or_collect, save_transitions
from pluralbench.envs.dataset_files import check_fits


@pytest.fixture(scope="module")
def data(data_dir):
    return load_or_collect(environments.get("maze"), 1_000, 0, data_dir)


def standing_still(data, episode=None):
    """The data in two episodes, in all or in one of which the ball lies where it is."""
    half = len(data) // 2
    rows = {None: slice(None), 0: slice(0, half), 1: slice(half, None)}[episode]
    observations, after = data.observations.copy(), data.next_observations.copy()
    observations[rows] = after[rows] = (1.0, 1.0, 0.0, 0.0)
    ends = np.zeros(len(data), np.bool_)
    ends[[half - 1, -1]] = True
    return replace(data, observations=observations, next_observations=after, timeouts=ends)


@pytest.mark.parametrize("name", environments.names())
def test_every_environments_own_data_fits_it(name, data_dir):
    environment = environments.get(name)
    dataset = load_or_collect(environment, 200, 0, data_dir)
    task = environment.make_task()
    check_fits(dataset, task)
    assert task.possible(dataset.observations).all()
    assert task.possible(dataset.next_observations).all()
    assert not task.possible(dataset.observations + 100).any()
    with pytest.raises(DatasetError, match=f"100 % of its observations cannot be made in {task.name}, such as"):
        check_fits(replace(dataset, observations=dataset.observations + 100), task)
    with pytest.raises(DatasetError, match=f"actions of {task.name} are .*, .* % of these are not, such as"):
        check_fits(replace(dataset, actions=dataset.actions * 10), task)


@pytest.mark.parametrize(("shift", "share"), [((1.0, 1.0), 0.6), ((-4.5, -6.0), 0.3), ((0.5, 0.0), 0.8)])
def test_the_frame_of_another_library_is_known_by_its_walls(shift, share, data):
    task = environments.get("maze").make_task()
    moved = data.observations.copy()
    moved[:, :2] += shift
    assert task.possible(moved).mean() < share
    with pytest.raises(DatasetError, match="another library, with another frame or other units"):
        check_fits(replace(data, observations=moved), task)


def test_an_environment_that_says_nothing_takes_all():
    assert MultiGoalTask().possible(np.full((3, 2, 5), 1e9)).tolist() == [[True, True]] * 3


def test_a_file_in_another_frame_is_refused_before_any_fit(data, run, tmp_path, capsys):
    moved = data.observations.copy()
    moved[:, :2] -= 4.5
    save_transitions(replace(data, observations=moved), tmp_path / "moved.hdf5")
    assert run("maze", "--preset", "smoke", "--dataset", tmp_path / "moved.hdf5") == 2
    said = capsys.readouterr().err
    assert "moved.hdf5: " in said
    assert "cannot be made in maze" in said
    assert said.count("\n") == 1


def test_users_who_never_prefer_anything_teach_nothing(data, run, tmp_path, capsys):
    save_transitions(standing_still(data), tmp_path / "still.hdf5")
    assert run("maze", "--preset", "smoke", "--methods", "btl", "--dataset", tmp_path / "still.hdf5") == 2
    assert "all 1024 answers of the train users are ties or skipped" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_an_accuracy_that_nobody_can_know_is_said_to_be_unknown(data, run, tmp_path, capsys):
    """Every answer about the one episode that is held out is a tie."""
    held_out = int(generator_for(0, "held-out episodes").permutation(2)[0])
    save_transitions(standing_still(data, held_out), tmp_path / "still.hdf5")
    few = ("--set", "evaluation.episodes=1", "evaluation.num_curve_points=1", "iql.num_updates=2")
    arguments = ("--methods", "btl", "--suite", "own", "--dataset", tmp_path / "still.hdf5", *few)
    assert run("maze", "--preset", "smoke", *arguments) == 0
    assert "accuracy unknown: all further answers of test users are ties" in capsys.readouterr().out
    summary = json.loads((tmp_path / "own/maze/btl/seed_0/summary.json").read_text())
    assert summary["reward_model"]["accuracy"] is None
