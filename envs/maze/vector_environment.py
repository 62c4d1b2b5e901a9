"""Maze-Navigation for many episodes at once: batched physics behind `gym.make_vec`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.maze.environment import MazeNavigation, given_states, observation_space, start_states
from pluralbench.envs.maze.physics import MazePhysics
from pluralbench.envs.maze.rendering import draw_maze
from pluralbench.envs.maze.task import STEPS_TO_STAY, MazeTask
from pluralbench.envs.vectors import Infos, Rows, VectorEpisodes


class MazeNavigationVector(VectorEpisodes):
    """`MazeNavigation` times `num_envs`: same spaces, rewards, ends and, from the same states, the same next states.

    See `VectorEpisodes` for options, infos and autoreset. `reset(options={"state": states})` takes (num_envs, 4) states
    to start from.

    Args:
        num_envs: number of episodes at once.
        layout: as in `MazeNavigation`.
        render_mode: likewise.
        goal: likewise.
        terminate_on_success: likewise.
        max_episode_steps: steps until an episode is truncated.
        autoreset_mode: NEXT_STEP or DISABLED.
        num_threads: threads that step; None takes as many as there are processors. No influence on the results.
    """

    task: MazeTask

    def __init__(
        self,
        num_envs: int = 1,
        layout: str = "large",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
        max_episode_steps: int = MazeTask.max_episode_steps,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        num_threads: int | None = None,
        terminate_on_success: bool = False,
    ) -> None:
        task = MazeTask(layout)
        own = task.goal(task.map.own_goal if goal is None else goal)
        spaces = (observation_space(task.map), gym.spaces.Box(-1.0, 1.0, shape=(2,), dtype=np.float32))
        metadata = MazeNavigation.metadata
        super().__init__(task, num_envs, spaces, autoreset_mode, render_mode, metadata, max_episode_steps)
        self.terminate_on_success = terminate_on_success
        self._physics = MazePhysics(task.map, num_threads)
        self.goals[:], self._has_goal[:] = own, True
        self._states = np.zeros((num_envs, 4))
        self._utility = np.zeros(num_envs, dtype=np.float32)
        self._steps_there = np.zeros(num_envs, dtype=np.int64)
        self._generators = [np.random.default_rng(stream) for stream in np.random.SeedSequence().spawn(num_envs)]
        self._trails: list[list[NDArray[np.float64]]] = [[] for _ in range(num_envs)]

    def _start(self, rows: Rows, options: Mapping[str, Any], seeds: Sequence[int | None] | None = None) -> Infos:
        for row, seed in enumerate(seeds or ()):
            if seed is not None:
                self._generators[row] = seeding.np_random(seed)[0]
        if "state" in options:
            states = given_states(options["state"], (self.num_envs, 4))[rows]
        else:
            states = np.concatenate([start_states(self.task.map, 1, self._generators[row]) for row in rows])
        self._states[rows] = self._observations[rows] = states
        self._success[rows], self._steps_there[rows] = False, 0
        self._reached[rows] = self.task.reached(states, self.goals[rows])
        if self.terminate_on_success:
            self._success[rows] = self._reached[rows]
        self._utility[rows] = self.task.utility(states, self.goals[rows])
        if self.render_mode is not None:
            for row in rows:
                self._trails[row] = [self._states[row, :2].copy()]
        return self._infos()

    def _advance(self, rows: Rows, started: Rows, actions: NDArray[Any]) -> tuple[NDArray[np.float64], Infos]:
        if len(started):
            self._start(started, {})
        goals = self.goals[rows]
        after = self._physics.step(self._states[rows], actions[rows])
        near_goal, utility = self.task.reached(after, goals), self.task.utility(after, goals)
        progress = np.subtract(utility, self._utility[rows], dtype=np.float64)
        self._states[rows] = self._observations[rows] = after
        self._utility[rows] = utility
        self._reached[rows] |= near_goal
        self._steps_there[rows] = np.where(self.task.success(after, goals), self._steps_there[rows] + 1, 0)
        self._success[rows] = self._steps_there[rows] >= STEPS_TO_STAY
        if self.terminate_on_success:
            self._terminated[rows], self._success[rows] = near_goal, self._reached[rows]
        if self.render_mode is not None:
            for row in rows:
                self._trails[row].append(self._states[row, :2].copy())
        terms = {"near_goal": np.zeros(self.num_envs), "progress": np.zeros(self.num_envs)}
        terms["near_goal"][rows], terms["progress"][rows] = near_goal, progress
        return terms["near_goal"] + terms["progress"], self._infos(terms)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One picture per environment."""
        if self.render_mode is None:
            return None
        frames = zip(self.goals, self._states[:, :2], self._trails, strict=True)
        return tuple(draw_maze(self.task, goal, position, np.array(trail)) for goal, position, trail in frames)

    def close_extras(self, **kwargs: Any) -> None:
        """Stops the physics threads."""
        self._physics.close()
