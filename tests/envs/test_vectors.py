"""Environments from outside: no batched version of their own, no behaviour policy, no success in their infos."""

import gymnasium as gym
import numpy as np
import pytest

from pluralbench.envs import Environment, GoalError, MultiGoalTask, load_or_collect, make_vector
from pluralbench.envs.random_actions import collect_random
from pluralbench.envs.transitions import DatasetError
from pluralbench.envs.vectors import SerialVector
from pluralbench.errors import InputError


class LineTask(MultiGoalTask):
    name = "line"
    observation_size = 1
    action_size = 3
    goal_size = 1
    max_episode_steps = 6
    discrete_actions = True

    def __init__(self):
        self.goal_sets = {"ends": ((-2,), (2,))}

    def utility(self, observations, goals):
        distance = np.abs(np.asarray(observations)[..., 0] - np.asarray(goals)[..., 0])
        return (1.0 / (1.0 + distance)).astype(np.float32)


class Line(gym.Env):
    """A robot that goes left, stays or goes right, and may fall; it forgets its goal on each reset."""

    falls_at = np.inf

    def __init__(self):
        self.task = LineTask()
        self.observation_space = gym.spaces.Box(-10.0, 10.0, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(3, start=-1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal = (options or {}).get("goal")
        self.position = float(self.np_random.integers(-1, 2))
        return np.float32([self.position]), {}

    def step(self, action):
        if action not in self.action_space:
            raise InputError(f"line: {action} is no action")
        self.position += int(action)
        if self.position >= self.falls_at:
            raise RuntimeError("fell off the line")
        observation = np.float32([self.position])
        success = False if self.goal is None else bool(self.task.success(observation, self.goal))
        return observation, float(success), success, False, {"reward_terms": {"success": float(success)}}


class GoesOn(Line):
    """Success does not end it."""

    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, False, info


gym.register("tests/Line-v0", Line, max_episode_steps=LineTask.max_episode_steps)
LINE = Environment("line", "tests/Line-v0", LineTask)


@pytest.fixture
def vector():
    made = make_vector(LINE, 3)
    yield made
    made.close()


def starts(seed):
    env = Line()
    return [env.reset(seed=seed + row)[0][0] for row in range(3)]


def test_any_gymnasium_environment_gets_a_vector_with_a_goal_for_each(vector):
    assert isinstance(vector, SerialVector)
    assert LINE.name == vector.task.name
    goals = np.array([[-2.0], [2.0], [9.0]])
    observations, infos = vector.reset(seed=5, options={"goal": goals})
    assert observations[:, 0].tolist() == starts(5)
    assert infos["success"].tolist() == infos["is_success"].tolist() == [False] * 3
    assert [env.unwrapped.goal[0] for env in vector.envs] == [-2, 2, 9]
    steps = np.zeros(3, dtype=int)
    for _ in range(6):
        running = ~infos["success"]
        observations, rewards, terminated, truncated, infos = vector.step(np.array([-1, 1, 0]))
        steps += running
        assert infos["success"].tolist() == terminated.tolist()
        assert rewards.tolist() == infos["reward_terms"]["success"].tolist() == (terminated & running).tolist()
    assert terminated.tolist() == [True, True, False]
    assert truncated.tolist() == [False, False, True]  # Gymnasium's TimeLimit
    first, second, third = starts(5)
    assert steps.tolist() == [first + 2, 2 - second, 6]
    assert observations[:, 0].tolist() == [-2, 2, third]
    vector.reset(seed=5)
    assert [env.unwrapped.goal[0] for env in vector.envs] == [-2, 2, 9]  # a goal holds until another is set


def test_an_episode_that_raises_fails_alone_and_says_so_once(vector):
    vector.envs[1].unwrapped.falls_at = 2
    vector.reset(seed=0, options={"goal": np.array([[-9.0], [9.0], [9.0]])})
    errors = []
    for _ in range(4):
        observations, rewards, _, truncated, infos = vector.step(np.array([0, 1, 0]))
        assert infos["success"].shape == (3,)
        errors += [str(error) for error in infos.get("error", ()) if error]
    assert errors == ["RuntimeError: fell off the line"]
    assert truncated.tolist() == [False, True, False]
    assert observations[1, 0] == 1  # the last that was seen
    assert not rewards.any()
    mask = np.array([False, True, False])
    observations, _ = vector.reset(seed=[None, 1, None], options={"reset_mask": mask, "goal": (2,)})
    assert observations[1, 0] == starts(1)[0]
    assert not vector.step(np.zeros(3, dtype=int))[3].any()
    assert vector.goals[:, 0].tolist() == [-9, 2, 9]


def test_episodes_start_anew_on_the_next_step_if_they_shall():
    vector = SerialVector([Line(), Line()], LineTask(), "NextStep")
    vector.reset(seed=0, options={"goal": np.array([[2.0], [-9.0]])})
    for _ in range(4):
        _, _, terminated, _, _ = vector.step(np.array([1, 0]))
        if terminated[0]:
            break
    assert terminated.tolist() == [True, False]
    observations, rewards, terminated, _, infos = vector.step(np.array([1, 0]))
    assert abs(observations[0, 0]) <= 1
    assert rewards.tolist() == [0, 0]
    assert not terminated.any()
    assert not infos["success"].any()


def test_what_the_caller_can_put_right_is_raised(vector):
    vector.reset(seed=0)
    with pytest.raises(InputError, match="5 is no action"):
        vector.step(np.array([5, 0, 0]))
    with pytest.raises(InputError, match=r"actions must be \(3,\)"):
        vector.step(np.zeros(2, dtype=int))
    with pytest.raises(GoalError, match="one goal or 3"):
        vector.reset(options={"goal": np.zeros((2, 1))})
    with pytest.raises(InputError, match="at least 1"):
        make_vector(LINE, 0)


def test_what_was_reached_is_remembered_where_an_environment_does_not_tell():
    vector = SerialVector([GoesOn(), GoesOn()], LineTask())
    vector.reset(seed=0, options={"goal": np.array([[starts(0)[0] + 2], [9.0]])})
    told = []
    for action in (1, 1, 1, -1):
        infos = vector.step(np.array([action, 0]))[4]
        told.append((infos["success"][0], infos["reached"][0]))
    assert told == [(False, False), (True, True), (False, True), (True, True)]
    assert not infos["reached"][1]
    assert not vector.reset(seed=0)[1]["reached"].any()


def test_random_actions_are_the_data_of_an_environment_without_a_policy(tmp_path):
    told = []
    data = load_or_collect(LINE, 40, 3, tmp_path, lambda *step: told.append(step))
    assert told[-1] == (40, 40)
    assert 40 <= len(data) < 40 + LineTask.max_episode_steps
    assert data.actions.shape == (len(data), 3)
    assert (data.actions.sum(1) == 1).all()
    assert (data.actions.mean(0) > 0.15).all()
    np.testing.assert_array_equal(data.next_observations - data.observations, data.actions @ [[-1.0], [0.0], [1.0]])
    assert data.timeouts[-1]
    assert data.metadata["policy"] == "random-actions"
    again, other = (collect_random(LINE, 40, seed) for seed in (3, 4))
    np.testing.assert_array_equal(data.actions, again.actions)
    assert data.actions.tobytes() != other.actions.tobytes()
    with pytest.raises(DatasetError, match="at least 1"):
        collect_random(LINE, 0, 0)
