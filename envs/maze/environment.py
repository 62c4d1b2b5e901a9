"""Maze-Navigation as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.maze.maps import MazeMap
from pluralbench.envs.maze.physics import MazePhysics
from pluralbench.envs.maze.rendering import draw_maze
from pluralbench.envs.maze.task import STEPS_TO_STAY, VELOCITY_BOUND, MazeTask
from pluralbench.errors import InputError


def observation_space(maze: MazeMap) -> gym.spaces.Box:
    """Positions in the rectangle of the free cells, velocities within what a step can reach."""
    low = np.concatenate([maze.low, [-VELOCITY_BOUND, -VELOCITY_BOUND]]).astype(np.float32)
    high = np.concatenate([maze.high, [VELOCITY_BOUND, VELOCITY_BOUND]]).astype(np.float32)
    return gym.spaces.Box(low, high, dtype=np.float32)


def start_states(maze: MazeMap, num: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """D4RL's starts (num, 4): the point of a random free cell +-0.1 m, velocity N(0, 0.1^2) m/s."""
    cells = maze.free_cells[generator.integers(len(maze.free_cells), size=num)]
    positions = cells + generator.uniform(-0.1, 0.1, size=(num, 2))
    return np.concatenate([positions, 0.1 * generator.standard_normal((num, 2))], axis=1)


def given_states(states: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The option `state` as a new array; raises InputError unless it has `shape` and is finite."""
    array = np.array(states, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"maze: options['state'] must be {shape} finite numbers, has shape {array.shape}")
    return array


class MazeNavigation(gym.Env[NDArray[Any], NDArray[Any]]):
    """A ball that is pushed through a maze towards a goal that it is not told.

    Physics, coordinates and starts are those of D4RL's maze2d (0.01 s per step).

    | observation | meaning | unit | range |
    |---|---|---|---|
    | 0 | position along the rows; the point of cell (row, col) is at (row, col) | m | 0.3 to last row + 0.3 |
    | 1 | position along the columns | m | 0.3 to last column + 0.3 |
    | 2 | velocity along the rows | m/s | -6 to 6 |
    | 3 | velocity along the columns | m/s | -6 to 6 |

    | action | meaning | unit | range |
    |---|---|---|---|
    | 0 | force along the rows | 100 N | -1 to 1 |
    | 1 | force along the columns | 100 N | -1 to 1 |

    Goal: (row, col) or (row, col, valence), see `MazeTask`. `reset(options={"goal": goal})` sets it; it holds until
    another is set. Until then it is the argument `goal`, or D4RL's own ((7, 9) on the large map).
    `reset(options={"state": state})` starts from a given state (4,) instead of a random one.

    Reward, the sum of `info["reward_terms"]`:

    | term | value |
    |---|---|
    | near_goal | 1 on a step that ends within 0.5 m of the goal: D4RL's sparse reward |
    | progress | utility after minus utility before the step; over an episode it adds up to the utility gained |

    Episode end: never terminated, as in D4RL; truncated after 800 steps (Gymnasium's TimeLimit, set at registration).
    With `terminate_on_success` the first step that ends within 0.5 m of the goal terminates, as the first contact does
    in PointMaze with `continuing_task=False`; contact is then the success: `success` is the same as `reached`. `info`
    holds, on reset and on every step, bools:

    | key | meaning |
    |---|---|
    | success, is_success | at the goal (`MazeTask.success`) during all of the last 50 steps: what counts at the end |
    | reached | within 0.5 m of the goal at any time so far: the paper's rule |

    Version history: v0, first release.

    Args:
        layout: `open`, `umaze`, `medium` or `large`.
        render_mode: None, or `rgb_array`: a picture from above, drawn without display or GPU.
        goal: the goal until `reset` names another.
        terminate_on_success: whether the first step within 0.5 m of the goal ends the episode.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 100}  # noqa: RUF012

    def __init__(
        self,
        layout: str = "large",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
        terminate_on_success: bool = False,
    ) -> None:
        self.task = MazeTask(layout)
        self.terminate_on_success = terminate_on_success
        self.render_mode = render_mode
        self.observation_space: gym.spaces.Box = observation_space(self.task.map)
        self.action_space = gym.spaces.Box(-1.0, 1.0, shape=(2,), dtype=np.float32)
        self.goal = self.task.goal(self.task.map.own_goal if goal is None else goal)
        self._physics = MazePhysics(self.task.map, num_threads=1)
        self._state = np.zeros(4)
        self._utility = 0.0
        self._steps_there, self._reached = 0, False
        self._trail: list[NDArray[np.float64]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Puts the ball in a random free cell; options as above, GoalError or InputError for impossible ones."""
        super().reset(seed=seed)
        options = options or {}
        if "goal" in options:
            self.goal = self.task.goal(options["goal"])
        if "state" in options:
            self._state = given_states(options["state"], (4,))
        else:
            self._state = start_states(self.task.map, 1, self.np_random)[0]
        self._utility = float(self.task.utility(self._state, self.goal))
        self._trail = [self._state[:2]]
        self._steps_there, self._reached = 0, bool(self.task.reached(self._state, self.goal))
        return self._state.astype(np.float32), self._info()

    def step(self, action: NDArray[np.floating]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Pushes the ball for 0.01 s."""
        self._state = self._physics.step(self._state[None], np.asarray(action)[None])[0]
        self._trail.append(self._state[:2])
        self._steps_there = self._steps_there + 1 if self.task.success(self._state, self.goal) else 0
        near_goal = bool(self.task.reached(self._state, self.goal))
        self._reached |= near_goal
        utility = float(self.task.utility(self._state, self.goal))
        terms = {"near_goal": float(near_goal), "progress": utility - self._utility}
        self._utility = utility
        info = {**self._info(), "reward_terms": terms}
        terminated = self.terminate_on_success and near_goal
        return self._state.astype(np.float32), sum(terms.values()), terminated, False, info

    def _info(self) -> dict[str, Any]:
        success = self._reached if self.terminate_on_success else self._steps_there >= STEPS_TO_STAY
        return {"success": success, "is_success": success, "reached": self._reached}

    def render(self) -> NDArray[np.uint8] | None:
        """The maze from above (H, W, 3): walls, the goal's circle, the ball and its trail since the reset."""
        if self.render_mode is None:
            gym.logger.warn("maze: make the environment with render_mode='rgb_array' to render it")
            return None
        return draw_maze(self.task, self.goal, self._state[:2], np.array(self._trail))

    def close(self) -> None:
        """Releases the simulator."""
        self._physics.close()
