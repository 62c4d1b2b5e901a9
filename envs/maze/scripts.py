"""What acts in the maze without having learned anything: the data's policy, a tour of goals, a planned path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.maze.draws import SeparateDraws
from pluralbench.envs.maze.planning import best_moves, cell_rewards, ends_of
from pluralbench.envs.maze.route_driver import RouteDriver
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.maze.waypoint_policy import D4RL_LIKE, WaypointPolicy, WaypointSettings
from pluralbench.envs.scripts import PlannedScript, Script


class BehaviourScript(Script):
    """The waypoint policy, noise and all.

    Args:
        settings: those of `collect`.
    """

    def __init__(self, settings: WaypointSettings) -> None:
        self._maze, self._settings = MazeTask().map, settings

    def begin(self, observations: NDArray[np.float32], jobs: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        """Each episode with a generator of its own."""
        positions = observations[:, :2].astype(np.float64)
        self._policy = WaypointPolicy(self._maze, self._settings, positions, SeparateDraws(seeds))

    def act(self, observations: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """A noisy push towards the next waypoint."""
        states = observations.astype(np.float64)
        self._policy.observe(states, rows)
        return self._policy.act(states, rows)


class TourScript(Script):
    """Visits all targets without noise, the nearest first, stops at each, and stays at the last.

    Args:
        task: whose maze it is.
        targets: (P, 2), m.
    """

    def __init__(self, task: MazeTask, targets: NDArray[np.floating]) -> None:
        self._maze = task.map
        self._targets = targets
        self._cells = self._maze.cell_index(targets)

    def begin(self, observations: NDArray[np.float32], jobs: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        """Sets out for the nearest."""
        num = len(observations)
        self._driver = RouteDriver(self._maze, num)
        self._visited = np.zeros((num, len(self._targets)), dtype=np.bool_)
        self._target = np.zeros(num, dtype=np.int64)
        self._set_out(np.arange(num), observations)

    def act(self, observations: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """A push towards the next target, or towards the one after where the ball has stopped."""
        states = observations.astype(np.float64)
        there = self._driver.has_stopped(states, rows)
        self._visited[rows[there], self._target[rows[there]]] = True
        onward = there & ~self._visited[rows].all(axis=1)
        if onward.any():
            self._set_out(rows[onward], states[onward])
        return self._driver.act(states, rows)

    def _set_out(self, rows: NDArray[np.int64], states: NDArray[np.floating]) -> None:
        """To the target that is fewest cells away of those not visited."""
        steps = self._maze.steps[self._maze.cell_index(states[:, :2])][:, self._cells]
        target = np.where(self._visited[rows], steps.max() + 1, steps).argmin(axis=1)
        self._target[rows] = target
        routes = self._maze.next_cell[:, self._cells[target]].T
        self._driver.set_out(rows, states[:, :2].astype(np.float64), routes, self._targets[target])


class PlannedMazeScript(PlannedScript):
    """Goes the best way for its job's reward without noise, and stops where it ends; M are the free cells.

    Args:
        task: whose maze it is.
        rewards: (J, P) of the reachable states of its grid.
    """

    def __init__(self, task: MazeTask, rewards: NDArray[np.floating]) -> None:
        self._maze = task.map
        self._moves = best_moves(task.map, cell_rewards(task, rewards))  # (J, M)
        self._points = task.map.free_cells[ends_of(self._moves)].astype(np.float64)  # (J, M, 2)
        self.ends = np.concatenate([self._points, np.zeros_like(self._points)], axis=-1).astype(np.float32)

    def begin(self, observations: NDArray[np.float32], jobs: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        """Sets out on the ways of the jobs."""
        positions = observations[:, :2].astype(np.float64)
        points = self._points[jobs, self._maze.cell_index(positions)]
        self._driver = RouteDriver(self._maze, len(jobs))
        self._driver.set_out(np.arange(len(jobs)), positions, self._moves[jobs], points)

    def act(self, observations: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """A push towards the next turn, or towards the end."""
        return self._driver.act(observations.astype(np.float64), rows)


def behaviour_script(settings: WaypointSettings | None = None) -> BehaviourScript:
    """The policy that makes the data, in episodes; with the defaults of `collect` if None."""
    return BehaviourScript(settings or WaypointSettings())


def behaviour_script_like_d4rl() -> BehaviourScript:
    """The policy that makes the data of `collect_like_d4rl`."""
    return BehaviourScript(D4RL_LIKE)


def tour_script(goals: NDArray[np.floating]) -> TourScript:
    """A tour of the points of goals (G', 3), or (G', 2); of valence -1, of one that is furthest away."""
    task = MazeTask()
    return TourScript(task, np.unique([task.targets(goal)[0] for goal in task.goals(goals)], axis=0))


def planned_script(rewards: NDArray[np.floating]) -> PlannedMazeScript:
    """The best ways for rewards (J, P) of the reachable states of `MazeTask.state_grid`."""
    return PlannedMazeScript(MazeTask(), rewards)
