"""What is asked of an environment before any work: the shipped ones keep it, and each breach is one line."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from pluralbench.envs import Environment, MultiGoalTask, StateGrid, environments
from pluralbench.envs.environment_check import ContractError, check_environment

GOALS = np.array([[0.2, 0.2], [0.8, 0.8]])


class Task(MultiGoalTask):
    name = "table"
    observation_size, action_size, goal_size, max_episode_steps = 2, 3, 2, 5

    def utility(self, observations, goals):
        return np.exp(-np.linalg.norm(observations - goals, axis=-1)).astype(np.float32)


class Table(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (3,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal = options["goal"]
        self.cup = self.np_random.random(2, dtype=np.float32)
        return self.cup, {}

    def step(self, action):
        self.cup += 0.1 * action[:2]  # the observation given before moves along: the check must have its own
        return self.cup, 0.0, False, False, {}


@pytest.fixture
def environment():
    """Makes one of a task and a Gymnasium environment of these attributes; unregistered afterwards."""
    made = []

    def make(task=(), env=(), steps=5, **more):
        kind = type("Made", (Table,), dict(env))
        gym_id = f"Checked{len(made)}-v0"
        gym.register(gym_id, entry_point=kind, max_episode_steps=steps)
        made.append(gym_id)
        return Environment("table", gym_id, type("Wanted", (Task,), dict(task)), **more)

    yield make
    for gym_id in made:
        del gym.registry[gym_id]


def grid(observations):
    return lambda: StateGrid(np.asarray(observations, dtype=np.float32), (1, len(observations)))


def bare(self, seed=None, options=None):
    return np.zeros(2, dtype=np.float32)


def seen(self, seed=None, options=None):
    return np.float32(options["goal"]), {}


def restless(self, seed=None, options=None):
    return np.random.default_rng().random(2, dtype=np.float32), {}  # whatever the seed


def longer(self, seed=None, options=None):
    return np.zeros(3, dtype=np.float32), {}


def lost(self, seed=None, options=None):
    return np.full(2, np.nan, dtype=np.float32), {}


def four(self, action):
    return np.zeros(2, dtype=np.float32), 0.0, False, {}


def listed(self, action):
    return np.zeros(2, dtype=np.float32), 0.0, False, False, []


def ending(self, action):
    self.steps_left = getattr(self, "steps_left", 6) - 1  # one step before the episode that is played
    return np.zeros(2, dtype=np.float32), 0.0, False, self.steps_left == 0, {}


def test_a_sound_one_passes_whatever_its_grid_leaves_out(environment):
    check_environment(environment(state_grid=grid([[0, 0], [np.nan, np.nan], [1, 1]])), GOALS)
    check_environment(environment(env={"step": ending}, steps=None), GOALS)


def test_what_never_ends(environment):
    message = (
        r"table: an episode has not ended after the task's 5 steps; register Checked0-v0 with max_episode_steps=5$"
    )
    with pytest.raises(ContractError, match=message):
        check_environment(environment(steps=None), GOALS)


def test_a_task_in_place_of_its_class(environment):
    with pytest.raises(TypeError, match=r"^table: make_task is called to build the task; give Task, not Task\(\)$"):
        replace(environment(), make_task=Task())


@pytest.mark.parametrize("name", environments.registered())
def test_the_shipped_ones_pass(name):
    shipped = environments.get(name)
    check_environment(shipped, shipped.make_task().sample_goals(4, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("task", "env", "message"),
    [
        ({"observation_size": "2"}, {}, "observation_size is a whole number from 1 up, Wanted has '2'"),
        ({"action_size": 0}, {}, "action_size is a whole number from 1 up, Wanted has 0"),
        ({"max_episode_steps": True}, {}, "max_episode_steps is a whole number from 1 up, Wanted has True"),
        ({"observation_names": ("x",)}, {}, r"1 observation_names for 2 numbers \(observation_size\)"),
        ({"name": None}, {}, "Wanted needs a name"),
        ({"observation_size": 3}, {}, r"a Box of shape \(3,\) by the task's observation_size"),
        ({}, {"observation_space": gym.spaces.Discrete(2)}, "observation_size, the environment has Discrete"),
        ({"action_size": 2}, {}, r"a Box of shape \(2,\) by the task's action_size"),
        ({"discrete_actions": True}, {}, r"the action space is Discrete\(3\) .* discrete_actions=True"),
        ({}, {"action_space": gym.spaces.Discrete(3)}, r"a Box of shape \(3,\) .*has Discrete\(3\)"),
        ({"max_episode_steps": 6}, {}, "registered with 5 steps, the task has 6"),
        ({}, {"reset": bare}, r"reset gives \(observation, info\), info a dict; it gave array"),
        ({}, {"reset": seen}, "two goals gives two observations; the goal must not be seen"),
        ({}, {"reset": restless}, "the seed must decide everything else"),
        ({}, {"reset": longer}, "reset gives an observation of 2 finite numbers .* gave array"),
        ({}, {"reset": lost}, "reset gives an observation of 2 finite numbers"),
        ({}, {"step": four}, r"step gives \(observation, .*; Gymnasium could not take apart .* got 4"),
        ({}, {"step": listed}, "info a dict; it gave"),
        ({"utility": lambda self, o, g: 2 + 0 * o[..., 0] * g[..., 0]}, {}, "between 0 and 1, utility gave 2 to 2"),
        ({"utility": lambda self, o, g: np.nan * o[..., 0] * g[..., 0]}, {}, "between 0 and 1, utility gave nan"),
        ({"utility": lambda self, o, g: 0 * (o - g)}, {}, r"here \(2, 2\); utility gave \(2, 2, 2\)"),
        ({"utility": lambda self, o, g: 0.5}, {}, r"here \(2, 2\); utility gave \(\)"),
        ({"success": lambda self, o, g: 0 * o[..., 0] * g[..., 0]}, {}, r"of type bool.*success gave \(2, 2\) of type"),
    ],
)
def test_each_breach_is_one_line(task, env, message, environment):
    with pytest.raises(ContractError, match=message) as caught:
        check_environment(environment(task, env), GOALS)
    assert "\n" not in str(caught.value)


def test_a_breach_in_the_grid(environment):
    with pytest.raises(ContractError, match="state_grid gives observations of 3 numbers, observation_size is 2"):
        check_environment(environment(state_grid=grid(np.zeros((4, 3)))), GOALS)

    def far(self, observations, goals):
        return np.where(observations[..., 0] > 5, 7.0, 0.5) + 0 * goals[..., 0]

    check_environment(environment({"utility": far}), GOALS)
    with pytest.raises(ContractError, match=r"utility gave 0\.5 to 7"):
        check_environment(environment({"utility": far}, state_grid=grid([[0, 0], [6, 0]])), GOALS)


def test_an_id_that_gymnasium_does_not_know(environment):
    with pytest.raises(ContractError, match="Gymnasium cannot make Nowhere-v0"):
        check_environment(replace(environment(), gym_id="Nowhere-v0"), GOALS)


def test_a_task_of_another_kind(environment):
    with pytest.raises(ContractError, match="make_task gives a MultiGoalTask, not a dict"):
        check_environment(replace(environment(), make_task=dict), GOALS)


def test_errors_of_its_own_code_come_through(environment):
    def failing(self, *_, **__):
        raise ValueError("its own")

    for method in ("reset", "step"):
        with pytest.raises(ValueError, match=r"^its own"):
            check_environment(environment(env={method: failing}), GOALS)
