"""What every environment's scripts promise, and the script of random actions."""

import gymnasium as gym
import numpy as np
import pytest

from pluralbench.envs import environments, make_vector
from pluralbench.envs.scripts import PlannedScript, RandomScript, Script


def actions_of(script, vector, seeds, goals, rows=None):
    """Actions (T, B, ...) in episodes with these seeds; `rows`, where given, act in two halves."""
    observations, _ = vector.reset(seed=list(seeds), options={"goal": goals})
    num = len(seeds)
    script.begin(observations, np.zeros(num, dtype=np.int64), np.array(seeds))
    halves = [np.arange(num)] if rows is None else [np.array(rows), np.setdiff1d(np.arange(num), rows)]
    taken = []
    for _ in range(min(vector.spec.max_episode_steps if vector.spec else 20, 120)):
        actions = np.zeros(vector.action_space.shape, dtype=vector.action_space.dtype)
        for half in halves:
            actions[half] = script.act(observations[half], half)
        taken.append(actions)
        observations = vector.step(actions)[0]
    return np.array(taken)


@pytest.mark.parametrize("name", environments.names())
def test_an_episode_is_the_same_in_whatever_company_it_runs(name):
    environment = environments.get(name)
    goals = environment.make_task().sample_goals(2, np.random.default_rng(0))
    makers = [
        maker for maker in (environment.behaviour, environment.tour and (lambda: environment.tour(goals))) if maker
    ]
    two, four = make_vector(environment, 2), make_vector(environment, 4)
    makers.append(lambda: RandomScript(two.single_action_space))
    try:
        for make in makers:
            script = make()
            assert isinstance(script, Script)
            first = actions_of(script, two, (5, 6), goals[0])
            many = actions_of(make(), four, (8, 6, 7, 5), goals[0], rows=[3, 0])
            np.testing.assert_array_equal(first, many[:, [3, 1]])
            np.testing.assert_array_equal(first, actions_of(script, two, (5, 6), goals[0]))  # it begins anew
            assert all(action in two.action_space for action in first)
    finally:
        two.close()
        four.close()


@pytest.mark.parametrize("name", environments.names())
def test_a_planner_plans_for_each_of_its_rewards(name):
    environment = environments.get(name)
    if environment.planner is None:
        pytest.skip(f"{name} has none")
    grid, task = environment.state_grid(), environment.make_task()
    rewards = np.random.default_rng(0).random((3, int(grid.reachable.sum())))
    script = environment.planner(rewards)
    assert isinstance(script, PlannedScript)
    assert script.ends.shape[::2] == (3, task.observation_size)
    assert script.ends.dtype == np.float32
    assert np.isfinite(script.ends).all()


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Box(np.array([-1, 2], dtype=np.float32), np.array([1, 5], dtype=np.float32)),
        gym.spaces.Discrete(3, start=-1),
    ],
    ids=str,
)
def test_random_actions_fill_the_space_and_differ_between_episodes(space):
    script, rows = RandomScript(space), np.arange(3)
    script.begin(np.zeros((3, 1)), rows, np.array([1, 2, 1]))
    drawn = np.array([script.act(np.zeros((3, 1)), rows) for _ in range(300)])
    assert drawn.dtype == space.dtype
    assert all(action in space for actions in drawn for action in actions)
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 2])
    assert (drawn[:, 0] != drawn[:, 1]).any()
    shares = drawn if isinstance(space, gym.spaces.Box) else drawn[..., None]
    low, high = shares.min(axis=(0, 1)), shares.max(axis=(0, 1))
    np.testing.assert_allclose(shares.mean(axis=(0, 1)), (low + high) / 2, atol=0.1)
    assert script.act(np.zeros((0, 1)), rows[:0]).shape == (0, *space.shape)


def test_random_actions_need_a_space_that_is_bounded():
    for space in (gym.spaces.Box(-np.inf, np.inf, (2,)), gym.spaces.Text(3)):
        script = RandomScript(space)
        script.begin(np.zeros((1, 1)), np.zeros(1, dtype=int), np.zeros(1, dtype=int))
        with pytest.raises(NotImplementedError, match="Discrete or a bounded Box"):
            script.act(np.zeros((1, 1)), np.zeros(1, dtype=int))
