"""Whose fault a failure is: rewards worked out by hand on a line, and the oracle's in every environment."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.stages import blame as module
from pluralbench.benchmarks.stages.blame import blame
from pluralbench.benchmarks.stages.fit import FittedLearner
from pluralbench.benchmarks.stages.runs import Run
from pluralbench.envs import Environment, MultiGoalTask, StateGrid, environments
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.pair_classifier import PairClassifierSettings


class Line(MultiGoalTask):
    """States are numbers; a goal is one of them."""

    name, observation_size, action_size, goal_size, max_episode_steps = "line", 1, 1, 1, 5

    def utility(self, observations, goals):
        distance = np.abs(np.asarray(observations)[..., 0] - np.asarray(goals)[..., 0])
        return np.exp(-distance).astype(np.float32)


class LineRun(SimpleNamespace):
    """A run of the users' own rewards, functions of the state."""

    serves_groups, seed, fitted = False, 0, SimpleNamespace(model=SimpleNamespace(asks_nobody=False))

    def rewards_of_states(self, states):
        return np.array([[reward(float(state)) for (state,) in states] for reward in self.rewards], dtype=np.float32)


GRID = StateGrid(np.array([[0.0], [1.0], [2.0], [np.nan], [3.0]], dtype=np.float32), (1, 5))


def prepared(states=(), situations=(), **parts):
    environment = Environment("line", "none/Line-v0", Line, **parts)
    columns = {"next_observations": states, "observations": situations}
    dataset = {name: np.array(values, dtype=np.float32).reshape(-1, 1) for name, values in columns.items()}
    return SimpleNamespace(
        plan=SimpleNamespace(environment=environment, task=Line()), dataset=SimpleNamespace(**dataset)
    )


def run_of(goals, *rewards):
    return LineRun(goals=np.array(goals, dtype=np.float64)[:, None], rewards=rewards)


def near(goal):
    return lambda state: -abs(state - goal)


def high_at(*best):
    return lambda state: float(state in best)


RIGHT_OR_WRONG = run_of(
    [2, 2, 2, 2, 2, 2, 9, 0],
    near(2),
    near(1),
    high_at(2, 0),  # half of two best states
    high_at(2, 0, 1),  # a third of them
    lambda state: 1e6 * high_at(0)(state) + 0.5 * high_at(1)(state) + (1e6 - 0.5) * high_at(2)(state),  # as good as 0
    lambda state: 1e6 * high_at(0)(state) + (1e6 - 5) * high_at(2)(state),  # not quite
    near(9),  # nowhere
    lambda _: float("nan"),
)
EXPECTED = [1, 0, 1, 0, 1, 0, np.nan, 0]


def test_a_reward_is_right_where_half_of_its_best_states_are_success_states():
    found = blame(prepared(state_grid=lambda: GRID), RIGHT_OR_WRONG)
    np.testing.assert_array_equal(found.reward_right, EXPECTED)
    assert np.isnan(found.planned_success).all()


def test_however_many_users_are_judged_at_once(monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    found = blame(prepared(state_grid=lambda: GRID), RIGHT_OR_WRONG)
    np.testing.assert_array_equal(found.reward_right, EXPECTED)


def test_without_a_grid_the_states_are_the_datas(monkeypatch):
    monkeypatch.setattr(module, "NUM_STATES", 50)
    data = prepared(states=[0] * 1000 + [1] * 1000)
    np.testing.assert_array_equal(
        blame(data, run_of([0, 1, 2], near(0), near(0), near(2))).reward_right, [1, 0, np.nan]
    )
    asked = []
    run = run_of([0], lambda state: asked.append(state) or state)
    blame(data, run)
    assert len(asked) == 50
    assert set(asked) == {0.0, 1.0}


def test_a_one_step_choice_is_right_in_95_of_100_situations():
    """In situation s one may end in s or in s + 100; user g is content with 100 + g and more."""

    class Task(Line):
        def success(self, observations, goals):
            return np.asarray(observations)[..., 0] >= 100 + np.asarray(goals)[..., 0]

    def outcomes(observations):
        return np.stack([observations, observations + 100], axis=-2)

    def wrong_in(num):
        return lambda state: -state if state % 100 < 2 * num and state % 2 == 0 else state

    def data(situations):
        found = prepared(situations=situations, outcomes=outcomes, state_grid=lambda: GRID)
        found.plan.task = Task()
        return found

    situations = np.repeat(np.arange(20), 7)
    never = run_of([20], wrong_in(0))
    assert np.isnan(blame(data(situations), never).reward_right).all()
    found = blame(data(situations), run_of([0, 0, 0], wrong_in(0), wrong_in(1), wrong_in(2)))
    np.testing.assert_array_equal(found.reward_right, [1, 1, 0])  # right in 20, 19 and 18 of 20
    # in 18 of 20 nothing can be had: only the last two situations count
    np.testing.assert_array_equal(
        blame(data(situations), run_of([18, 18], wrong_in(9), wrong_in(10))).reward_right, [1, 0]
    )


def test_at_most_64_different_situations_are_looked_at():
    seen = []

    def outcomes(observations):
        seen.append(observations)
        return observations[:, None]

    blame(prepared(situations=np.repeat(np.arange(100), 5), outcomes=outcomes), run_of([0], near(0)))
    blame(prepared(situations=np.repeat(np.arange(3), 500), outcomes=outcomes), run_of([0], near(0)))
    assert [len(situations) for situations in seen] == [64, 3]
    assert len(np.unique(seen[0])) == 64


@pytest.mark.parametrize("serves_groups", [True, False])
def test_nothing_is_said_of_policies_of_groups_and_of_what_asks_nobody(serves_groups):
    run = run_of([2, 2], near(2), near(2))
    run.serves_groups = serves_groups
    run.fitted = SimpleNamespace(model=SimpleNamespace(asks_nobody=not serves_groups))
    found = blame(prepared(state_grid=lambda: GRID, planner=lambda rewards: None), run)
    assert np.isnan(found.reward_right).all()
    assert np.isnan(found.planned_success).all()


@pytest.mark.parametrize("at_once", [256, 1])
def test_the_best_paths_for_the_learned_reward_are_judged_by_where_they_end(monkeypatch, at_once):
    """From the places 0 and 3 the planner climbs to the best of the places at most one step away."""
    monkeypatch.setattr(module, "_PLANS_AT_ONCE", at_once)
    planned = []

    def planner(rewards):
        planned.extend(rewards.tolist())
        places = np.array([0.0, 1.0, 2.0, 3.0])
        ends = [[[places[near][row[near].argmax()]] for near in ([0, 1], [2, 3])] for row in rewards]
        return SimpleNamespace(ends=np.array(ends, dtype=np.float32))

    run = run_of([1, 2, 3, 1, 9], near(1), near(2), near(0), near(1), near(1))
    found = blame(prepared(state_grid=lambda: GRID, planner=planner), run)
    np.testing.assert_array_equal(found.planned_success, [0.5, 0.5, 0, 0.5, 0])
    assert len(planned) == 3  # equal rewards once
    np.testing.assert_array_equal(found.reward_right, [1, 1, 0, 1, np.nan])


def test_a_policy_is_judged_where_the_reward_is_right():
    found = blame(prepared(state_grid=lambda: GRID), run_of([2, 2, 9], near(2), near(1), near(9)))
    np.testing.assert_array_equal(found.policy_right(np.array([0.25, 1.0, 1.0])), [0.25, np.nan, np.nan])


def oracle_run(environment, goals, wanted):
    """A run of the oracle, which is told `wanted`, for users with other goals."""
    task = environment.make_task()
    model = make_learner("oracle", {}, task=task)
    draws = SimpleNamespace(
        seed=0, acting=None, acting_users=SimpleNamespace(goals=goals), context=lambda *_: SimpleNamespace(goals=wanted)
    )
    states = torch.empty(0, task.observation_size)
    latents = torch.as_tensor(wanted)
    own = latents, np.zeros(0, np.int64), states, PairClassifierSettings()
    fitted = FittedLearner(draws, model, [], 0.0, {}, *own)
    prepared = SimpleNamespace(plan=SimpleNamespace(environment=environment, task=task))
    return prepared, Run(Method("oracle", "none", "iql", "oracle"), fitted, 8)


@pytest.mark.parametrize("name", [name for name in environments.names() if environments.get(name).outcomes is None])
def test_the_truth_is_right_and_somebody_elses_is_wrong(name):
    environment = environments.get(name)
    task = environment.make_task()
    for named in task.goal_sets.values():
        goals = np.stack([task.goal(goal) for goal in named])
        assert (blame(*oracle_run(environment, goals, goals)).reward_right == 1).all()
        assert (blame(*oracle_run(environment, goals, np.roll(goals, 1, axis=0))).reward_right == 0).all()
