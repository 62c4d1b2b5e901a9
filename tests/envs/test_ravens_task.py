import numpy as np
import pytest

from pluralbench.envs.multigoal import GoalError, MultiGoalTask
from pluralbench.envs.ravens.task import RavensTask

LEFT, RIGHT = (0.5, 0.2), (0.5, -0.2)


def observation(block, held=0.0, cup=(0.5, 0.0, 0.25)):
    return np.array([*cup, *block, held])


def test_it_is_a_task_and_its_names_fit_its_sizes():
    task = RavensTask("four-zones")
    assert isinstance(task, MultiGoalTask)
    assert len(task.observation_names) == task.observation_size == 7
    assert task.goal_size == task.zones.shape[1]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (observation((0.5, 0.2, 0.025)), 1.0),
        (observation((0.54, 0.2, 0.029)), 1.0),
        (observation((0.5, 0.2, 0.025), held=1.0), 0.05),
        (observation((0.5, 0.0, 0.025), held=1.0), (2 + np.exp(-0.2)) / 100),
        (observation((0.5, 0.2, 0.125), held=1.0), (2 + np.exp(-0.1)) / 100),
        (observation((0.5, 0.0, 0.025), cup=(0.5, 0.3, 0.425)), np.exp(-0.5) / 100),
        (observation((0.5, 0.251, 0.025), cup=(0.5, 0.251, 0.025)), 0.01),
        (observation((0.5, 0.2, 0.031), cup=(0.5, 0.2, 0.031)), 0.01),
    ],
)
def test_utility_is_the_papers_over_100(seen, expected):
    assert RavensTask().utility(seen, np.array(LEFT)) == pytest.approx(expected, abs=1e-7)


def test_utility_broadcasts_over_goals_and_success_is_utility_one():
    task, generator = RavensTask("four-zones"), np.random.default_rng(0)
    seen = generator.uniform((0.25, -0.5, 0, 0.3, -0.3, 0.02, 0), (0.75, 0.5, 0.3, 0.7, 0.3, 0.04, 1), (500, 7))
    seen[:40, 3:5] = np.repeat(task.zones, 10, axis=0)
    table = task.utility(seen[None], task.zones[:, None])
    assert table.shape == (4, 500)
    assert table.dtype == np.float32
    assert table.min() >= 0.0
    assert table.max() == 1.0
    for row, goal in enumerate(task.zones):
        np.testing.assert_array_equal(table[row], [task.utility(one, goal) for one in seen])
    np.testing.assert_array_equal(task.success(seen[None], task.zones[:, None]), table == 1.0)


def test_goals_by_place_and_by_name():
    task = RavensTask("four-zones")
    np.testing.assert_array_equal(task.goal(RIGHT), task.goal("right"))
    assert [task.goal_name(task.goal(name)) for name in task.zone_names] == ["left", "right", "near", "far"]
    np.testing.assert_array_equal(task.goals([LEFT, RIGHT]), [LEFT, RIGHT])
    np.testing.assert_array_equal(RavensTask().goal(np.float32(LEFT)), LEFT)


@pytest.mark.parametrize(
    "value", [(0.35, 0.0), (0.5, 0.0), (0.5,), "far", "middle", (np.nan, 0.2), None, (0.5, 0.2, 1)]
)
def test_an_unknown_zone_is_refused_with_the_known_ones(value):
    with pytest.raises(GoalError, match=r"left \(0.5, 0.2\), right \(0.5, -0.2\)"):
        RavensTask().goal(value)


def test_unknown_layout_and_opposite():
    with pytest.raises(GoalError, match=r"did you mean 'four-zones'.*two-zones"):
        RavensTask("for-zones")
    with pytest.raises(GoalError, match="no goal is the opposite"):
        RavensTask().opposite(np.array([LEFT]))


def test_zones_are_apart_from_each_other():
    zones = RavensTask("four-zones").zones
    apart = np.linalg.norm(zones[:, None] - zones[None], axis=-1) + np.eye(4)
    assert apart.min() > 2 * 0.05 + 0.05


def test_sampled_goals_are_zones_in_equal_shares():
    task = RavensTask("four-zones")
    goals = task.sample_goals(4000, np.random.default_rng(0))
    shares = [(goals == zone).all(-1).mean() for zone in task.zones]
    np.testing.assert_allclose(shares, 0.25, atol=0.03)
