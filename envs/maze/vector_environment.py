"""Maze-Navigation for many episodes at once: batched physics behind `gym.make_vec`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.maze.environment import MazeNavigation, given_states, observation_space, start_states
from pluralbench.envs.maze.physics import MazePhysics
from pluralbench.envs.maze.rendering import draw_maze
from pluralbench.envs.maze.task import MazeTask

StepResult = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class MazeNavigationVector(gym.vector.VectorEnv[NDArray[np.float32], NDArray[np.float32], NDArray[Any]]):
    """`MazeNavigation` times `num_envs`: same spaces, rewards, ends and, from the same states, the same next states.

    `reset(options=...)` understands

    | option | meaning |
    |---|---|
    | goal | (2,) or (3,) for all, or (num_envs, 2 or 3); holds, through autoresets, until another is set |
    | state | (num_envs, 4), states to start from |
    | reset_mask | (num_envs,) bool with at least one True: resets (and gives goals and states to) those alone |

    `infos["success"]` and each of `infos["reward_terms"]` are arrays (num_envs,), Gymnasium's `_success` beside them.

    Autoreset: with NEXT_STEP an ended episode starts anew on the following step, which ignores its action and pays
    nothing. With DISABLED an ended episode stands still and is no longer simulated: it returns its last observation
    and flags, with no reward, until it is reset.

    Args:
        num_envs: number of episodes at once.
        layout: `umaze`, `medium` or `large`.
        render_mode: None or `rgb_array`; `render()` gives one picture per environment.
        goal: (2,) or (3,), the goal of all until `reset` names others.
        max_episode_steps: steps until an episode is truncated.
        autoreset_mode: NEXT_STEP or DISABLED.
        num_threads: threads that step; None takes as many as there are processors. No influence on the results.

    Raises:
        ValueError: another autoreset mode, or fewer than one environment.
    """

    def __init__(
        self,
        num_envs: int = 1,
        layout: str = "large",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
        max_episode_steps: int = 800,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        num_threads: int | None = None,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"maze: num_envs must be at least 1, is {num_envs}")
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            raise ValueError("maze: autoreset_mode must be NEXT_STEP or DISABLED, is SAME_STEP")
        self.metadata = {**MazeNavigation.metadata, "autoreset_mode": self.autoreset_mode}
        self.task = MazeTask(layout)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.max_episode_steps = max_episode_steps
        self.single_observation_space = observation_space(self.task.map)
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, shape=(2,), dtype=np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._physics = MazePhysics(self.task.map, num_threads)
        own = self.task.goal(self.task.map.own_goal if goal is None else goal)
        self.goals = np.repeat(own[None], num_envs, axis=0)
        self._states = np.zeros((num_envs, 4))
        self._utility = np.zeros(num_envs, dtype=np.float32)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._success = np.zeros(num_envs, dtype=np.bool_)
        self._terminated = np.zeros(num_envs, dtype=np.bool_)
        self._truncated = np.zeros(num_envs, dtype=np.bool_)
        self._trails: list[list[NDArray[np.float64]]] = [[] for _ in range(num_envs)]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts all episodes, or those of `options["reset_mask"]`, anew.

        Raises:
            GoalError: an impossible goal.
            ValueError: an option of the wrong shape or type.
        """
        super().reset(seed=seed)
        options = options or {}
        mask = self._reset_mask(options.get("reset_mask"))
        if "goal" in options:
            goals = self.task.goals(options["goal"])
            if goals.shape not in ((3,), (self.num_envs, 3)):
                raise ValueError(f"maze: options['goal'] must be one goal or {self.num_envs}, has shape {goals.shape}")
            self.goals = np.where(mask[:, None], goals, self.goals)
        states = None
        if "state" in options:
            states = given_states(options["state"], (self.num_envs, 4))[mask]
        self._start(np.flatnonzero(mask), states)
        return self._states.astype(np.float32), self._infos()

    def _reset_mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ValueError(f"maze: options['reset_mask'] must be a bool array ({self.num_envs},), is {mask!r}")
        if not mask.any():
            raise ValueError("maze: options['reset_mask'] must hold at least one True")
        return mask

    def _start(self, rows: NDArray[np.int64], states: NDArray[np.float64] | None = None) -> None:
        if states is None:
            states = start_states(self.task.map, len(rows), self.np_random)
        self._states[rows] = states
        self._elapsed[rows] = 0
        self._terminated[rows] = self._truncated[rows] = False
        self._success[rows] = self.task.success(states, self.goals[rows])
        self._utility[rows] = self.task.utility(states, self.goals[rows])
        if self.render_mode is not None:
            for row in rows:
                self._trails[row] = [self._states[row, :2].copy()]

    def step(self, actions: NDArray[np.floating]) -> StepResult:
        """One step of every running episode; see the class for the ended ones."""
        ended = self._terminated | self._truncated
        running = np.flatnonzero(~ended)
        if self.autoreset_mode is AutoresetMode.NEXT_STEP and ended.any():
            self._start(np.flatnonzero(ended))
        terms = self._advance(running, np.asarray(actions))
        rewards: NDArray[np.float64] = np.zeros(self.num_envs) + sum(terms.values())
        infos = self._infos(terms)
        return self._states.astype(np.float32), rewards, self._terminated.copy(), self._truncated.copy(), infos

    def _advance(self, rows: NDArray[np.int64], actions: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        """Simulates `rows` for a step, marks their ends and returns the reward terms of all environments."""
        goals = self.goals[rows]
        after = self._physics.step(self._states[rows], actions[rows])
        success, utility = self.task.success(after, goals), self.task.utility(after, goals)
        progress = np.subtract(utility, self._utility[rows], dtype=np.float64)
        terms = {"success": success.astype(np.float64), "progress": progress}
        self._states[rows], self._utility[rows] = after, utility
        self._elapsed[rows] += 1
        self._success[rows] = self._terminated[rows] = success
        self._truncated[rows] = self._elapsed[rows] >= self.max_episode_steps
        if self.render_mode is not None:
            for row in rows:
                self._trails[row].append(self._states[row, :2].copy())
        everywhere = {name: np.zeros(self.num_envs) for name in terms}
        for name, term in terms.items():
            everywhere[name][rows] = term
        return everywhere

    def _infos(self, terms: dict[str, NDArray[np.float64]] | None = None) -> dict[str, Any]:
        everyone = np.ones(self.num_envs, dtype=np.bool_)
        infos: dict[str, Any] = {"success": self._success.copy(), "_success": everyone}
        if terms is not None:
            masks = {f"_{name}": everyone.copy() for name in terms}
            infos |= {"reward_terms": {**terms, **masks}, "_reward_terms": everyone.copy()}
        return infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One picture per environment."""
        if self.render_mode is None:
            return None
        frames = zip(self.goals, self._states[:, :2], self._trails, strict=True)
        return tuple(draw_maze(self.task, goal, position, np.array(trail)) for goal, position, trail in frames)

    def close_extras(self, **kwargs: Any) -> None:
        """Stops the physics threads."""
        if hasattr(self, "_physics"):  # Gymnasium closes an environment whose construction failed, too
            self._physics.close()
