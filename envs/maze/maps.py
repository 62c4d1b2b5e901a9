"""D4RL's maze layouts, and the geometry of a layout in the coordinates of the observations.

Two points belong to a cell (row, col), 0.2 m apart along either axis:

- the *middle* of its square, (row - 0.2, col - 0.2): D4RL puts the ball's body at 1.2 m and the walls at
  (row + 1, col + 1), so joint position q lies in cell floor(q + 0.7). The mapping to PointMaze_Large-v3, where the
  middle of a cell is (col - 5.5, 4 - row), says the same.
- its *point*, (row, col): D4RL starts the ball there, aims there, and measures success there (its own goal on the
  large map is the point (7, 9)).

Goals here are points, as in D4RL: goal (7, 1) is fulfilled within 0.5 m of the position (7, 1). Rounding a position to
a cell, as D4RL's controller does, is wrong near walls: a ball at row 0.45 is in the cell of row 1 and rounds to a wall.
"""

from __future__ import annotations

from collections import deque
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pluralbench.errors import InputError
from pluralbench.registry import unknown_name

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]

BALL_RADIUS = 0.1  # m; its centre stays that far from every wall
CELL_SHIFT = 0.7  # m to add to a position before rounding it down to its cell

LAYOUTS = {
    "open": (
        "#######",
        "#OOOOO#",
        "#OOGOO#",
        "#OOOOO#",
        "#######",
    ),
    "umaze": (
        "#####",
        "#GOO#",
        "###O#",
        "#OOO#",
        "#####",
    ),
    "medium": (
        "########",
        "#OO##OO#",
        "#OO#OOO#",
        "##OOO###",
        "#OO#OOO#",
        "#O#OO#O#",
        "#OOO#OG#",
        "########",
    ),
    "large": (
        "############",
        "#OOOO#OOOOO#",
        "#O##O#O#O#O#",
        "#OOOOOO#OOO#",
        "#O####O###O#",
        "#OO#O#OOOOO#",
        "##O#O#O#O###",
        "#OO#OOO#OGO#",
        "############",
    ),
}
"""`#` wall, `O` free, `G` the goal of D4RL's own task (free too); rows from the top, as in maze2d-*."""

# (row, col) on the large map: the two and the ten users of the paper's maze experiment, and goals of no train user
TWO_GOALS = ((7, 1), (7, 10))
TEN_GOALS = ((7, 1), (7, 10), (1, 1), (1, 10), (3, 8), (5, 4), (1, 4), (5, 10), (4, 1), (5, 7))
HELD_OUT_GOALS = ((3, 10), (7, 4), (1, 6), (3, 1), (7, 8))


class LayoutError(InputError):
    """No layout of this name; the message lists them."""


class MazeMap:
    """The free cells of one layout, the steps between them, and which position lies in which.

    Attributes:
        name: `open`, `umaze`, `medium` or `large`.
        walls: (rows, cols) bool.
        free_cells: (M, 2) int64, (row, col) of each free cell, row by row; M is 46 on the large map.
        own_goal: (row, col) of D4RL's own task.
        steps: (M, M) int64, length of the shortest path between two free cells, in cells.
        next_cell: (M, M) int64, `next_cell[a, b]` is the cell after a on a shortest path to b (a itself if a = b).
        crossings: (M,) int64, ordered pairs of free cells with a shortest path through a cell, its own pairs included.
        low, high: (2,) float64, the rectangle that holds the squares of all free cells, in metres.
    """

    def __init__(self, name: str) -> None:
        if name not in LAYOUTS:
            raise LayoutError(unknown_name("maze layout", name, list(LAYOUTS)))
        characters = np.array([list(row) for row in LAYOUTS[name]])
        self.name = name
        self.walls = characters == "#"
        self.free_cells: IntArray = np.argwhere(~self.walls).astype(np.int64)
        row, col = np.argwhere(characters == "G")[0]
        self.own_goal = (int(row), int(col))
        self._last = np.array(self.walls.shape) - 1
        self._index_of_cell = np.full(self.walls.shape, -1, dtype=np.int64)
        self._index_of_cell[~self.walls] = np.arange(len(self.free_cells))
        self.steps, self.next_cell = self._shortest_paths()
        by_way_of = self.steps[:, :, None] + self.steps[None, :, :]  # (from, by way of, to)
        self.crossings: IntArray = (by_way_of == self.steps[:, None, :]).sum(axis=(0, 2))
        self.low: FloatArray = self.free_cells.min(axis=0) - CELL_SHIFT
        self.high: FloatArray = self.free_cells.max(axis=0) - CELL_SHIFT + 1.0

    def _shortest_paths(self) -> tuple[IntArray, IntArray]:
        """Breadth-first search from every free cell: `steps` and `next_cell`."""
        num = len(self.free_cells)
        steps = np.full((num, num), -1, dtype=np.int64)
        next_cell = np.zeros((num, num), dtype=np.int64)
        for goal in range(num):
            steps[goal, goal], next_cell[goal, goal] = 0, goal
            queue = deque([goal])
            while queue:
                cell = queue.popleft()
                row, col = self.free_cells[cell]  # the border of every layout is wall: no neighbour is off the map
                for beside in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                    neighbour = self._index_of_cell[beside]
                    if neighbour >= 0 and steps[neighbour, goal] < 0:
                        steps[neighbour, goal], next_cell[neighbour, goal] = steps[cell, goal] + 1, cell
                        queue.append(neighbour)
        return steps, next_cell

    def is_free(self, positions: FloatArray) -> NDArray[np.bool_]:
        """Whether positions (..., 2) lie in the square of a free cell."""
        cells = self._cells(positions)
        return np.invert(self.walls[cells[..., 0], cells[..., 1]])

    def cell_index(self, positions: FloatArray) -> IntArray:
        """Index into `free_cells` for positions (..., 2).

        A position inside a wall, where the ball's centre comes only by penetration or by rounding, belongs to the free
        cell whose square is nearest: that is the side of the wall from which it was entered.
        """
        cells = self._cells(positions)
        index = self._index_of_cell[cells[..., 0], cells[..., 1]]
        in_wall = index < 0
        if in_wall.any():
            index = np.array(index)
            distance = _squared_distance(np.asarray(positions)[in_wall][:, None], self.free_cells)
            index[in_wall] = distance.argmin(axis=-1)
        return index

    def _cells(self, positions: FloatArray) -> IntArray:
        """(row, col) of the squares that hold positions (..., 2); outside the map, of its border, which is wall."""
        return np.clip(np.floor(np.asarray(positions) + CELL_SHIFT).astype(np.int64), 0, self._last)

    def is_reachable(self, positions: FloatArray) -> NDArray[np.bool_]:
        """Whether the ball's centre can be at positions (..., 2): in a free cell, no wall nearer than its radius."""
        positions = np.asarray(positions)
        reachable = self.is_free(positions)
        cells = np.clip(self._cells(positions), 1, self._last - 1)
        for offset in np.argwhere(np.ones((3, 3))) - 1:
            beside = cells + offset
            is_wall = self.walls[beside[..., 0], beside[..., 1]]
            reachable &= ~(is_wall & (_squared_distance(positions, beside) < BALL_RADIUS**2))
        return reachable


def _squared_distance(positions: FloatArray, cells: IntArray) -> FloatArray:
    """(...,): from positions (..., 2) to the squares of cells (..., 2), 0 inside."""
    outside = np.maximum(np.abs(positions - (cells - CELL_SHIFT + 0.5)) - 0.5, 0.0)
    return np.square(outside).sum(axis=-1)


@cache
def load_map(name: str) -> MazeMap:
    """The map of this name, built once; raises LayoutError for an unknown one."""
    return MazeMap(name)


def optimal_value(steps: IntArray, discount: float, num_iterations: int) -> FloatArray:
    """Value of a cell `steps` away from a goal that pays 1 per visit, after `num_iterations` of Q-iteration.

    A cell at distance d collects discount^t from its arrival at step d on: (discount^d - discount^n) / (1 - discount),
    and nothing while d >= n.
    """
    return (discount ** np.minimum(steps, num_iterations) - discount**num_iterations) / (1.0 - discount)


def normalised_values(steps: IntArray, discount: float = 0.99, num_iterations: int = 500) -> FloatArray:
    """`optimal_value` of every free cell (rows) for every goal cell (columns), min-max normalised for each goal.

    (M, M) float64 in [0, 1] from `MazeMap.steps`: 1 in the goal's cell, 0 in the cells furthest from it. The paper has
    500 iterations; the normalisation cancels their number as long as it exceeds every distance.
    """
    values = optimal_value(steps, discount, num_iterations)
    lowest, highest = values.min(axis=0), values.max(axis=0)
    return (values - lowest) / (highest - lowest)
