"""Driving many balls along routes without noise, each to a point where it stops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.maze.draws import Float64, Rows
from pluralbench.envs.maze.maps import MazeMap
from pluralbench.envs.maze.waypoint_policy import WaypointSettings, has_arrived, is_slow, push

_AT_POINTS = WaypointSettings()
_ON_THE_WAY = WaypointSettings(arrival_distance=0.3)  # the ball is in the corner's cell then, and has room to turn


class RouteDriver:
    """Drives B balls with the waypoint policy's controller, without its noise and jitter.

    A route (M,) names for each of the M free cells the one to go to next. A cell that names itself is where the ball
    stops, at a point of its own. A straight line is driven at a stretch.
    """

    def __init__(self, maze: MazeMap, num: int) -> None:
        self._maze = maze
        self._routes = np.zeros((num, len(maze.free_cells)), dtype=np.int64)
        self._points = np.zeros((num, 2))
        self._cell = np.zeros(num, dtype=np.int64)  # the cell of the current waypoint
        self._waypoint = np.zeros((num, 2))

    def set_out(self, rows: Rows, positions: Float64, routes: NDArray[np.int64], points: Float64) -> None:
        """Balls `rows` (R,) leave positions (R, 2) along routes (R, M) and shall stop at points (R, 2)."""
        self._routes[rows], self._points[rows] = routes, points
        self._aim(rows, self._maze.cell_index(positions))

    def act(self, states: Float64, rows: Rows) -> NDArray[np.float32]:
        """Actions (R, 2) for states (R, 4) of the balls `rows` (R,)."""
        onward = rows[has_arrived(states, self._waypoint[rows], _ON_THE_WAY)]
        if len(onward):
            self._aim(onward, self._cell[onward])
        return push(states, self._waypoint[rows], _AT_POINTS).astype(np.float32)

    def has_stopped(self, states: Float64, rows: Rows) -> NDArray[np.bool_]:
        """Which of the balls `rows` (R,), in states (R, 4), are at rest at the ends of their routes."""
        return has_arrived(states, self._points[rows], _AT_POINTS) & is_slow(states, _AT_POINTS)

    def _aim(self, rows: Rows, cells: Rows) -> None:
        """Waypoints after `cells` (R,): the ends of the straight lines that begin there."""
        cells_of, routes = self._maze.free_cells, self._routes
        ahead = routes[rows, cells]
        direction = cells_of[ahead] - cells_of[cells]
        straight = np.ones(len(rows), dtype=np.bool_)
        while straight.any():
            after = routes[rows, ahead]
            straight = (after != ahead) & (cells_of[after] - cells_of[ahead] == direction).all(axis=1)
            ahead = np.where(straight, after, ahead)
        self._cell[rows] = ahead
        stops = routes[rows, ahead] == ahead
        self._waypoint[rows] = np.where(stops[:, None], self._points[rows], cells_of[ahead])
