"""Our episodes through habitat-lab's interface give what our own environments give.

Where habitat-lab is installed these tests run on it, and else on a stand-in; likewise with habitat-sim below it. The
names of the tests say on which: `python -m pytest tests/envs/test_habitat_lab.py -vv`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import re
import sys
import types
from pathlib import Path

import habitat_double
import habitat_sim_names
import numpy as np
import pytest
from test_household_episodes import save_episodes

from pluralbench.envs.household.environment import ActionError
from pluralbench.envs.household.episodes import EpisodeError
from pluralbench.envs.household.flat import CONTAINERS, PLACES
from pluralbench.envs.household.rearrange import HabitatRearrange
from pluralbench.envs.household.simulator import SimulatorError, SimulatorNotInstalledError
from pluralbench.envs.household.tidy import HabitatTidy
from pluralbench.envs.multigoal import GoalError
from pluralbench.errors import InputError

try:
    VERSION = importlib.metadata.version("habitat-lab")
except importlib.metadata.PackageNotFoundError:
    VERSION = ""
HAS_SIM = importlib.util.find_spec("habitat_sim") is not None
LAB = f"habitat-lab {VERSION}" if VERSION else "stand-in of habitat-lab"
SIM = "habitat-sim" if HAS_SIM else "stand-in of habitat-sim"
NEEDS_LAB = pytest.mark.skipif(not VERSION, reason='`pip install "pluralbench[habitat-lab]"` installs habitat-lab')

OURS = {"rearrange": HabitatRearrange, "tidy": HabitatTidy}
GOALS = {"rearrange": (3, 0, 4, 1, 2), "tidy": (0, 1, 0, 0, 0)}
PACKAGE = "pluralbench.envs.household.habitat_lab"


def forget(*roots: str) -> None:
    for name in [name for name in sys.modules if any(name == root or name.startswith(f"{root}.") for root in roots)]:
        del sys.modules[name]


@pytest.fixture(scope="module", params=[LAB])
def lab():
    """`habitat`, which the tests of this file share, and our package on it."""
    with pytest.MonkeyPatch.context() as patch:
        if VERSION and not HAS_SIM:
            patch.setattr(sys, "meta_path", [habitat_sim_names.Finder(), *sys.meta_path])
        if not VERSION:
            double = pytest.importorskip("habitat_lab_double", reason="the stand-in reads YAML with PyYAML")
            for name, module in double.modules().items():
                patch.setitem(sys.modules, name, module)
        if not VERSION and not HAS_SIM:
            for name, module in habitat_double.modules().items():
                patch.setitem(sys.modules, name, module)
        forget(PACKAGE)
        habitat = importlib.import_module("habitat")
        importlib.import_module("habitat.gym")
        yield types.SimpleNamespace(habitat=habitat, ours=importlib.import_module(PACKAGE))
        forget(PACKAGE)
        if VERSION and not HAS_SIM:
            forget("habitat", *habitat_sim_names.ROOTS)


@pytest.fixture(scope="module", params=["pybullet", pytest.param("habitat", id=SIM)])
def backend(request):
    return request.param


@pytest.fixture(params=OURS)
def task(request):
    return request.param


@pytest.fixture
def file(task, tmp_path):
    """Three episodes as habitat-lab writes them."""
    env = OURS[task](simulator="pybullet", goal=GOALS[task])
    episodes = []
    for seed in range(3):
        env.reset(seed=seed)
        episodes.append(env.episode)
    env.close()
    save_episodes(episodes, tmp_path / "three.json")
    return tmp_path / "three.json"


def actions(env, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(env.action_space.n, size=len(env.episode.to_move)).tolist()


def same_told(metrics, info, reward) -> None:
    assert metrics["utility"] == reward
    assert {key: metrics[key] for key in ("success", "reached")} == {key: info[key] for key in ("success", "reached")}
    for key in info.keys() & {"rests_on", "share_right", "right_agreed", "num_agreed", "right_disputed"}:
        assert metrics[key] == info[key]


def test_random_episodes_play_as_in_our_environment(lab, backend, task):
    """Through `habitat.Env`: number k is that of our environment's seed k, and comes to the same every time."""
    overrides = ["habitat.dataset.num_episodes=2", "habitat.dataset.first_seed=5"]
    env = lab.ours.make_env(task, goal=GOALS[task], backend=backend, overrides=overrides)
    ours = OURS[task](simulator=backend, goal=GOALS[task])
    assert [episode.episode_id for episode in env.episodes] == ["5", "6"]
    assert env.observation_space["observation"].shape == ours.observation_space.shape
    for seed in (5, 6, 5):
        expected, info = ours.reset(seed=seed)
        assert np.array_equal(env.reset()["observation"], expected)
        same_told(env.get_metrics(), info, 0.0)
        for action in actions(ours, seed):
            assert not env.episode_over
            observation = env.step(action)["observation"]
            expected, reward, _, _, info = ours.step(action)
            assert np.array_equal(observation, expected)
            assert observation.dtype == np.float32
            same_told(env.get_metrics(), info, reward)
        assert env.episode_over
    env.close()
    ours.close()


def test_episodes_of_a_file_play_as_in_our_environment(lab, backend, task, file):
    """Through `habitat.gym`, which takes the reward from our measure and seeds with `habitat.seed`."""
    config = lab.ours.make_config(task, episodes=file, goal=GOALS[task], backend=backend, overrides=["habitat.seed=4"])
    env = lab.habitat.gym.make_gym_from_config(config)
    ours = OURS[task](simulator=backend, goal=GOALS[task], episodes=file)
    assert env.action_space.n == ours.action_space.n
    for number in range(4):
        expected, _ = ours.reset(seed=4 if number == 0 else None)
        assert np.array_equal(env.reset()["observation"], expected)
        for action in actions(ours, number):
            observation, reward, done, info = env.step(action)
            expected, expected_reward, ended, _, expected_info = ours.step(action)
            assert np.array_equal(observation["observation"], expected)
            assert (reward, done) == (expected_reward, ended)
            same_told(info, expected_info, expected_reward)
        assert done
    env.close()
    ours.close()


def test_the_config_that_we_ship_is_enough(lab, task):
    config = lab.habitat.get_config(lab.ours.config_path(task), ["habitat.simulator.backend=pybullet"])
    env = lab.habitat.Env(config=config)
    assert len(env.episodes) == 100
    seen = [env.reset()["observation"] for _ in range(2)]
    assert not np.array_equal(*seen)
    assert list(env.task.actions) == list(PLACES if task == "rearrange" else CONTAINERS)
    env.step(next(iter(env.task.actions)))
    env.close()


@NEEDS_LAB
def test_habitats_own_gym_id_makes_our_environment(lab, task):
    old_gym = importlib.import_module("gym")
    overrides = ["habitat.simulator.backend=pybullet", "habitat.dataset.num_episodes=1"]
    env = old_gym.make("Habitat-v0", cfg_file_path=lab.ours.config_path(task), override_options=overrides)
    assert env.observation_space.contains(env.reset())
    _, _, _, info = env.step(env.action_space.sample())
    assert info.keys() >= {"success", "objects_right"}
    env.close()


@NEEDS_LAB
def test_habitats_own_dataset_reads_the_same_file(lab, task, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    dataset = importlib.import_module("habitat.datasets.rearrange.rearrange_dataset").RearrangeDatasetV0()
    dataset.episodes = []
    dataset.from_json(file.read_text())
    ours = lab.ours.make_env(task, episodes=file, backend="pybullet")
    for theirs, mine in zip(dataset.episodes, ours.episodes, strict=True):
        assert theirs.scene_id == mine.scene_id
        assert theirs.start_position == pytest.approx(mine.start_position)
        assert len(theirs.rigid_objs) == len(mine.household.objects)
    ours.close()


@NEEDS_LAB
def test_habitats_benchmark_averages_our_measures(lab, task, tmp_path):
    class First(lab.habitat.Agent):
        def reset(self):
            pass

        def act(self, observations):
            assert observations["observation"].ndim == 1
            return 0

    path = tmp_path / f"{task}.yaml"
    path.write_text(Path(lab.ours.config_path(task)).read_text().replace("backend: habitat ", "backend: pybullet "))
    averages = lab.habitat.Benchmark(str(path)).evaluate(First(), num_episodes=3)
    assert 0.0 <= averages["success"] <= 1.0
    assert any(key.startswith("objects_right/") for key in averages)


def test_measures_tell_each_object(lab, backend):
    env = lab.ours.make_env("tidy", goal=(1, 0, 0, 0, 0), backend=backend)
    env.reset()
    household = env.task.household
    names = household.episode.to_move
    start = env.get_metrics()
    assert start["objects_at"] == dict.fromkeys(names, -1.0)
    assert start["objects_right"] == dict.fromkeys(names, 0.0)
    for number, name in enumerate(names):
        env.step(CONTAINERS[0])
        metrics = env.get_metrics()
        assert metrics["objects_at"][name] == 0.0
        assert metrics["utility"] == metrics["objects_right"][name]
        assert sum(metrics["objects_right"].values()) == metrics["share_right"] * len(names)
        assert metrics["success"] == float(number == 3 and all(metrics["objects_right"].values()))
    env.close()
    env = lab.ours.make_env("rearrange", goal=["sofa", "desk", "room", "dining table", "coffee table"], backend=backend)
    env.reset()
    env.step("sofa")
    (name,) = env.task.household.episode.to_move
    assert env.get_metrics()["objects_right"] == {name: 1.0}
    assert env.get_metrics()["objects_at"] == {name: float(PLACES.index("sofa"))}
    env.close()


def test_seeds_and_goals_can_be_set_between_episodes(lab, task, file):
    env = lab.ours.make_env(task, episodes=file, backend="pybullet")
    ours = OURS[task](simulator="pybullet", episodes=file)
    for number in range(3):
        options = {"goal": GOALS[task]} if number == 1 else {}
        if options:
            env.task.set_goal(GOALS[task])
        env.seed(40 + number)
        assert np.array_equal(env.reset()["observation"], ours.reset(seed=40 + number, options=options)[0])
        assert np.array_equal(env.task.household.goal, ours.goal)
    assert np.array_equal(ours.goal, GOALS[task])  # it holds
    with pytest.raises(GoalError):
        env.task.set_goal((9, 9))
    env.close()
    ours.close()


def test_the_picture_is_ours_and_is_there_if_it_is_asked_for(lab, task):
    env = lab.ours.make_env(task, goal=GOALS[task], backend="pybullet", picture=True)
    ours = OURS[task](simulator="pybullet", goal=GOALS[task], render_mode="rgb_array")
    ours.reset(seed=0)
    assert np.array_equal(env.reset()["picture"], ours.render())
    ours.step(1)
    seen = env.step(1)
    assert env.observation_space.keys() == seen.keys() == {"picture", "observation"}
    assert np.array_equal(seen["picture"], ours.render())
    assert np.array_equal(env.render(), seen["picture"])
    env.close()
    ours.close()
    env = lab.ours.make_env(task, backend="pybullet")
    assert env.reset().keys() == {"observation"}
    with pytest.raises(SimulatorError, match=r"habitat\.simulator\.picture=True"):
        env.render()
    env.close()


@pytest.mark.parametrize(
    ("task", "arguments", "error", "message"),
    [
        ("tidi", {}, InputError, r"unknown task of habitat-lab 'tidi'; did you mean 'tidy'\?"),
        ("tidy", {"backend": "bullet"}, SimulatorError, "unknown simulator 'bullet'; did you mean 'pybullet'"),
        ("tidy", {"goal": (1, 2)}, GoalError, "habitat-tidy"),
        ("rearrange", {"goal": "desk"}, GoalError, "ranks the places"),
        ("tidy", {"episodes": "nowhere.json"}, EpisodeError, r"nowhere\.json"),
        ("tidy", {"overrides": ["habitat.dataset.num_episodes=0"]}, EpisodeError, "at least 1"),
        ("rearrange", {"overrides": ["habitat.task.objects=[spoon]"]}, InputError, "objects must be among bowl"),
        (
            "rearrange",
            {"overrides": ["habitat.task.actions.desk.receptacle=dask"]},
            ActionError,
            "unknown receptacle 'dask'; did you mean 'desk'",
        ),
        (
            "tidy",
            {"overrides": ["habitat.task.measurements.success.key=sucess"]},
            InputError,
            "unknown measure 'sucess'; did you mean 'success'",
        ),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(lab, task, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        lab.ours.make_env(task, **{"backend": "pybullet", **arguments})
    assert "\n" not in str(caught.value)


def test_actions_that_are_not_there_are_refused_in_one_line(lab, task):
    env = lab.ours.make_env(task, backend="pybullet")
    env.reset()
    for action in (-1, len(env.task.actions), "fridge", 0.5, {"action": "fridge"}, {}):
        with pytest.raises(ActionError, match="choose a whole number from 0 to") as caught:
            env.step(action)
        assert "\n" not in str(caught.value)
    env.close()


def test_episodes_of_other_scenes_and_of_other_datasets_are_refused(lab, task, file):
    content = json.loads(file.read_text())
    content["episodes"][0]["scene_id"] = "apt_0"
    (file.parent / "two.json").write_text(json.dumps(content))
    with pytest.raises(EpisodeError, match="of 2 scenes; give one scene's at a time"):
        lab.ours.make_env(task, episodes=file.parent / "two.json", backend="pybullet")
    env = lab.ours.make_env(task, episodes=file, backend="pybullet")
    elsewhere = env.episodes[0]
    elsewhere.scene_id = "apt_0"
    with pytest.raises(SimulatorError, match="'apt_0', but 'NONE' is open"):
        env.reset()
    elsewhere.scene_id = "NONE"
    with pytest.raises(EpisodeError, match="PluralBenchEpisodes-v0"):
        env.task.reset(types.SimpleNamespace(episode_id="0", scene_id="NONE"))
    env.close()


def test_files_can_be_named_by_split(lab, task, file):
    path = str(file).replace("three", "{split}")
    env = lab.ours.make_env(task, episodes=path, backend="pybullet", overrides=["habitat.dataset.split=three"])
    assert len(env.episodes) == 3
    dataset = type(env._dataset)
    assert dataset.check_config_paths_exist(types.SimpleNamespace(data_path=path, split="three"))
    assert not dataset.check_config_paths_exist(types.SimpleNamespace(data_path=path, split="four"))
    env.close()


@pytest.mark.usefixtures("lab")
def test_the_example_of_the_docs_runs(capsys):
    section = (Path(__file__).parents[2] / "docs" / "habitat-lab.md").read_text()
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    names: dict[str, object] = {}
    exec(code, names)
    assert "objects_right" in capsys.readouterr().out
    assert names["done"] is True


def test_without_habitat_lab_the_error_names_both_commands(monkeypatch):
    kept = {name: module for name, module in sys.modules.items() if name.startswith(PACKAGE)}
    forget(PACKAGE)
    monkeypatch.setitem(sys.modules, "habitat", None)
    with pytest.raises(SimulatorNotInstalledError, match=r"pluralbench\[habitat-lab\]") as caught:
        importlib.import_module(PACKAGE)
    assert "conda install habitat-sim" in str(caught.value)
    assert "\n" not in str(caught.value)
    forget(PACKAGE)
    sys.modules.update(kept)


def test_our_environments_take_up_a_given_episode(task):
    env = OURS[task](simulator="pybullet", goal=GOALS[task])
    first, _ = env.reset(seed=3)
    episode = env.episode
    env.reset()
    again, _ = env.reset(options={"episode": episode})
    assert env.episode is episode
    assert np.array_equal(again, first)
    env.close()
