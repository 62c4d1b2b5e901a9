"""The behaviour policy: D4RL's waypoint controller with noise, in many mazes at once, and the data it leaves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.maze.draws import Draws, Float64, Rows, SharedDraws
from pluralbench.envs.maze.environment import start_states
from pluralbench.envs.maze.maps import MazeMap, load_map
from pluralbench.envs.maze.physics import MazePhysics
from pluralbench.envs.maze.task import SUCCESS_RADIUS
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.progress import Progress
from pluralbench.ranges import LARGEST, MOST, check_number, check_whole

BEHAVIOUR_VERSION = 4
"""Raised whenever `collect` comes to give other bytes for the same seed."""

_STEPS_PER_MAZE = 2000
_MAX_MAZES = 512


@dataclass(frozen=True)
class WaypointSettings:
    """Settings of the controller; the defaults are D4RL's where it has such a setting."""

    position_gain: float = 10.0
    """Push per metre to the waypoint."""
    velocity_gain: float = -1.0
    """Push per m/s."""
    action_noise: float = 0.5
    """Standard deviation of the Gaussian noise that is added to each action (D4RL's `--noisy`)."""
    arrival_distance: float = 0.1
    """Metres from a waypoint at which the next one is taken."""
    arrival_speed: float = 0.5
    """m/s below which the goal counts as reached. D4RL means this too, but its bound of 0.1 m per step never binds at
    5 m/s, so that its ball rushes past its goals."""
    rare_cells_share: float = 0.5
    """Share of the goals drawn so that cells which few shortest paths cross come more often (weight 1 / paths), the
    others evenly, as all of D4RL's. Evenly alone the ends of corridors, past which no path leads, are hardly seen; by
    the paths alone nobody stops in the middle of a corridor, and no policy learns what it is to stay there."""
    max_rest: int = 100
    """Steps for which a reached goal is held, drawn uniformly from 0 to this. D4RL's controller turns away at once:
    nothing in its data says what it is worth to stay, and learned policies stop a cell before the goal. Rests of
    several hundred steps fill the middles of cells with actions that lead nowhere, and policies stop there."""
    waypoint_jitter: float = 0.2
    """Waypoints on the way are the cell's point minus uniform noise up to this, towards the cell's middle."""
    max_steps: int = 800
    """A navigation goal that has not been reached by then is given up."""

    def __post_init__(self) -> None:
        check_number(DatasetError, self, -LARGEST, LARGEST, "position_gain", "velocity_gain")
        check_number(DatasetError, self, 0, LARGEST, "action_noise", "waypoint_jitter")
        check_number(DatasetError, self, 0, LARGEST, "arrival_distance", "arrival_speed", above=True)
        check_number(DatasetError, self, 0, 1, "rare_cells_share")
        check_whole(DatasetError, self, 0, MOST, "max_rest")
        check_whole(DatasetError, self, 1, MOST, "max_steps")


D4RL_LIKE = WaypointSettings(rare_cells_share=0.0, max_rest=0)
"""Goals drawn evenly and left at once."""


def push(states: Float64, waypoints: Float64, settings: WaypointSettings) -> Float64:
    """The controller's actions (R, 2) in [-1, 1], without noise, for states (R, 4) on the way to waypoints (R, 2)."""
    action = settings.position_gain * (waypoints - states[:, :2]) + settings.velocity_gain * states[:, 2:]
    return np.clip(action, -1.0, 1.0, out=action)


def has_arrived(states: Float64, waypoints: Float64, settings: WaypointSettings) -> NDArray[np.bool_]:
    """Which states (R, 4) are so near their waypoints (R, 2) that the next ones are taken."""
    offset = states[:, :2] - waypoints
    return np.asarray(np.einsum("bi,bi->b", offset, offset) < settings.arrival_distance**2)


def is_slow(states: Float64, settings: WaypointSettings) -> NDArray[np.bool_]:
    """Which states (R, 4) are so slow that a goal is reached and not passed."""
    return np.asarray(np.einsum("bi,bi->b", states[:, 2:], states[:, 2:]) < settings.arrival_speed**2)


class WaypointPolicy:
    """Navigates B mazes, each along the shortest path to a goal cell of its own, drawn anew when it is reached.

    They start at `positions` (B, 2); goals, jitter and noise come from `draws`, in a fixed order.
    """

    def __init__(self, maze: MazeMap, settings: WaypointSettings, positions: Float64, draws: Draws) -> None:
        num = len(positions)
        self._maze, self._settings, self._draws = maze, settings, draws
        rare, share = 1.0 / maze.crossings, settings.rare_cells_share
        weights = share * rare / rare.sum() + (1.0 - share) / len(rare)
        weights = weights * (1.0 - np.eye(len(weights)))  # (here, goal): never the present cell
        thresholds = np.cumsum(weights, axis=1)
        self._goal_thresholds = thresholds / thresholds[:, -1:]  # the last is exactly 1, above every number drawn
        self._goal = np.zeros(num, dtype=np.int64)
        self._cell = np.zeros(num, dtype=np.int64)  # the cell of the current waypoint
        self._waypoint = np.zeros((num, 2))
        self._steps_left = np.zeros(num, dtype=np.int64)
        self._resting = np.zeros(num, dtype=np.bool_)
        self._choose_goals(np.arange(num), positions)

    def act(self, states: Float64, rows: Rows) -> NDArray[np.float32]:
        """Noisy actions (R, 2) in [-1, 1] for states (R, 4) of the mazes `rows` (R,)."""
        action = push(states, self._waypoint[rows], self._settings)
        action += self._settings.action_noise * self._draws.standard_normal(rows)
        return np.clip(action, -1.0, 1.0, out=action).astype(np.float32)

    def observe(self, states: Float64, rows: Rows) -> NDArray[np.bool_]:
        """Takes note of the states (R, 4) that the actions led to; True (R,) where a navigation ended there."""
        settings = self._settings
        arrived = has_arrived(states, self._waypoint[rows], settings)
        last = self._cell[rows] == self._goal[rows]
        reached = rows[arrived & last & is_slow(states, settings) & ~self._resting[rows]]
        if len(reached):
            self._resting[reached] = True
            self._steps_left[reached] = 1 + self._draws.integers(reached, settings.max_rest + 1)
        self._steps_left[rows] -= 1
        ended = self._steps_left[rows] == 0
        onward = rows[arrived & ~last & ~ended]
        if len(onward):
            self._go_on(onward, self._cell[onward])
        if ended.any():
            self._choose_goals(rows[ended], states[ended, :2])
        return ended

    def _choose_goals(self, rows: Rows, positions: Float64) -> None:
        """A goal among all cells but the present one, its time limit, and the first waypoint."""
        here = self._maze.cell_index(positions)
        self._resting[rows] = False
        self._goal[rows] = (self._goal_thresholds[here] <= self._draws.random(rows, 1)).sum(axis=1)
        self._steps_left[rows] = self._settings.max_steps
        self._go_on(rows, here)

    def _go_on(self, rows: Rows, cells: Rows) -> None:
        """The waypoint after `cells` on the way to the goals of `rows`."""
        cells = self._maze.next_cell[cells, self._goal[rows]]
        jitter = self._settings.waypoint_jitter * self._draws.random(rows, 2)
        jitter[cells == self._goal[rows]] = 0.0
        self._cell[rows] = cells
        self._waypoint[rows] = self._maze.free_cells[cells] - jitter


def collect_like_d4rl(num_transitions: int, seed: int, progress: Progress | None = None) -> TransitionDataset:
    """`collect` with `D4RL_LIKE`."""
    return collect(num_transitions, seed, progress, settings=D4RL_LIKE)


def collect(
    num_transitions: int,
    seed: int,
    progress: Progress | None = None,
    *,
    layout: str = "large",
    settings: WaypointSettings | None = None,
    num_threads: int | None = None,
) -> TransitionDataset:
    """Data of the waypoint policy: one episode per navigation goal, maze after maze.

    Each maze runs on without a reset, as D4RL's data does: an episode starts where the last one ended. `timeouts` mark
    where a navigation goal had been reached and held, or was given up, and the last step of each maze; nothing is
    terminal. Rewards are D4RL's sparse ones for the layout's own goal, at the state that a transition arrives at.

    Args:
        num_transitions: at least so many; rounded up to a full number of steps for every maze.
        seed: the same seed, settings and versions of NumPy and MuJoCo give the same bytes on any number of threads.
        progress: told (transitions done, transitions in all).
        layout: `open`, `umaze`, `medium` or `large`.
        settings: of the controller.
        num_threads: threads that step the physics; None takes all.

    Raises:
        DatasetError, LayoutError: fewer than one transition asked for, or no such layout.
    """
    if num_transitions < 1:
        raise DatasetError(f"maze: num_transitions must be at least 1, is {num_transitions}")
    settings = settings or WaypointSettings()
    maze = load_map(layout)
    num_mazes = min(max(num_transitions // _STEPS_PER_MAZE, 1), _MAX_MAZES)
    num_steps = math.ceil(num_transitions / num_mazes)
    generator, physics = np.random.default_rng(seed), MazePhysics(maze, num_threads)
    states = start_states(maze, num_mazes, generator)
    policy = WaypointPolicy(maze, settings, states[:, :2], SharedDraws(generator))
    observations, actions, timeouts = _roll_out(policy, physics, states, num_steps, progress)
    physics.close()
    timeouts[:, -1] = True
    next_observations = np.ascontiguousarray(observations[:, 1:]).reshape(-1, 4)
    distance = np.linalg.norm(next_observations[:, :2] - np.array(maze.own_goal, dtype=np.float32), axis=1)
    return TransitionDataset(
        observations=np.ascontiguousarray(observations[:, :-1]).reshape(-1, 4),
        actions=actions.reshape(-1, 2),
        next_observations=next_observations,
        rewards=(distance <= SUCCESS_RADIUS).astype(np.float32),
        terminals=np.zeros(num_mazes * num_steps, dtype=np.bool_),
        timeouts=timeouts.reshape(-1),
        metadata={
            "environment": "pluralbench/MazeNavigation-v0",
            "layout": layout,
            "policy": "waypoint",
            "behaviour_version": BEHAVIOUR_VERSION,
            "settings": asdict(settings),
            "seed": seed,
            "rewards": f"1 within {SUCCESS_RADIUS} m of {maze.own_goal} after the step, else 0",
            "versions": {"numpy": np.__version__, "mujoco": mujoco.__version__},
        },
    )


def _roll_out(
    policy: WaypointPolicy, physics: MazePhysics, states: Float64, num_steps: int, progress: Progress | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Observations (B, T + 1, 4), actions (B, T, 2) and ends of navigation (B, T) of B mazes over T steps."""
    num_mazes, rows = len(states), np.arange(len(states))
    observations = np.empty((num_mazes, num_steps + 1, 4), dtype=np.float32)
    actions = np.empty((num_mazes, num_steps, 2), dtype=np.float32)
    timeouts = np.empty((num_mazes, num_steps), dtype=np.bool_)
    observations[:, 0] = states
    for step in range(num_steps):
        actions[:, step] = action = policy.act(states, rows)
        states = physics.step(states, action)
        observations[:, step + 1] = states
        timeouts[:, step] = policy.observe(states, rows)
        if progress is not None and (step % 50 == 49 or step == num_steps - 1):
            progress((step + 1) * num_mazes, num_steps * num_mazes)
    return observations, actions, timeouts
