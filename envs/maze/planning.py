"""Planning in the maze, exactly: the best way through the cells for any reward, by value iteration."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.maze.maps import MazeMap
from pluralbench.envs.maze.task import MazeTask

CELL_STEPS = 20
"""Simulated steps in which a ball at its full speed of 5 m/s crosses a cell of 1 m; a plan's moves last so long."""
DISCOUNT = 0.99
"""For each simulated step; that of D4RL's and of the papers' agents."""
MAX_MOVES = MazeTask.max_episode_steps // CELL_STEPS
"""Moves in an episode."""

_ACCURACY = 1e-12  # of values, as a share of the greatest; smaller differences of values are ties


def cell_rewards(task: MazeTask, rewards: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rewards (J, M) of the free cells: each the mean over the cell's points in `MazeTask.state_grid`.

    Args:
        task: whose maze it is.
        rewards: (J, P) of the reachable states of the grid, in their order; ValueError for another P.
    """
    grid = task.state_grid()
    cell = task.map.cell_index(grid.observations[grid.reachable, :2])
    rewards = np.asarray(rewards, dtype=np.float64)
    if rewards.ndim != 2 or rewards.shape[1] != len(cell):
        raise ValueError(f"maze: a plan needs rewards (J, {len(cell)}) of the grid's states, got {rewards.shape}")
    belongs = cell[:, None] == np.arange(len(task.map.free_cells))  # (P, M)
    return np.asarray(rewards @ (belongs / belongs.sum(axis=0)))


def best_moves(maze: MazeMap, rewards: NDArray[np.float64], discount: float = DISCOUNT) -> NDArray[np.int64]:
    """The cell (J, M) to go to from each cell, itself to stay, so that the discounted sum of rewards is highest.

    The value of a cell c is V(c) = r(c) + discount^CELL_STEPS max V(c') over c' = c and its neighbours: who stays earns
    the cell's reward again. It is iterated until it is exact up to rounding. Of equally good moves staying goes first.

    Args:
        maze: with M free cells.
        rewards: (J, M) of the free cells.
        discount: for each simulated step.
    """
    rate = discount**CELL_STEPS
    moves = _moves(maze)
    values = np.zeros_like(rewards)
    for _ in range(math.ceil(math.log(_ACCURACY) / math.log(rate)) + 1):
        values = rewards + rate * values[:, moves].max(axis=-1)
    options = values[:, moves]  # (J, M, 5)
    scale = np.abs(values).max(axis=1)[:, None, None]
    best = (options >= options.max(axis=-1, keepdims=True) - 10 * _ACCURACY * scale).argmax(axis=-1)
    return np.asarray(np.take_along_axis(moves[None], best[..., None], axis=-1)[..., 0])


def _moves(maze: MazeMap) -> NDArray[np.int64]:
    """(M, 5): each cell itself, then its neighbours, itself again where there are fewer than four."""
    here = np.arange(len(maze.free_cells))
    moves = np.repeat(here[:, None], 5, axis=1)
    for cell in here:
        neighbours = np.flatnonzero(maze.steps[cell] == 1)
        moves[cell, 1 : 1 + len(neighbours)] = neighbours
    return moves


def ends_of(moves: NDArray[np.int64], num_moves: int = MAX_MOVES) -> NDArray[np.int64]:
    """The cell (J, M) in which the way from each cell ends after `num_moves` of `moves` (J, M).

    A best way need not end: where staying pays less than going to and fro it goes on, and this is where it is then.
    """
    cells = np.broadcast_to(np.arange(moves.shape[1]), moves.shape)
    for _ in range(num_moves):
        cells = np.take_along_axis(moves, cells, axis=1)
    return cells
