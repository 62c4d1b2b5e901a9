"""Populations of the goals that an environment knows by name, and that none of them knows an environment."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pluralbench.preference_oracles
from pluralbench.envs import MultiGoalTask, environments
from pluralbench.preference_oracles import Group, GroupPopulation, NamedGoals, PopulationError, Teacher, get_population

SOURCES = sorted(Path(pluralbench.preference_oracles.__file__).parent.glob("*.py"))


class Tiny(MultiGoalTask):
    """A plug-in's task: points on a line, three of which have a name."""

    name = "tiny"
    observation_size = 1
    action_size = 1
    goal_size = 1
    max_episode_steps = 5
    goal_sets = {"three": ((0,), (0.5,), (1,)), "further": ((0.25,),)}  # noqa: RUF012

    def utility(self, observations: np.ndarray, goals: np.ndarray) -> np.ndarray:
        return 1 - np.abs(observations - goals)[..., 0].astype(np.float32)


class Nameless(Tiny):
    """The same without goal sets, so that it must sample goals itself."""

    name = "nameless"
    goal_sets = {}  # noqa: RUF012

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> np.ndarray:
        return generator.random((num_goals, 1))


class Mute(Tiny):
    """Neither goal sets nor goals to sample."""

    name = "mute"
    goal_sets = {}  # noqa: RUF012


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_one_group_for_each_goal_of_the_first_set() -> None:
    population = get_population("named-goals")
    users = population.train_users(Tiny(), 3000, generator())
    assert users.group_names == ("(0)", "(0.5)", "(1)")
    np.testing.assert_array_equal(users.goals[:, 0], np.array([0, 0.5, 1])[users.group_index])
    assert np.bincount(users.group_index).min() > 850
    test = population.test_users(Tiny(), 2, generator())
    np.testing.assert_array_equal(test.goals[:, 0], [0, 0, 0.5, 0.5, 1, 1])
    assert test.taught == (True, True, True)


def test_without_goal_sets_two_goals_are_sampled_once_and_for_all() -> None:
    first, again = (get_population("named-goals").train_users(Nameless(), 50, generator(seed)) for seed in (0, 1))
    assert len(first.group_names) == 2
    assert first.group_names == again.group_names
    np.testing.assert_array_equal(np.unique(first.goals), np.unique(again.goals))


@pytest.mark.parametrize("name", ["named-goals", "agreeing", "mixed-rationality", "continuous-goals"])
def test_a_task_without_any_goals_is_refused_in_one_line(name: str) -> None:
    population = get_population(name)
    with pytest.raises(PopulationError, match=r"does not suit environment 'mute': Mute needs goal_sets") as error:
        population.train_users(Mute(), 5, generator())
    assert "\n" not in str(error.value)
    with pytest.raises(PopulationError, match="does not suit environment 'mute'"):
        population.test_users(Mute(), 5, generator())


def test_too_few_goals_are_refused() -> None:
    class One(Tiny):
        goal_sets = {"one": ((0,),)}  # noqa: RUF012

    assert len(get_population("named-goals").train_users(One(), 5, generator()).group_names) == 1
    with pytest.raises(PopulationError, match="it needs 2 different goals, of which there are 1"):
        get_population("mixed-rationality").train_users(One(), 5, generator())


def test_shares_and_a_held_out_set() -> None:
    population = NamedGoals("mine", "", "three", (1, 2, 1), held_out_set="further", teacher=Teacher(mistake_rate=0.2))
    users = population.train_users(Tiny(), 8000, generator())
    np.testing.assert_allclose(np.bincount(users.group_index) / 8000, [0.25, 0.5, 0.25], atol=0.03)
    test = population.test_users(Tiny(), 1, generator())
    assert test.group_names == ("(0)", "(0.5)", "(1)", "(0.25)")
    assert test.taught == (True, True, True, False)
    assert test.teacher == users.teacher == Teacher(mistake_rate=0.2)


def test_sets_that_are_missing_and_shares_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PopulationError, match=r"'two-goals' .* 'tiny': it has the goal sets three, further; two-goals"):
        get_population("two-goals").train_users(Tiny(), 5, generator())
    with pytest.raises(PopulationError, match="'nameless': it has no goal sets; three and others would be needed"):
        NamedGoals("mine", "", "three", held_out_set="others").test_users(Nameless(), 5, generator())
    with pytest.raises(PopulationError, match="it has the goal sets three, further; three and others"):
        NamedGoals("mine", "", "three", held_out_set="others").train_users(Tiny(), 5, generator())
    with pytest.raises(PopulationError, match="2 shares for the 3 goals of three"):
        NamedGoals("mine", "", "three", (1, 2)).train_users(Tiny(), 5, generator())
    for shares in ((1, -2, 4), (0.0, 0.0, 0.0), (1, np.nan, 1)):
        with pytest.raises(PopulationError, match="needs a share above 0"):
            NamedGoals("mine", "", "three", shares)


def test_a_held_out_group_is_known_by_its_flag_alone() -> None:
    groups = (Group((0,), 0.5, "held-out friends"), Group((1,), 0.5))
    population = GroupPopulation("mine", "", groups, (Group((0.5,), name="teachers' friends"),))
    users = population.test_users(Tiny(), 1, generator())
    assert dict(zip(users.group_names, users.taught, strict=True)) == {
        "held-out friends": True,
        "(1)": True,
        "teachers' friends": False,
    }
    assert population.train_users(Tiny(), 5, generator()).taught == (True, True)
    assert users.take([2, 0]).taught == users.taught


def test_a_held_out_group_has_a_name_of_its_own() -> None:
    twice = GroupPopulation("mine", "", (Group((0,), 1.0),), (Group((0,)),))
    with pytest.raises(PopulationError, match=r"'mine' has several groups called '\(0\)': give them names") as error:
        twice.test_users(Tiny(), 1, generator())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_environment_is_named_or_imported(path: Path) -> None:
    names = {part for name in environments.names() for part in (name, name.split("-")[0])} | {"household"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not [name for name in names if name in node.value.lower()]
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pluralbench.envs"):
            assert node.module in ("pluralbench.envs.multigoal", "pluralbench.envs.transitions")


def test_names_and_descriptions_are_known_without_anything_heavy() -> None:
    program = (
        "import sys\n"
        "from pluralbench.preference_oracles import get_population, populations, teachers\n"
        "assert teachers.names() and all(get_population(name).description for name in populations.names())\n"
        "import pluralbench.preference_oracles.labelling, pluralbench.preference_oracles.inspection\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "h5py", "scipy", "pandas", "pydantic", "mujoco", "pybullet"} & set(loaded)


def test_the_package_gives_every_name_that_it_promises() -> None:
    package = pluralbench.preference_oracles
    assert not [name for name in package.__all__ if isinstance(getattr(package, name), ModuleType)]
    with pytest.raises(AttributeError, match="has no attribute 'Everything'"):
        package.Everything  # noqa: B018
