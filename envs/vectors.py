"""Many episodes of any environment side by side, and what all batched environments do alike."""

from __future__ import annotations

import importlib
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from pluralbench.envs.environments import Environment
from pluralbench.envs.multigoal import FloatArray, GoalError, MultiGoalTask
from pluralbench.errors import InputError

Rows = NDArray[np.int64]
Infos = dict[str, Any]
Seeds = int | Sequence[int | None] | None


def usable_processors() -> int:
    """Processors that this process may use: fewer than the machine has where a container or taskset says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_vector(name: str, num_envs: int, autoreset_mode: AutoresetMode | str) -> None:
    """Raises InputError unless there is an environment and the mode is NEXT_STEP or DISABLED."""
    if num_envs < 1:
        raise InputError(f"{name}: num_envs must be at least 1, is {num_envs}")
    if AutoresetMode(autoreset_mode) is AutoresetMode.SAME_STEP:
        raise InputError(f"{name}: autoreset_mode must be NEXT_STEP or DISABLED, is SAME_STEP")


class VectorEpisodes(gym.vector.VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """Base of the batched environments; they define `_start` and `_advance`.

    `reset(options=...)` understands, besides what an environment adds,

    | option | meaning |
    |---|---|
    | goal | one for all, or (num_envs, G); holds, through autoresets, until another is set |
    | reset_mask | (num_envs,) bool with at least one True: resets (and gives goals to) those alone |

    Infos are Gymnasium's: arrays (num_envs,), a mask `_key` beside each key, among them the bools `success` and
    `is_success`, whether the episode would be a success if it ended now, and `reached`, whether it was in the papers'
    sense at any time so far.

    Autoreset: with NEXT_STEP an ended episode starts anew on the following step, which ignores its action and pays
    nothing. With DISABLED an ended episode stands still and is no longer simulated: it returns its last observation
    and flags, with no reward, until it is reset.

    Args:
        task: its goals, sizes and name.
        num_envs: number of episodes, InputError for none.
        spaces: of one observation and of one action.
        autoreset_mode: NEXT_STEP or DISABLED, InputError for another.
        render_mode: as of the single environment; `render()` gives one picture per environment.
        metadata: as of the single environment.
        max_episode_steps: steps after which an episode is truncated; None where the episodes see to it.
    """

    closed = True  # until it is built: Gymnasium closes environments whose construction failed, too

    def __init__(
        self,
        task: MultiGoalTask,
        num_envs: int,
        spaces: tuple[gym.Space[Any], gym.Space[Any]],
        autoreset_mode: AutoresetMode | str,
        render_mode: str | None,
        metadata: Mapping[str, Any],
        max_episode_steps: int | None = None,
    ) -> None:
        check_vector(task.name, num_envs, autoreset_mode)
        self.task = task
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**metadata, "autoreset_mode": self.autoreset_mode}
        self.max_episode_steps = max_episode_steps
        self.single_observation_space, self.single_action_space = spaces
        self.observation_space, self.action_space = (batch_space(space, num_envs) for space in spaces)
        self.goals: FloatArray = np.full((num_envs, task.goal_size), np.nan)
        self._has_goal = np.zeros(num_envs, dtype=np.bool_)  # False where the environment chooses one on each reset
        self._observations = np.zeros((num_envs, task.observation_size), dtype=np.float32)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._success = np.zeros(num_envs, dtype=np.bool_)
        self._reached = np.zeros(num_envs, dtype=np.bool_)
        self._terminated = np.zeros(num_envs, dtype=np.bool_)
        self._truncated = np.ones(num_envs, dtype=np.bool_)  # no episode runs before the first reset
        self.closed = False

    @abstractmethod
    def _start(self, rows: Rows, options: Mapping[str, Any], seeds: Sequence[int | None] | None = None) -> Infos:
        """Starts the episodes of `rows`: sets their observations, `_success` and `_reached`, and gives infos."""

    @abstractmethod
    def _advance(self, rows: Rows, started: Rows, actions: NDArray[Any]) -> tuple[NDArray[np.float64], Infos]:
        """Starts the episodes `started`, does a step of the others in `rows`, and gives rewards (num_envs,) and infos.

        Sets observations, `_success`, `_reached`, `_terminated` and `_truncated` of both, but for the limit of steps.
        """

    def reset(self, *, seed: Seeds = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], Infos]:
        """Starts all episodes, or those of `options["reset_mask"]`, anew.

        Args:
            seed: of the first environment, the others following by one each, or one for each.
            options: see the class.

        Raises:
            GoalError: an impossible goal, or neither one nor num_envs of them.
            InputError: another option, or a list of seeds, of the wrong shape or type.
        """
        options = dict(options or {})
        rows = np.flatnonzero(self._checked_mask(options.pop("reset_mask", None)))
        seeds = self._checked_seeds(seed)
        if "goal" in options:
            self.goals[rows] = self._checked_goals(options.pop("goal"))[rows]
            self._has_goal[rows] = True
        self._clear(rows)
        infos = self._start(rows, options, seeds)
        return self._observations.copy(), infos

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Infos]:
        """One step of every running episode; InputError unless there is one action for each environment."""
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape:
            raise InputError(f"{self.task.name}: actions must be {self.action_space.shape}, are {actions.shape}")
        ended = self._terminated | self._truncated
        running = np.flatnonzero(~ended)
        started = np.flatnonzero(ended & (self.autoreset_mode is AutoresetMode.NEXT_STEP))
        self._clear(started)
        self._elapsed[running] += 1
        rewards, infos = self._advance(running, started, actions)
        if self.max_episode_steps is not None:
            self._truncated[running] |= self._elapsed[running] >= self.max_episode_steps
        return self._observations.copy(), rewards, self._terminated.copy(), self._truncated.copy(), infos

    def _clear(self, rows: Rows) -> None:
        self._elapsed[rows] = 0
        self._terminated[rows] = self._truncated[rows] = self._reached[rows] = False

    def _infos(self, terms: Mapping[str, NDArray[np.float64]] | None = None) -> Infos:
        """Success and reward terms (num_envs,) of all environments."""
        infos: Infos = {}
        for name, value in (("success", self._success), ("is_success", self._success), ("reached", self._reached)):
            infos |= {name: value.copy(), f"_{name}": np.ones(self.num_envs, dtype=np.bool_)}
        if terms is not None:
            masks = {f"_{name}": np.ones(self.num_envs, dtype=np.bool_) for name in terms}
            infos |= {"reward_terms": {**terms, **masks}, "_reward_terms": np.ones(self.num_envs, dtype=np.bool_)}
        return infos

    def _checked_goals(self, value: Any) -> FloatArray:
        goals = self.task.goal(value)[None] if isinstance(value, str) else self.task.goals(value)
        size = self.task.goal_size
        if goals.shape not in ((size,), (1, size), (self.num_envs, size)):
            raise GoalError(
                f"{self.task.name}: options['goal'] must be one goal or {self.num_envs}, has shape {goals.shape}"
            )
        return np.broadcast_to(goals, (self.num_envs, size))

    def _checked_mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        expected = f"{self.task.name}: options['reset_mask'] must be a bool array ({self.num_envs},)"
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise InputError(f"{expected}, is {mask!r}")
        if not mask.any():
            raise InputError(f"{expected} with at least one True")
        return mask

    def _checked_seeds(self, seed: Seeds) -> Sequence[int | None] | None:
        """One seed for each environment; None where none is given."""
        if seed is None:
            return None
        seeds = range(int(seed), int(seed) + self.num_envs) if isinstance(seed, int | np.integer) else seed
        if len(seeds) != self.num_envs:
            raise InputError(f"{self.task.name}: {self.num_envs} environments need as many seeds, got {len(seeds)}")
        return [None if one is None else int(one) for one in seeds]


class SerialVector(VectorEpisodes):
    """Single environments, one after the other in this process.

    Environment i takes seed + i and goal i, and gives exactly what it would give by itself. An episode in which
    something raises is over at once (truncated, no success, no reward, its last observation), and `infos["error"]` of
    that step holds the message; the others go on. An InputError, such as an impossible action, is raised. Where an
    info has neither `success` nor `is_success`, the task's `success` of the observation counts; where it has no
    `reached`, whether there has been success so far.

    Args:
        envs: the environments, all alike.
        task: theirs.
        autoreset_mode: NEXT_STEP or DISABLED.
        render_mode: theirs.
    """

    def __init__(
        self,
        envs: Sequence[gym.Env[Any, Any]],
        task: MultiGoalTask,
        autoreset_mode: AutoresetMode | str = AutoresetMode.DISABLED,
        render_mode: str | None = None,
    ) -> None:
        self.envs = list(envs)
        check_vector(task.name, len(self.envs), autoreset_mode)
        spaces = (self.envs[0].observation_space, self.envs[0].action_space)
        super().__init__(task, len(self.envs), spaces, autoreset_mode, render_mode, self.envs[0].metadata)
        self._last_infos: list[Infos] = [{} for _ in self.envs]

    def _start(self, rows: Rows, options: Mapping[str, Any], seeds: Sequence[int | None] | None = None) -> Infos:
        for row in rows:
            own = {**options, "goal": self.goals[row].copy()} if self._has_goal[row] else dict(options)
            observation, info = self.envs[row].reset(seed=None if seeds is None else seeds[row], options=own)
            self._take(int(row), observation, info)
        return self._joined(rows)

    def _advance(self, rows: Rows, started: Rows, actions: NDArray[Any]) -> tuple[NDArray[np.float64], Infos]:
        rewards = np.zeros(self.num_envs)
        self._last_infos = [_at_rest(info) for info in self._last_infos]
        self._start(started, {})
        for row in rows:
            try:
                observation, reward, terminated, truncated, info = self.envs[row].step(actions[row])
            except InputError:
                raise
            except Exception as error:  # noqa: BLE001 (whatever is raised: the episode failed, and says so)
                failed = {"success": False, "is_success": False, "error": f"{type(error).__name__}: {error}"}
                self._last_infos[row] |= failed
                self._success[row], self._truncated[row] = False, True
                continue
            rewards[row], self._terminated[row], self._truncated[row] = float(reward), terminated, truncated
            self._take(int(row), observation, info)
        return rewards, self._joined(np.arange(self.num_envs))

    def _take(self, row: int, observation: Any, info: Infos) -> None:
        self._observations[row] = observation
        told = info.get("success", info.get("is_success"))
        success = bool(self.task.success(self._observations[row], self.goals[row]) if told is None else told)
        self._success[row] = success
        self._reached[row] |= bool(info.get("reached", success))
        self._last_infos[row] = {**info, "success": success, "is_success": success, "reached": bool(self._reached[row])}

    def _joined(self, rows: Rows) -> Infos:
        infos: Infos = {}
        for row in rows:
            infos = self._add_info(infos, self._last_infos[row], int(row))
        return infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One picture per environment."""
        if self.render_mode is None:
            return None
        return tuple(np.asarray(env.render()) for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """Closes all environments."""
        for env in self.envs:
            env.close()


def _at_rest(info: Infos) -> Infos:
    """The info of a step in which nothing happens."""
    kept = {name: value for name, value in info.items() if name != "error"}
    return {**kept, "reward_terms": dict.fromkeys(kept["reward_terms"], 0.0)} if "reward_terms" in kept else kept


def make_single(environment: Environment, **options: Any) -> gym.Env[Any, Any]:
    """One episode of an environment at a time; `options` are those of `gym.make`."""
    return gym.make(environment.gym_id, **environment.arguments, **options)


def make_vector(environment: Environment, num_envs: int) -> gym.vector.VectorEnv:
    """`num_envs` episodes of an environment, which stand still when they have ended (autoreset DISABLED).

    The environment's own batched version where it has one, else a `SerialVector`.
    """
    module, _, gym_id = environment.gym_id.rpartition(":")
    if module:  # "module:id", as gym.make takes it
        importlib.import_module(module)
    if gym.spec(gym_id).vector_entry_point is not None:
        return gym.make_vec(gym_id, num_envs, autoreset_mode=AutoresetMode.DISABLED, **environment.arguments)
    envs = [make_single(environment, disable_env_checker=True) for _ in range(num_envs)]
    return SerialVector(envs, environment.make_task())
