"""Of which maze a dataset is: the one that it names, else the one through whose free cells its ball went."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.maze.maps import LAYOUTS, load_map
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.transitions import DatasetError

_LEAST_SHARE = 0.99  # of the observations, that lie in free cells; in D4RL's data few are in a wall
_LEAST_VISITED = 0.5  # of a maze's cells, where nothing names it: umaze is a part of open


def check_layout(observations: NDArray[np.float32], layout: str) -> None:
    """Raises DatasetError unless observations (N, 4) are possible in the maze of that name."""
    share = _possible(observations, layout)
    if share < _LEAST_SHARE:
        raise DatasetError(
            f"{100 * (1 - share):.0f} % of its positions lie in walls of {layout}: it is of another map or frame"
        )


def layout_of(observations: NDArray[np.float32], name: str = "") -> str:
    """The maze of observations (N, 4).

    Args:
        observations: in the frame of D4RL's maze2d.
        name: of the file, which may tell the maze: `maze2d-umaze-sparse-v1.hdf5`.

    Raises:
        DatasetError: it is of no maze known here, or of a part of one that is too small to tell.
    """
    words = name.lower().replace(".", "-").replace("_", "-").split("-")
    named = [layout for layout in LAYOUTS if layout in words]
    if len(named) == 1:
        check_layout(observations, named[0])
        return named[0]
    visited = {layout: _visited(observations, layout) for layout in LAYOUTS if _fits(observations, layout)}
    if not visited:
        raise DatasetError(
            f"its positions lie in walls of every maze known here ({', '.join(LAYOUTS)}): it is of another map or frame"
        )
    best = max(visited, key=lambda layout: visited[layout])
    if visited[best] < _LEAST_VISITED:
        raise DatasetError(
            f"it visits {100 * visited[best]:.0f} % of the cells of {best} only, so that its maze cannot be told; put "
            f"its name ({', '.join(LAYOUTS)}) into the file's: maze2d-{best}.hdf5"
        )
    return best


def _possible(observations: NDArray[np.float32], layout: str) -> float:
    return float(MazeTask(layout).possible(observations).mean())


def _fits(observations: NDArray[np.float32], layout: str) -> bool:
    return _possible(observations, layout) >= _LEAST_SHARE


def _visited(observations: NDArray[np.float32], layout: str) -> float:
    """Share of the free cells that were visited."""
    maze = load_map(layout)
    return len(np.unique(maze.cell_index(observations[:, :2]))) / len(maze.free_cells)
