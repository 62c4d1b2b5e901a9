"""Where the robot's base can drive, and its shortest ways there."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from pluralbench.envs.household.flat import FLAT_SIZE, FURNITURE

CELL = 0.1
"""Side of a cell, m."""
ROBOT_RADIUS = 0.25
"""Radius of the robot's base, m."""
ROBOT_HEIGHT = 1.1
"""Parts that begin above this height, m, are no obstacles."""


class NoPathError(ValueError):
    """The robot cannot get there; the message names both ends."""


class FloorPlan:
    """A grid of cells in which the middle of the robot's base may be.

    Shortest paths are those of A* with a perfect heuristic: Dijkstra's costs-to-go from the goal, computed once for
    each goal cell and kept. Steps go to the eight neighbours; a diagonal step needs both cells beside it free.

    Args:
        free: (W, H) bool, cells along x and along y.
        origin: (2,) m, the corner of cell (0, 0).

    Attributes:
        free_points: middles (M, 2) of all free cells, m.
    """

    def __init__(self, free: NDArray[np.bool_], origin: ArrayLike = (0.0, 0.0)) -> None:
        self.free = free
        self.origin = np.asarray(origin, dtype=np.float64)
        self._index = np.flatnonzero(free.ravel())
        if len(self._index) == 0:
            raise NoPathError("the floor plan has no free cell")
        self._graph = _graph(free)
        self._ways_to = lru_cache(maxsize=512)(partial(dijkstra, self._graph, return_predecessors=True))
        # few places and few ways, many times
        self._cell_at = lru_cache(maxsize=16_384)(self._find_cell)
        self._corners = lru_cache(maxsize=16_384)(self._find_corners)
        self.free_points = self._middle(self._index)

    def _middle(self, index: NDArray[np.int64] | int) -> NDArray[np.float64]:
        rows, columns = np.unravel_index(index, self.free.shape)
        return self.origin + (np.stack([rows, columns], axis=-1) + 0.5) * CELL

    def nearest_free(self, point: ArrayLike) -> NDArray[np.float64]:
        """Middle (2,) of the free cell nearest to `point` (2,), m."""
        return self._middle(self._nearest(point))

    def _nearest(self, point: ArrayLike) -> int:
        x, y = np.asarray(point, dtype=np.float64).tolist()
        return self._cell_at(x, y)

    def _find_cell(self, x: float, y: float) -> int:
        dx, dy = (self.free_points - (x, y)).T
        return int(self._index[(dx * dx + dy * dy).argmin()])

    def path(self, start: ArrayLike, goal: ArrayLike) -> NDArray[np.float64]:
        """The shortest way as its corners (P, 2), m: straight lines between them stay in free cells.

        Args:
            start: (2,) m; the nearest free cell is taken.
            goal: (2,) m; likewise.

        Raises:
            NoPathError: no way connects the two.
        """
        corners = self._corners(self._nearest(start), self._nearest(goal))
        if corners is None:
            raise NoPathError(f"no way for the robot from {np.asarray(start).tolist()} to {np.asarray(goal).tolist()}")
        return corners.copy()

    def _find_corners(self, here: int, there: int) -> NDArray[np.float64] | None:
        """The corners of the way between two cells; None where there is none."""
        costs, previous = self._ways_to(indices=there)
        if not np.isfinite(costs[here]):
            return None
        cells = [here]
        while cells[-1] != there:
            cells.append(int(previous[cells[-1]]))
        points = self._middle(np.array(cells))
        if len(points) < 3:
            return points
        turns = np.abs(np.diff(points, n=2, axis=0)).max(1) > 1e-9
        return points[np.concatenate([[True], turns, [True]])]


def _graph(free: NDArray[np.bool_]) -> csr_matrix:
    """Edges between neighbouring free cells with their lengths."""
    number = np.arange(free.size).reshape(free.shape)
    width, height = free.shape
    ends, lengths = [], []
    for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)):
        a = (slice(0, width - dx), slice(max(0, -dy), height - max(0, dy)))
        b = (slice(dx, width), slice(max(0, dy), height - max(0, -dy)))
        open_ = free[a] & free[b]
        if dx and dy:
            open_ &= free[a[0], b[1]] & free[b[0], a[1]]
        ends.append(np.stack([number[a][open_], number[b][open_]]))
        lengths.append(np.full(ends[-1].shape[1], CELL * np.hypot(dx, dy)))
    half = csr_matrix((np.concatenate(lengths), np.concatenate(ends, axis=1)), shape=(free.size, free.size))
    return half + half.T


def furnished_floor_plan() -> FloorPlan:
    """The floor plan of the flat: every obstacle grown by the robot's radius is taken out."""
    x, y = (np.arange(round(extent / CELL)) * CELL + CELL / 2 for extent in FLAT_SIZE)
    free = np.ones((len(x), len(y)), dtype=bool)
    for part in (part for thing in FURNITURE if thing.obstacle for part in thing.parts):
        half = part.half_bounds
        if part.position[2] - half[2] > ROBOT_HEIGHT:
            continue
        beside_x = np.maximum(np.abs(x - part.position[0]) - half[0], 0.0)[:, None]
        beside_y = np.maximum(np.abs(y - part.position[1]) - half[1], 0.0)[None, :]
        free &= np.hypot(beside_x, beside_y) > ROBOT_RADIUS
    return FloorPlan(free)
