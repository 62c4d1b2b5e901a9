"""Populations: shares, scatter, own files, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from small_worlds import AttributeWorld, LineWorld, RankingWorld

import pluralbench.envs  # noqa: F401 (registers the environments)
from pluralbench.envs.environments import environments
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.ravens.task import RavensTask
from pluralbench.plugins import PluginError
from pluralbench.preference_oracles import Group, GroupPopulation, PopulationError, Teacher, Users, with_teacher
from pluralbench.preference_oracles.attribute_populations import AttributeGroup
from pluralbench.preference_oracles.populations import get_population
from pluralbench.preference_oracles.ranking_populations import (
    RankingGroup,
    mallows_rankings,
    ordered_rankings,
    ranking_population,
)
from pluralbench.preference_oracles.teachers import TeacherError
from pluralbench.registry import UnknownNameError

MAZE = MazeTask()


def train(name: str, task: object = MAZE, num: int = 20_000) -> Users:
    return get_population(name).train_users(task, num, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "task", "shares"),
    [
        ("two-goals", MAZE, [1 / 2, 1 / 2]),
        ("two-goals-1-6", MAZE, [1 / 7, 6 / 7]),
        ("two-goals-1-10", MAZE, [1 / 11, 10 / 11]),
        ("ten-goals", MAZE, [0.1] * 10),
        ("two-zones", RavensTask(), [1 / 2, 1 / 2]),
        ("two-zones-1-6", RavensTask(), [1 / 7, 6 / 7]),
        ("two-zones-1-10", RavensTask(), [1 / 11, 10 / 11]),
        ("four-zones", RavensTask("four-zones"), [1 / 4] * 4),
        ("agreeing", MAZE, [1.0]),
        ("conflicting-pairs", MAZE, [1 / 2, 1 / 2]),
        ("mixed-rationality", MAZE, [1 / 2, 1 / 2]),
        ("mallows-rankings", RankingWorld(), [0.6, 0.3, 0.1]),
        ("function-or-material", AttributeWorld(), [1 / 2, 1 / 2]),
        ("five-attributes", AttributeWorld(), [1 / 5] * 5),
    ],
)
def test_shares_are_realised(name: str, task: object, shares: list[float]) -> None:
    users = train(name, task)
    realised = np.bincount(users.group_index, minlength=len(users.group_names)) / len(users)
    spread = np.sqrt(np.array(shares) * (1 - np.array(shares)) / len(users))
    assert (np.abs(realised - shares) <= 5 * spread).all()


def test_the_paper_s_goals_are_named_after_cells() -> None:
    users = get_population("ten-goals").test_users(MAZE, 2, np.random.default_rng(0))
    assert users.group_names[:2] == ("(7, 1)", "(7, 10)")
    assert users.group_names[10] == "(3, 10)"
    assert users.taught == (True,) * 10 + (False,) * 5
    assert len(users) == 30
    np.testing.assert_array_equal(users.goals[-1, :2], [7, 8])
    assert train("two-goals-1-10").group_names == ("(7, 1)", "(7, 10)")


def test_zones_of_the_table() -> None:
    assert train("two-zones", RavensTask()).group_names == ("left", "right")
    assert train("four-zones", RavensTask("four-zones")).group_names == ("left", "right", "near", "far")


def test_conflicting_pairs_have_opposite_utilities() -> None:
    observations = np.zeros((50, 4))
    observations[:, :2] = MAZE.sample_goals(50, np.random.default_rng(0))[:, :2]
    users = train("conflicting-pairs", num=50)
    utilities = MAZE.utility(observations[None], users.goals[:, None])
    one, other = utilities[users.group_index == 0][0], utilities[users.group_index == 1][0]
    np.testing.assert_allclose(one + other, 1, atol=1e-6)
    assert np.ptp(one) > 0.5


def test_agreeing_users_want_one_thing_anywhere() -> None:
    for task in (MAZE, RavensTask(), RankingWorld(), AttributeWorld(), LineWorld()):
        assert len(np.unique(train("agreeing", task, 50).goals, axis=0)) == 1


def test_mixed_rationality_has_a_teacher_for_each_user() -> None:
    users = train("mixed-rationality", num=2000)
    assert users.teacher.num_users == 2000
    rationality = np.asarray(users.teacher.rationality)
    assert 1 <= rationality.min() < 2
    assert 50 < rationality.max() <= 100
    assert np.median(rationality) == pytest.approx(10, rel=0.2)
    assert users[7].teacher.rationality == rationality[7]
    again = users.take([5, 3])
    assert again[1].teacher.mistake_rate == users[3].teacher.mistake_rate


def test_continuous_goals_are_everywhere_and_new_when_held_out() -> None:
    users = train("continuous-goals", num=4000)
    assert len(np.unique(users.goals, axis=0)) == 4000
    assert len(users.group_names) == 4
    assert np.bincount(users.group_index).min() > 500
    for group in range(4):  # regions are halves of the rows and of the columns
        goals = users.goals[users.group_index == group, :2]
        others = users.goals[users.group_index != group, :2]
        low, high = goals.min(0), goals.max(0)
        assert not ((others >= low) & (others <= high)).all(1).any()
    held_out = get_population("continuous-goals").test_users(MAZE, 30, np.random.default_rng(0))
    assert not set(map(tuple, held_out.goals)) & set(map(tuple, users.goals))
    np.testing.assert_array_equal(np.bincount(held_out.group_index), [30] * 4)
    # few goals are groups themselves
    assert set(train("continuous-goals", RavensTask(), 10).group_names) == {"left", "right"}


def test_a_population_says_when_an_environment_cannot_express_it() -> None:
    with pytest.raises(
        PopulationError, match=r"'two-goals' does not suit environment 'ravens': it has the goal sets two-zones"
    ) as error:
        train("two-goals", RavensTask())
    assert "\n" not in str(error.value)
    with pytest.raises(
        PopulationError, match=r"'two-zones' does not suit environment 'maze': it has the goal sets ten-goals"
    ):
        train("two-zones")
    with pytest.raises(PopulationError, match=r"'conflicting-pairs' .*'ravens': its goals have no opposites"):
        train("conflicting-pairs", RavensTask())
    with pytest.raises(PopulationError, match="'weighted-attributes' does not suit environment 'maze'") as error:
        train("weighted-attributes", num=5)
    assert "\n" not in str(error.value)
    with pytest.raises(PopulationError, match="'five-rankings' does not suit environment 'maze'"):
        train("five-rankings")
    with pytest.raises(PopulationError, match=r"'five-rankings' .*'attribute': its users rank places"):
        train("five-rankings", AttributeWorld())
    with pytest.raises(PopulationError, match="'five-attributes' does not suit environment 'ranking'"):
        train("five-attributes", RankingWorld())


@pytest.mark.parametrize("name", environments.names())
def test_the_default_population_suits_its_environment(name: str) -> None:
    environment = environments.get(name)
    task = environment.make_task()
    population = get_population(environment.default_population)
    users = population.train_users(task, 50, np.random.default_rng(0))
    held_out = population.test_users(task, 2, np.random.default_rng(0))
    assert users.goals.shape == (50, task.goal_size)
    assert held_out.goals.shape[1] == task.goal_size
    for everywhere in ("agreeing", "continuous-goals", "mixed-rationality"):
        assert len(get_population(everywhere).train_users(task, 5, np.random.default_rng(0))) == 5


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ((), "no train groups"),
        ((Group((7, 1), 0.5), Group((7, 10), 0.4)), "shares must sum to 1, sum to 0.9"),
        ((Group((7, 1), 1.5), Group((7, 10), -0.5)), "needs a share above 0"),
        ((Group((7, 1), 1.0), Group((7, 10))), "needs a share above 0"),
        ((Group((7, 1), np.nan),), "needs a share above 0"),
    ],
)
def test_shares_that_make_no_sense_are_refused(groups: tuple[Group, ...], message: str) -> None:
    with pytest.raises(PopulationError, match=message):
        GroupPopulation("mine", "", groups)


def test_other_contradictions_are_refused() -> None:
    with pytest.raises(PopulationError, match="held-out group has no share"):
        GroupPopulation("mine", "", (Group((7, 1), 1.0),), (Group((7, 10), 0.1),))
    twice = GroupPopulation("mine", "", (Group((7, 1), 0.5), Group((7, 1), 0.5, teacher=Teacher(mistake_rate=0.3))))
    with pytest.raises(PopulationError, match=r"several groups called '\(7, 1\)': give them names"):
        twice.train_users(MAZE, 5, np.random.default_rng(0))
    own = GroupPopulation("mine", "", (Group((7, 1), 1.0, teacher=Teacher(mistake_rate=np.ones(3))),))
    with pytest.raises(PopulationError, match="plain numbers"):
        own.train_users(MAZE, 3, np.random.default_rng(0))
    with pytest.raises(PopulationError, match="number of users must be from 1"):
        train("two-goals", num=0)
    with pytest.raises(PopulationError, match="number of users must be from 1"):
        get_population("ten-goals").test_users(MAZE, 0, np.random.default_rng(0))
    users = train("two-goals", num=4)
    with pytest.raises(PopulationError, match="4 users have a teacher for 3"):
        Users(users.ids, users.group_names, users.group_index, users.goals, Teacher(mistake_rate=np.zeros(3)))
    with pytest.raises(PopulationError, match="ids repeat"):
        users.take([0, 0])


def test_groups_may_differ_in_their_teachers() -> None:
    population = GroupPopulation(
        "careful and careless",
        "",
        (Group((7, 1), 0.5, "careful"), Group((7, 1), 0.5, "careless", Teacher(mistake_rate=0.3))),
    )
    users = population.train_users(MAZE, 100, np.random.default_rng(0))
    np.testing.assert_array_equal(users.teacher.mistake_rate, np.where(users.group_index == 1, 0.3, 0.0))
    assert users.teacher.rationality == np.inf
    assert users[int(np.flatnonzero(users.group_index)[0])].group == "careless"


def test_groups_do_not_answer_by_the_rule_of_the_first_one() -> None:
    class Sleepy(Teacher):
        pass

    for teachers in ((Sleepy(), Teacher()), (Teacher(), Sleepy())):
        groups = tuple(Group((7, 1), 0.5, f"group {i}", teacher) for i, teacher in enumerate(teachers))
        with pytest.raises(PopulationError, match=r"^all teachers of a population need the same class, found .*Sleepy"):
            GroupPopulation("mine", "", groups).train_users(MAZE, 10, np.random.default_rng(0))
    alike = GroupPopulation("mine", "", (Group((7, 1), 1.0, teacher=Sleepy()),))
    assert type(alike.train_users(MAZE, 10, np.random.default_rng(0)).teacher) is Sleepy


def test_with_teacher_changes_the_answers_and_not_the_people() -> None:
    population = get_population("two-goals")
    changed = with_teacher(population, "mistake")
    assert changed.name == "two-goals"
    before = population.train_users(MAZE, 50, np.random.default_rng(0))
    after = changed.train_users(MAZE, 50, np.random.default_rng(0))
    np.testing.assert_array_equal(before.goals, after.goals)
    assert after.teacher == Teacher(mistake_rate=0.1)
    assert changed.test_users(MAZE, 1, np.random.default_rng(0)).teacher == Teacher(mistake_rate=0.1)
    with pytest.raises(TeacherError, match="plain numbers"):
        with_teacher(population, Teacher(mistake_rate=np.zeros(3)))
    with pytest.raises(UnknownNameError):
        with_teacher(population, "teacher of no user")


OWN = """
from dataclasses import dataclass
from pluralbench.preference_oracles import Group, GroupPopulation, Teacher

MINE = GroupPopulation("mine", "three corners, one careless", (
    Group((1, 1), 0.5), Group((1, 10), 0.3), Group((7, 1), 0.2, teacher=Teacher(mistake_rate=0.2)),
))

def made():
    return MINE

class Early:
    name = "early"
    description = "the first corner"
    def train_users(self, task, num_users, generator):
        return MINE.train_users(task, num_users, generator).take(range(num_users))
    def test_users(self, task, users_per_group, generator):
        return MINE.test_users(task, users_per_group, generator)

class Incomplete:
    name = "incomplete"
    description = ""
    def train_users(self, task, num_users, generator): ...

def with_arguments(number):
    return MINE

NUMBER = 3
"""


@pytest.mark.parametrize("name", ["MINE", "made", "Early"])
def test_a_population_in_a_file_of_ones_own(tmp_path: Path, name: str) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    population = get_population(f"{path}:{name}")
    users = population.train_users(MAZE, 30, np.random.default_rng(0))
    assert users.group_names == ("(1, 1)", "(1, 10)", "(7, 1)")
    assert with_teacher(population, "boltzmann").train_users(MAZE, 3, np.random.default_rng(0)).teacher.rationality == 1


def test_a_file_with_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.py"
    path.write_text(OWN)
    with pytest.raises(PopulationError, match="Incomplete has no test_users"):
        get_population(f"{path}:Incomplete")
    with pytest.raises(UnknownNameError, match="is no population: expected a population"):
        get_population(f"{path}:NUMBER")
    with pytest.raises(PluginError, match="cannot be made without arguments"):
        get_population(f"{path}:with_arguments")
    with pytest.raises(UnknownNameError, match="has no 'Missing'; it has"):
        get_population(f"{path}:Missing")
    with pytest.raises(UnknownNameError, match="did you mean 'two-goals'"):
        get_population("two-goal")


def kendall_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Number of pairs of places that rankings a and b (..., n) order differently."""
    ranks_a, ranks_b = np.argsort(a, axis=-1), np.argsort(b, axis=-1)
    i, j = np.triu_indices(ranks_a.shape[-1], k=1)
    return ((ranks_a[..., i] < ranks_a[..., j]) != (ranks_b[..., i] < ranks_b[..., j])).sum(-1)


@pytest.mark.parametrize("dispersion", [0.0, 0.7, 2.0])
def test_mallows_rankings_follow_their_formula(dispersion: float) -> None:
    centre = (2, 0, 3, 1)
    num = 40_000
    drawn = mallows_rankings(centre, dispersion, num, np.random.default_rng(0))
    rankings = np.array(list(itertools.permutations(range(4))))
    weights = np.exp(-dispersion * kendall_distance(rankings, np.array(centre)))
    expected = weights / weights.sum()
    realised = np.array([(drawn == ranking).all(1).mean() for ranking in rankings])
    assert realised.sum() == pytest.approx(1)
    assert (np.abs(realised - expected) <= 5 * np.sqrt(expected * (1 - expected) / num)).all()


def test_mallows_without_scatter() -> None:
    drawn = mallows_rankings((2, 0, 1), np.inf, 5, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, np.tile([2, 0, 1], (5, 1)))


def test_ranking_populations_nest_and_hold_out() -> None:
    five, hundred = get_population("five-rankings"), get_population("hundred-rankings")
    generator = np.random.default_rng(0)
    small = np.unique(five.train_users(RankingWorld(), 500, generator).goals, axis=0)
    large = np.unique(hundred.train_users(RankingWorld(), 20_000, generator).goals, axis=0)
    held_out = hundred.test_users(RankingWorld(), 1, generator)
    assert (len(small), len(large), len(held_out)) == (5, 100, 120)
    assert set(map(tuple, small)) <= set(map(tuple, large))
    new = held_out.goals[held_out.group_index >= 100]
    assert len(new) == 20
    assert not set(map(tuple, new)) & set(map(tuple, large))
    assert (small[:, 0] == 0).sum() == 3  # three of five rank place 0 first
    assert len(set(ordered_rankings())) == 120
    with pytest.raises(PopulationError, match="cannot be taken"):
        ranking_population(110, num_held_out=20)


def test_rankings_scatter_around_their_group_s_centre() -> None:
    groups = (RankingGroup((0, 1, 2, 3, 4), 0.8, 1.5), RankingGroup((4, 3, 2, 1, 0), 0.2, 1.5))
    users = GroupPopulation("mine", "", groups).train_users(RankingWorld(), 3000, np.random.default_rng(0))
    for index in (0, 1):
        goals = users.goals[users.group_index == index].astype(int)
        distances = [kendall_distance(goals, np.array(g.centre)).mean() for g in groups]
        assert distances[index] < 2 < 8 < distances[1 - index]
        assert len(np.unique(goals, axis=0)) > 10
    with pytest.raises(PopulationError, match="lists every place"):
        RankingGroup((0, 1, 1))
    with pytest.raises(PopulationError, match="dispersion must be 0 or more"):
        RankingGroup((0, 1), dispersion=-1.0)
    short = GroupPopulation("mine", "", (groups[0], RankingGroup((0, 1), 0.2)))
    with pytest.raises(PopulationError, match="does not suit environment"):
        short.train_users(RankingWorld(), 10, np.random.default_rng(0))


def test_attribute_weights_have_their_group_s_mean() -> None:
    group = AttributeGroup("both", (2.0, -1.0, 0.0, 0.0, 1.0), 1.0, concentration=8.0)
    users = GroupPopulation("mine", "", (group,)).train_users(AttributeWorld(), 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.abs(users.goals).sum(1), 1)
    np.testing.assert_allclose(users.goals.mean(0), [0.5, -0.25, 0, 0, 0.25], atol=0.01)
    variance = 0.5 * 0.5 / (8.0 + 1)  # of a Dirichlet's first part
    assert users.goals[:, 0].var() == pytest.approx(variance, rel=0.1)
    with pytest.raises(PopulationError, match="not all zero"):
        AttributeGroup("none", (0.0, 0.0))
    with pytest.raises(PopulationError, match="concentration must be above 0"):
        AttributeGroup("none", (1.0, 0.0), concentration=0.0)


def test_sorters_look_at_one_attribute() -> None:
    users = get_population("function-or-material").test_users(AttributeWorld(), 1, np.random.default_rng(0))
    np.testing.assert_array_equal(users.goals, np.eye(5)[:2])
    assert users.group_names == ("by function", "by material")


def test_a_teacher_by_its_name_is_told_how_to_get_it():
    population = GroupPopulation("mine", "", (Group((7, 1), share=1.0, teacher="mistake"),))
    with pytest.raises(PopulationError, match=r"group '\(7, 1\)': the teacher is a Teacher, not its name: get_teacher"):
        population.train_users(MazeTask(), 2, np.random.default_rng(0))
