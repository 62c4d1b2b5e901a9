"""Whether an environment keeps its contract: looked at before a benchmark does any work with one of a user's own."""

from __future__ import annotations

from contextlib import closing
from traceback import walk_tb
from typing import Any

import gymnasium as gym
import numpy as np

from pluralbench.envs.environments import Environment
from pluralbench.envs.multigoal import FloatArray, MultiGoalTask
from pluralbench.envs.vectors import make_single
from pluralbench.errors import InputError
from pluralbench.lines import kind_of, shown

_SIZES = ("observation_size", "action_size", "goal_size", "max_episode_steps")


class ContractError(InputError):
    """An environment that does not keep its contract; one line that says what was expected and what there is."""


def check_environment(environment: Environment, goals: FloatArray) -> None:
    """Builds the environment once, resets it for two goals, does a step, and asks its task what that is worth.

    One that Gymnasium does not cut short plays a whole episode.

    Errors that the environment's own code raises are not caught.

    Args:
        environment: on the simulator that it shall run on.
        goals: (J, G) some of the goals that users have there.

    Raises:
        ContractError: Gymnasium cannot make it, or the task, the environment or its `state_grid` breaks the contract.
    """
    task = environment.make_task()
    _check_task(task)
    goals = np.stack([goals[0], goals[-1]])
    try:
        env = make_single(environment, disable_env_checker=True)
    except gym.error.Error as error:
        raise ContractError(f"{environment.name}: Gymnasium cannot make {environment.gym_id}: {error}") from error
    with closing(env):
        _check_spaces(task, env)
        first, second = (_checked_start(task, env, goal) for goal in goals)
        _expect(
            np.array_equal(first, second),
            f"{task.name}: reset with one seed and two goals gives two observations; the goal must not be seen in them,"
            " and the seed must decide everything else",
        )
        after = _checked_step(task, env)
        if env.spec is None or env.spec.max_episode_steps is None:
            _check_ends(task, env, goals[0], environment.gym_id)
    _check_worth(task, np.stack([first, after]), goals)
    if environment.state_grid is not None:
        grid = environment.state_grid()
        _expect(
            grid.observations.shape[1] == task.observation_size,
            f"{task.name}: state_grid gives observations of {grid.observations.shape[1]} numbers, observation_size is"
            f" {task.observation_size}",
        )
        _check_worth(task, grid.observations[grid.reachable], goals)


def _expect(holds: Any, otherwise: str) -> None:
    if not holds:
        raise ContractError(otherwise)


def _check_task(task: Any) -> None:
    _expect(isinstance(task, MultiGoalTask), f"make_task gives a MultiGoalTask, not {kind_of(task)}")
    kind = type(task).__name__
    _expect(isinstance(getattr(task, "name", None), str), f"{kind} needs a name")
    for size in _SIZES:
        value = getattr(task, size, None)
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0
        _expect(whole, f"{task.name}: {size} is a whole number from 1 up, {kind} has {shown(value)}")
    names = task.observation_names
    _expect(
        len(names) in (0, task.observation_size),
        f"{task.name}: {len(names)} observation_names for {task.observation_size} numbers (observation_size)",
    )


def _check_spaces(task: MultiGoalTask, env: gym.Env[Any, Any]) -> None:
    seen, done = env.observation_space, env.action_space
    _expect(
        isinstance(seen, gym.spaces.Box) and seen.shape == (task.observation_size,),
        f"{task.name}: the observation space is a Box of shape ({task.observation_size},) by the task's"
        f" observation_size, the environment has {shown(seen)}",
    )
    if task.discrete_actions:
        fits = isinstance(done, gym.spaces.Discrete) and done.n == task.action_size and done.start == 0
        wanted = f"Discrete({task.action_size})"
    else:
        fits = isinstance(done, gym.spaces.Box) and done.shape == (task.action_size,)
        wanted = f"a Box of shape ({task.action_size},)"
    _expect(
        fits,
        f"{task.name}: the action space is {wanted} by the task's action_size and"
        f" discrete_actions={task.discrete_actions}, the environment has {shown(done)}",
    )
    limit = env.spec.max_episode_steps if env.spec is not None else None
    _expect(
        limit in (None, task.max_episode_steps),
        f"{task.name}: episodes are registered with {limit} steps, the task has {task.max_episode_steps}",
    )


def _checked_start(task: MultiGoalTask, env: gym.Env[Any, Any], goal: Any) -> np.ndarray:
    started = env.reset(seed=0, options={"goal": goal})
    pair = isinstance(started, tuple) and len(started) == 2 and isinstance(started[1], dict)
    _expect(pair, f"{task.name}: reset gives (observation, info), info a dict; it gave {shown(started)}")
    return _checked_observation(task, "reset", started[0])


def _checked_step(task: MultiGoalTask, env: gym.Env[Any, Any]) -> np.ndarray:
    gives = f"{task.name}: step gives (observation, reward, terminated, truncated, info), info a dict"
    env.action_space.seed(0)
    try:
        stepped = env.step(env.action_space.sample())
    except (TypeError, ValueError) as error:
        *_, (frame, _) = walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] != "gymnasium":
            raise
        raise ContractError(f"{gives}; Gymnasium could not take apart what it gave: {error}") from error
    whole = isinstance(stepped, tuple) and len(stepped) == 5 and isinstance(stepped[4], dict)
    _expect(whole, f"{gives}; it gave {shown(stepped)}")
    return _checked_observation(task, "step", stepped[0])


def _check_ends(task: MultiGoalTask, env: gym.Env[Any, Any], goal: Any, gym_id: str) -> None:
    """An episode of random actions, which has to end by itself: nothing else would end an evaluation."""
    env.reset(seed=0, options={"goal": goal})
    for _ in range(task.max_episode_steps):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            return
    raise ContractError(
        f"{task.name}: an episode has not ended after the task's {task.max_episode_steps} steps; register {gym_id} with"
        f" max_episode_steps={task.max_episode_steps}"
    )


def _checked_observation(task: MultiGoalTask, giver: str, observation: Any) -> np.ndarray:
    array = np.array(observation, dtype=np.float32)  # a copy: the environment may change its own
    _expect(
        array.shape == (task.observation_size,) and np.isfinite(array).all(),
        f"{task.name}: {giver} gives an observation of {task.observation_size} finite numbers (observation_size), it"
        f" gave {shown(observation)}",
    )
    return array


def _check_worth(task: MultiGoalTask, observations: np.ndarray, goals: np.ndarray) -> None:
    """Utility and success of observations (N, S) for goals (J, G)."""
    expected = (len(goals), len(observations))
    utility = np.asarray(task.utility(observations[None], goals[:, None]))
    asked = f"{task.name}: observations (1, N, S) and goals (J, 1, G)"
    _expect(utility.shape == expected, f"{asked} have utilities (J, N), here {expected}; utility gave {utility.shape}")
    _expect(
        np.isfinite(utility).all() and utility.min() >= 0 and utility.max() <= 1,
        f"{task.name}: utilities lie between 0 and 1, utility gave {utility.min():g} to {utility.max():g}",
    )
    success = np.asarray(task.success(observations[None], goals[:, None]))
    _expect(
        success.shape == expected and success.dtype == np.bool_,
        f"{asked} have successes (J, N) of type bool, here {expected}; success gave {success.shape} of type"
        f" {success.dtype}",
    )
