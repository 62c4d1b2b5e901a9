"""Every episode counts: also the last round's, also those in which the simulator raises."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from pluralbench.benchmarks.stages.evaluate import Outcome, run_episodes
from pluralbench.benchmarks.stages.iql_policy import evaluation_interval
from pluralbench.envs.environments import Environment
from pluralbench.envs.scripts import Script


class CountingVector(gym.vector.VectorEnv):
    """Observation (goal, time). Succeeds at time `goal` if the action was the job's own; raises where the goal is 7."""

    metadata = {"autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012
    made: list[int] = []  # noqa: RUF012
    seeds: list[list[int]] = []  # noqa: RUF012

    def __init__(self, num_envs, autoreset_mode=AutoresetMode.DISABLED):
        self.num_envs = num_envs
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.single_action_space = gym.spaces.Box(-100, 100, (1,), np.float32)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        CountingVector.made.append(num_envs)

    def reset(self, *, seed=None, options=None):
        CountingVector.seeds.append(seed)
        self.goals = np.broadcast_to(options["goal"], (self.num_envs, 1))[:, 0].copy()
        self.time = np.zeros(self.num_envs)
        self.done = np.zeros(self.num_envs, bool)
        return self._observe(), {"success": np.zeros(self.num_envs, bool)}

    def _observe(self):
        return np.column_stack([self.goals, self.time]).astype(np.float32)

    def step(self, actions):
        self.time += ~self.done
        success = (self.time == self.goals) & (actions[:, 0] == self.goals) & ~self.done
        errors = np.where((self.goals == 7) & (self.time == 2), "arm out of reach", "")
        truncated = self.time >= 5
        self.done |= success | truncated
        return self._observe(), np.zeros(self.num_envs), success, truncated, {"success": success, "error": errors}


@pytest.fixture
def environment():
    gym.register("pluralbench-test/Counting-v0", entry_point="unused:Unused", vector_entry_point=CountingVector)
    yield Environment("counting", "pluralbench-test/Counting-v0", lambda: None, max_parallel_episodes=4)
    del gym.registry["pluralbench-test/Counting-v0"]
    CountingVector.made.clear()
    CountingVector.seeds.clear()


def test_every_job_gets_its_episodes_its_goal_and_its_policy(environment):
    goals = np.array([[3.0], [2.0], [4.0]])
    rows_seen = []

    def act(observations, jobs):
        rows_seen.append(len(jobs))
        assert (observations[:, 0] == goals[jobs, 0]).all()
        return np.where(jobs == 1, 99.0, goals[jobs, 0])[:, None]  # job 1's policy is wrong

    outcome = run_episodes(environment, act, goals, episodes=3, seed=0)
    np.testing.assert_array_equal(outcome.successes, [3, 0, 3])
    np.testing.assert_array_equal(outcome.mean_steps, [3, 5, 4])
    assert outcome.errors == ()
    assert CountingVector.made == [4]  # nine episodes in three rounds of at most four
    assert sum(rows_seen) < 3 * 4 * 5  # ended episodes are not acted for


def test_an_episode_that_raises_is_a_failure_and_is_reported(environment):
    outcome = run_episodes(environment, lambda o, j: o[:, :1], np.array([[7.0], [3.0]]), episodes=2, seed=0)
    np.testing.assert_array_equal(outcome.successes, [0, 2])
    assert outcome.errors == ((0, "arm out of reach"), (0, "arm out of reach"))
    np.testing.assert_array_equal(outcome.success_rates, [0.0, 1.0])


def test_outcomes_split_by_job_and_survive_json():
    outcome = Outcome(4, np.array([1, 2, 3]), np.array([1, 4, 3]), np.array([5.0, 6.0, 7.0]), ((2, "broke"),))
    part = outcome.of_jobs(slice(1, 3))
    np.testing.assert_array_equal(part.successes, [2, 3])
    np.testing.assert_array_equal(part.reached, [4, 3])
    assert part.errors == ((1, "broke"),)
    again = Outcome.from_dict(outcome.as_dict())
    np.testing.assert_array_equal(again.success_rates, outcome.success_rates)
    np.testing.assert_array_equal(again.reached, outcome.reached)
    assert again.errors == outcome.errors


class PassingVector(CountingVector):
    """Things are as the user wants them at time `goal` alone; episodes last five steps."""

    def step(self, actions):
        self.time += 1
        success, over = self.time == self.goals, self.time >= 5
        return self._observe(), np.zeros(self.num_envs), over & False, over, {"success": success}


def test_only_the_end_of_an_episode_counts_and_passing_by_is_told_beside_it(environment):
    gym.registry["pluralbench-test/Counting-v0"].vector_entry_point = PassingVector
    goals = np.array([[3.0], [5.0], [9.0]])
    outcome = run_episodes(environment, lambda o, j: o[:, :1], goals, episodes=2, seed=0)
    np.testing.assert_array_equal(outcome.successes, [0, 2, 0])
    np.testing.assert_array_equal(outcome.reached, [2, 2, 0])


def seeds_of(environment, num_jobs, job_seeds, seed=0):
    CountingVector.seeds.clear()
    run_episodes(environment, lambda o, j: o[:, :1], np.full((num_jobs, 1), 2.0), 3, seed, np.asarray(job_seeds))
    return np.concatenate(CountingVector.seeds)[: 3 * num_jobs].reshape(num_jobs, 3)


def test_a_users_episodes_start_alike_whoever_is_evaluated_beside(environment):
    together, alone = seeds_of(environment, 3, [11, 5, 7]), seeds_of(environment, 1, [7])
    np.testing.assert_array_equal(together[2], alone[0])
    assert len(np.unique(together)) == 9
    assert not np.isin(seeds_of(environment, 1, [7], seed=1), together).any()


class Remembering(Script):
    """Does what its episode's job says, and counts its own steps."""

    def begin(self, observations, jobs, seeds):
        self.jobs, self.steps = jobs, np.zeros(len(jobs), dtype=int)

    def act(self, observations, rows):
        np.testing.assert_array_equal(self.steps[rows], observations[:, 1])
        self.steps[rows] += 1
        return np.where(self.jobs[rows] == 0, observations[:, 0], 99.0)[:, None]


def test_a_script_remembers_each_episode_by_itself(environment):
    outcome = run_episodes(environment, Remembering(), np.array([[3.0], [2.0]]), episodes=3, seed=0)
    np.testing.assert_array_equal(outcome.successes, [3, 0])


@pytest.mark.parametrize(
    ("num_updates", "num_points", "steps"),
    [
        (20, 2, [10, 20]),
        (20, 3, [7, 14, 20]),
        (20, 6, [4, 8, 12, 16, 20]),
        (20, 1, [20]),
        (2, 8, [1, 2]),
        (26_000, 5, [5_200, 10_400, 15_600, 20_800, 26_000]),
    ],
)
def test_a_curve_has_no_more_points_than_asked_for(num_updates, num_points, steps):
    every = evaluation_interval(num_updates, num_points)
    assert [step for step in range(1, num_updates + 1) if step % every == 0 or step == num_updates] == steps
