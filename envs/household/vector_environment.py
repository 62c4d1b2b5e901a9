"""Many household episodes side by side, all in one simulator.

Between two placements nothing in the flat moves, so an episode is no more than the poses of its objects: the simulator
takes up one episode after the other. Each gives exactly what it would give by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from pluralbench.envs.household.environment import ActionError, HouseholdEnv
from pluralbench.envs.household.rearrange import HabitatRearrange
from pluralbench.envs.household.simulator import make_simulator
from pluralbench.envs.household.tidy import HabitatTidy
from pluralbench.envs.multigoal import GoalError

StepResult = tuple[NDArray[np.float32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]


class HouseholdVector(gym.vector.VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[np.floating]]):
    """`num_envs` episodes of a household environment, with its spaces, rewards and ends.

    `reset(options=...)` understands

    | option | meaning |
    |---|---|
    | goal | (G,) for all, or (num_envs, G); holds, through autoresets, until another is set |
    | reset_mask | (num_envs,) bool with at least one True: resets those alone |

    and `seed` is a number, of which environment i takes seed + i, or a list of one seed each.

    Infos are Gymnasium's: arrays (num_envs,), a mask `_key` beside each key. An episode in which the simulator raises
    is over at once (truncated, no success), and `infos["error"]` says why.

    Autoreset: with NEXT_STEP an ended episode starts anew on the following step, which ignores its action and pays
    nothing. With DISABLED an ended episode stands still: it returns its last observation and flags, with no reward,
    until it is reset.

    Args:
        num_envs: number of episodes.
        simulator: `auto`, `pybullet` or `habitat`.
        render_mode: None or `rgb_array`; `render()` gives one picture per environment.
        autoreset_mode: NEXT_STEP or DISABLED.
        max_episode_steps: taken because Gymnasium names it; episodes end by themselves before.
        **arguments: the environment's own, `goal` or `episodes` say.

    Raises:
        ValueError: another autoreset mode, or fewer than one environment.
    """

    environment: ClassVar[Callable[..., HouseholdEnv]]

    def __init__(
        self,
        num_envs: int = 1,
        simulator: str = "auto",
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"household: num_envs must be at least 1, is {num_envs}")
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            raise ValueError("household: autoreset_mode must be NEXT_STEP or DISABLED, is SAME_STEP")
        self.simulator = make_simulator(simulator, render=render_mode is not None)
        self.envs = [type(self).environment(self.simulator, render_mode, **arguments) for _ in range(num_envs)]
        self.task = self.envs[0].task
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.metadata = {**HouseholdEnv.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._observations = np.zeros((num_envs, self.task.observation_size), dtype=np.float32)
        self._terminated = np.zeros(num_envs, dtype=np.bool_)
        self._truncated = np.zeros(num_envs, dtype=np.bool_)
        self._last_infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts all episodes, or those of `options["reset_mask"]`, anew.

        Raises:
            GoalError: an impossible goal.
            ValueError: an option of the wrong shape or type.
        """
        options = dict(options or {})
        mask = self._reset_mask(options.pop("reset_mask", None))
        goals = options.pop("goal", None)
        if goals is not None:
            goals = self.task.goals(goals)
            if goals.shape not in ((self.task.goal_size,), (self.num_envs, self.task.goal_size)):
                raise GoalError(
                    f"{self.task.name}: options['goal'] must be one goal or {self.num_envs}, has shape {goals.shape}"
                )
            goals = np.broadcast_to(goals, (self.num_envs, self.task.goal_size))
        seeds = self._seeds(seed)
        for row in np.flatnonzero(mask):
            own = options if goals is None else {**options, "goal": goals[row]}
            self._start(int(row), seeds[row], own)
        return self._observations.copy(), self._infos(mask)

    def _reset_mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ValueError(f"household: options['reset_mask'] must be a bool array ({self.num_envs},), is {mask!r}")
        if not mask.any():
            raise ValueError("household: options['reset_mask'] must hold at least one True")
        return mask

    def _seeds(self, seed: int | list[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        seeds: list[int | None] = (
            list(range(int(seed), int(seed) + self.num_envs)) if isinstance(seed, (int, np.integer)) else list(seed)
        )
        if len(seeds) != self.num_envs:
            raise ValueError(f"household: {self.num_envs} environments need as many seeds, got {len(seeds)}")
        return seeds

    def _start(self, row: int, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        self._observations[row], self._last_infos[row] = self.envs[row].reset(seed=seed, options=options)
        self._terminated[row] = self._truncated[row] = False

    def step(self, actions: NDArray[np.int64]) -> StepResult:
        """One placement in every running episode; see the class for the ended ones."""
        actions = np.asarray(actions)
        rewards = np.zeros(self.num_envs)
        ended = self._terminated | self._truncated
        for row, env in enumerate(self.envs):
            if ended[row]:
                if self.autoreset_mode is AutoresetMode.NEXT_STEP:
                    self._start(row)
                elif terms := self._last_infos[row].get("reward_terms"):
                    self._last_infos[row] |= {"reward_terms": dict.fromkeys(terms, 0.0)}
                continue
            try:
                result = env.step(actions[row])
            except ActionError:
                raise
            except Exception as error:  # noqa: BLE001 (whatever a simulator raises: the episode failed, and says so)
                message = f"{type(error).__name__}: {error}"
                self._last_infos[row] = {**self._last_infos[row], "success": False, "error": message}
                self._truncated[row] = True
                continue
            self._observations[row], rewards[row], self._terminated[row], _, self._last_infos[row] = result
        infos = self._infos(np.ones(self.num_envs, dtype=np.bool_))
        return self._observations.copy(), rewards, self._terminated.copy(), self._truncated.copy(), infos

    def _infos(self, mask: NDArray[np.bool_]) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for row in np.flatnonzero(mask):
            infos = self._add_info(infos, self._last_infos[row], int(row))
        return infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One picture per environment."""
        if self.render_mode is None:
            return None
        return tuple(picture for picture in (env.render() for env in self.envs) if picture is not None)

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the shared simulator."""
        self.simulator.close()


class HabitatRearrangeVector(HouseholdVector):
    """Many episodes of `HabitatRearrange`."""

    environment = HabitatRearrange


class HabitatTidyVector(HouseholdVector):
    """Many episodes of `HabitatTidy`."""

    environment = HabitatTidy
