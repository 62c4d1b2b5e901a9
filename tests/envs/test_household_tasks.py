"""Goals, utilities and expected outcomes of the household tasks; no simulator."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pluralbench.envs.environments import environments
from pluralbench.envs.household.catalogue import ATTRIBUTES, OBJECTS, REARRANGE_OBJECTS, attribute_table
from pluralbench.envs.household.flat import CONTAINERS, PLACES
from pluralbench.envs.household.rearrange import RearrangeTask
from pluralbench.envs.household.tidy import TidyTask
from pluralbench.envs.multigoal import GoalError, MultiGoalTask

FUNCTION, MATERIAL = np.eye(5)[0], np.eye(5)[1]


def rearrange_observation(place: str | None, kind: str = "bowl") -> np.ndarray:
    observation = np.zeros(16, dtype=np.float32)
    if place is not None:
        observation[3 + PLACES.index(place)] = 1
    observation[8 + REARRANGE_OBJECTS.index(kind)] = 1
    return observation


def tidy_observation(name: str, container: str | None) -> np.ndarray:
    observation = np.zeros(12, dtype=np.float32)
    observation[:5] = OBJECTS[name].attributes
    if container is not None:
        observation[5 + CONTAINERS.index(container)] = 1
    return observation


@pytest.mark.parametrize("task", [RearrangeTask(), TidyTask()], ids=lambda task: task.name)
def test_the_contract_of_a_task(task):
    assert isinstance(task, MultiGoalTask)
    assert len(task.observation_names) == task.observation_size
    generator = np.random.default_rng(0)
    goals = task.sample_goals(7, generator)
    assert goals.shape == (7, task.goal_size)
    assert np.array_equal(task.goals(goals), goals)
    assert np.array_equal(task.goal(goals[3]), goals[3])  # a goal describes itself
    start = np.zeros((11, task.observation_size), dtype=np.float32)
    start[:, -5:] = 1.0
    outcomes = task.outcomes(start).reshape(-1, task.observation_size)
    table = task.utility(outcomes[None], goals[:, None])
    assert table.shape == (7, len(outcomes))
    assert table.dtype == np.float32
    assert table.min() >= 0
    assert table.max() <= 1
    for user, goal in enumerate(goals):
        assert np.array_equal(task.utility(outcomes, goal), table[user])
        assert task.goal_name(goal)
    opposite = task.utility(outcomes[None], task.opposite(goals)[:, None])
    assert np.allclose(opposite, 1 - table)
    assert (table[task.success(outcomes[None], goals[:, None])] >= 0.5).all()
    assert environments.get(task.name).make_task().name == task.name


def test_a_ranking_gives_each_place_its_rank():
    task = RearrangeTask()
    goal = task.goal(("sofa", "desk", "room", "coffee table", "dining table"))
    assert goal.tolist() == [3, 0, 4, 2, 1]
    utilities = {place: float(task.utility(rearrange_observation(place), goal)) for place in PLACES}
    assert utilities == {"sofa": 1.0, "desk": 0.75, "room": 0.5, "coffee table": 0.25, "dining table": 0.0}
    assert task.utility(rearrange_observation(None), goal) == 0
    assert task.success(rearrange_observation("sofa"), goal)
    assert not task.success(rearrange_observation("desk"), goal)
    assert not task.success(rearrange_observation(None), goal)
    assert task.goal_name(goal) == "sofa > desk > room > coffee table > dining table"


def test_all_rankings_have_different_names_and_utilities():
    task = RearrangeTask()
    goals = np.array(list(itertools.permutations(range(5))), dtype=float)
    assert len({task.goal_name(goal) for goal in goals}) == 120
    assert len(np.unique(task.utility_of_places(goals), axis=0)) == 120
    drawn = task.sample_goals(6000, np.random.default_rng(1))
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 120
    assert counts.min() > 20  # 50 expected


@pytest.mark.parametrize(
    "value", [(0, 1, 2, 3), (0, 1, 2, 3, 3), (1, 2, 3, 4, 5), "desk", 7, (0.5, 1, 2, 3, 4), [[0] * 5]]
)
def test_what_is_no_ranking_is_refused_in_one_line(value):
    with pytest.raises(GoalError, match="habitat-rearrange: a goal ranks the places 0 desk, 1 dining table") as caught:
        RearrangeTask().goal(value)
    assert "\n" not in str(caught.value)


def test_a_good_placement_is_expected_at_the_place_it_names():
    task = RearrangeTask()
    start = np.stack([rearrange_observation("room", kind) for kind in REARRANGE_OBJECTS])
    outcomes = task.outcomes(start)
    assert outcomes.shape == (6, 5, 16)
    goal = task.goal((4, 2, 0, 1, 3))
    best = task.utility(outcomes, goal).argmax(-1)
    assert (best == 4).all()
    assert np.array_equal(outcomes[:, 0, 8:14], start[:, 8:14])
    assert outcomes[3, 0, 2] == pytest.approx(0.74 + OBJECTS["pitcher"].half_height)
    assert task.outcomes(start[0]).shape == (5, 16)


def test_the_catalogue_has_every_kind_of_object_that_users_differ_on():
    table = attribute_table()
    assert {"knife", "fork", "spoon", "plate", "bowl", "pitcher", "spatula"} <= set(OBJECTS)
    assert set(np.unique(table)) == {-1, 1}
    cells, counts = np.unique(table[:, :2], axis=0, return_counts=True)
    assert len(cells) == 4
    assert (counts == 4).all()
    assert (np.abs(table.sum(0)) <= 4).all()  # every attribute has both values often


@pytest.mark.parametrize(
    ("name", "by_function", "by_material"),
    [
        ("knife", "left box", "left box"),
        ("spatula", "right box", "right box"),
        ("bowl", "left box", "right box"),
        ("pan", "right box", "left box"),
    ],
)
def test_users_agree_on_some_objects_and_disagree_on_others(name, by_function, by_material):
    task = TidyTask()
    for goal, belongs in ((FUNCTION, by_function), (MATERIAL, by_material)):
        for container in CONTAINERS:
            observation = tidy_observation(name, container)
            assert task.utility(observation, goal) == float(container == belongs)
            assert task.success(observation, goal) == (container == belongs)
            assert task.utility(observation, -goal) == float(container != belongs)
        assert task.utility(tidy_observation(name, None), goal) == 0
        assert not task.success(tidy_observation(name, None), goal)


def test_before_anything_is_placed_nobody_is_better_or_worse_off():
    task = TidyTask()
    nothing = np.zeros(12, dtype=np.float32)
    for goal in (FUNCTION, -FUNCTION, MATERIAL):
        assert task.utility(nothing, goal) == 0.5
        assert not task.success(nothing, goal)


def test_weighted_mixtures_and_ties():
    task = TidyTask()
    bowl = OBJECTS["bowl"].attributes  # tableware, plastic, cool, large, sturdy
    assert bowl == (1, -1, -1, 1, -1)
    assert task.side(np.array(bowl), np.array([0.5, 0.4, 0.0, 0.0, 0.0])) == 1
    assert task.side(np.array(bowl), np.array([0.3, 0.4, 0.0, 0.0, 0.0])) == -1
    tie = np.array([0.1 + 0.2, 0.3, 0.0, 0.0, 0.0])  # equal but for rounding
    for container in CONTAINERS:
        assert task.utility(tidy_observation("bowl", container), tie) == 0.5
        assert task.success(tidy_observation("bowl", container), tie)
    assert task.goal_name(FUNCTION) == "by function"
    assert task.goal_name(-MATERIAL) == "by material, the other way round"
    assert task.goal_name(np.array([0.6, 0, 0, -0.4, 0])) == "0.6 function - 0.4 size"


@pytest.mark.parametrize(
    "value", [(1, 0, 0), (0, 0, 0, 0, 0), (np.nan, 0, 0, 0, 1), "function", [[1, 0, 0, 0, 0]], None]
)
def test_what_are_no_weights_is_refused_in_one_line(value):
    with pytest.raises(GoalError, match="habitat-tidy: ") as caught:
        TidyTask().goal(value)
    assert "\n" not in str(caught.value)


def test_the_presented_object_is_expected_in_the_container_it_is_put_into():
    task = TidyTask()
    start = np.zeros((16, 12), dtype=np.float32)
    start[:, 7:] = attribute_table()
    outcomes = task.outcomes(start)
    assert outcomes.shape == (16, 2, 12)
    assert np.array_equal(outcomes[:, 0, :5], start[:, 7:])
    for index in range(len(ATTRIBUTES)):
        best = task.utility(outcomes, np.eye(5)[index]).argmax(-1)
        assert np.array_equal(best == 0, attribute_table()[:, index] > 0)
