"""What can be wanted of the maze: to be somewhere, or to be as far away from there as possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.maze.maps import CELL_SHIFT, HELD_OUT_GOALS, TEN_GOALS, TWO_GOALS, load_map, normalised_values
from pluralbench.envs.multigoal import BoolArray, FloatArray, GoalError, MultiGoalTask, check_goals
from pluralbench.envs.state_grid import StateGrid

SUCCESS_RADIUS = 0.5  # m from the goal's point within which D4RL and the paper count success
VELOCITY_BOUND = 6.0  # m/s: velocities are clipped to 5 before a step, and a step adds at most 0.24
STEPS_TO_STAY = 50  # the last steps of an episode, during all of which the ball is at its goal if it succeeds
GRID_POINTS = 6  # along each side of a cell in `MazeTask.state_grid`


class MazeTask(MultiGoalTask):
    """Goals in a maze, without its physics.

    A goal is (row, col, valence). With valence +1 the user wants to be at the position (row, col), which may be any
    position in a free cell; the integers are D4RL's cell points. With valence -1 the user wants to be as far from there
    as the maze allows.

    Utility follows the paper: the optimal value of the observation's cell on the grid (discount 0.99, 500 iterations of
    Q-iteration), min-max normalised over the free cells for the goal's cell. It is constant within a cell, as in the
    paper; positions that fall into a wall take the value of the free cell beside them, never a wall's. The utility of
    valence -1 is one minus that.

    At the goal is who is in the goal's cell, where the utility is highest, or within 0.5 m of the goal; for valence -1,
    the same of a cell that no other cell exceeds in steps from the goal's cell (on a tie, of any of them). An episode
    succeeds when the ball is there during its last 50 steps. Whether it came within 0.5 m at any time, which is success
    in D4RL and in the paper, is `reached`.

    Args:
        layout: `open`, `umaze`, `medium` or `large`, else LayoutError; the goal sets, the paper's, are of `large`.
    """

    name = "maze"
    observation_size = 4
    action_size = 2
    goal_size = 3
    observation_names: tuple[str, ...] = ("row (m)", "col (m)", "row velocity (m/s)", "col velocity (m/s)")
    max_episode_steps = 800

    def __init__(self, layout: str = "large") -> None:
        self.map = load_map(layout)
        self.layout = layout
        if layout == "large":
            self.goal_sets = {"ten-goals": TEN_GOALS, "two-goals": TWO_GOALS, "held-out-goals": HELD_OUT_GOALS}
        self._utility = normalised_values(self.map.steps).T.astype(np.float32)  # (goal cell, cell)
        self._furthest = self._furthest_points()
        self._most_steps = self.map.steps.max(axis=1)

    def _furthest_points(self) -> FloatArray:
        """(M, K, 2): for each cell the points of the cells furthest from it, the first repeated up to K."""
        rows = [np.flatnonzero(steps == steps.max()) for steps in self.map.steps]
        longest = max(len(row) for row in rows)
        index = np.stack([np.concatenate([row, np.repeat(row[:1], longest - len(row))]) for row in rows])
        return self.map.free_cells[index].astype(np.float64)

    def goals(self, values: ArrayLike) -> FloatArray:
        """Goals (..., 3) that (row, col) or (row, col, valence) describe, by default +1; GoalError for others."""
        own = self.map.own_goal
        known = [f"{own} for (row, col)", f"{(*own, -1)} to be far from there"]
        try:
            size = 2 if np.shape(values)[-1:] == (2,) else 3
        except ValueError:  # rows of different lengths, which check_goals refuses
            size = 3
        goals = check_goals(values, f"maze {self.layout}", size, known)
        if size == 2:
            goals = np.concatenate([goals, np.ones((*goals.shape[:-1], 1))], axis=-1)
        if not np.isin(goals[..., 2], (-1.0, 1.0)).all():
            raise GoalError(f"maze: a goal's valence is +1 (to be there) or -1 (to be far from there), got {values!r}")
        in_wall = ~self.map.is_free(goals[..., :2])
        if in_wall.any():
            raise GoalError(self._wall_message(goals[in_wall][0, :2]))
        return goals

    def _wall_message(self, position: FloatArray) -> str:
        distance = np.square(self.map.free_cells - position).sum(axis=-1)
        nearest = [str(tuple(cell)) for cell in self.map.free_cells[np.argsort(distance, kind="stable")[:4]].tolist()]
        rows, cols = self.map.walls.shape
        return (
            f"maze {self.layout}: {_position_name(position)} lies in a wall or outside the {rows} x {cols} map; "
            f"the nearest free cells are {', '.join(nearest)}"
        )

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> FloatArray:
        """Goals (num_goals, 3) of valence +1, uniform over every position that the ball's centre can have."""
        goals = np.ones((num_goals, 3))
        missing = np.arange(num_goals)
        while len(missing):
            cells = self.map.free_cells[generator.integers(len(self.map.free_cells), size=len(missing))]
            goals[missing, :2] = cells - CELL_SHIFT + generator.random((len(missing), 2))
            missing = missing[~self.map.is_reachable(goals[missing, :2])]
        return goals

    def opposite(self, goals: FloatArray) -> FloatArray:
        """The goals (..., 3) with the valence turned round."""
        return np.asarray(goals, dtype=np.float64) * (1.0, 1.0, -1.0)

    def utility(self, observations: FloatArray, goals: FloatArray) -> NDArray[np.float32]:
        """Normalised optimal value of observations (..., 4) for goals (..., 3), in [0, 1]; leading axes broadcast."""
        observations, goals = np.asarray(observations), np.asarray(goals)
        goal_cell = self.map.cell_index(goals[..., :2])
        utility = self._utility[goal_cell, self.map.cell_index(observations[..., :2])]
        return np.where(goals[..., 2] < 0.0, np.float32(1.0) - utility, utility)

    def possible(self, observations: FloatArray) -> BoolArray:
        """Whether the ball is in a free cell, (...), and no faster than it can be."""
        observations = np.asarray(observations)
        slow = (np.abs(observations[..., 2:]) <= VELOCITY_BOUND).all(axis=-1)
        with np.errstate(invalid="ignore"):  # positions that no whole number can name
            return np.asarray(self.map.is_free(observations[..., :2]) & slow)

    def success(self, observations: FloatArray, goals: FloatArray) -> BoolArray:
        """Whether observations (..., 4) are at what goals (..., 3) ask for; leading axes broadcast."""
        positions, goals = np.asarray(observations)[..., :2], np.asarray(goals)
        goal_cell, cell = self.map.cell_index(goals[..., :2]), self.map.cell_index(positions)
        steps = self.map.steps
        in_cell = np.where(
            goals[..., 2] < 0.0, steps[goal_cell, cell] == self._most_steps[goal_cell], goal_cell == cell
        )
        return in_cell | self.reached(observations, goals)

    def reached(self, observations: FloatArray, goals: FloatArray) -> BoolArray:
        """Whether observations (..., 4) are within 0.5 m of what goals (..., 3) ask for; leading axes broadcast."""
        positions, goals = np.asarray(observations)[..., :2], np.asarray(goals)
        reached = _within(positions, goals[..., :2])
        away = goals[..., 2] < 0.0
        if away.any():
            points = self._furthest[self.map.cell_index(goals[..., :2])]  # (..., K, 2)
            reached = np.where(away, _within(positions[..., None, :], points).any(axis=-1), reached)
        return reached

    def targets(self, goal: FloatArray) -> FloatArray:
        """(K, 2): the points around which `goal` (3,) is fulfilled, for drawing."""
        if goal[2] > 0.0:
            return np.array([goal[:2]])
        return np.unique(self._furthest[self.map.cell_index(goal[:2])], axis=0)

    def state_grid(self) -> StateGrid:
        """The ball at rest on a grid of positions."""
        rows, cols = (GRID_POINTS * size for size in self.map.walls.shape)
        row, col = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
        positions = (np.stack([row, col], axis=-1).reshape(-1, 2) + 0.5) / GRID_POINTS - CELL_SHIFT
        observations = np.concatenate([positions, np.zeros_like(positions)], axis=1).astype(np.float32)
        observations[~self.map.is_free(positions)] = np.nan
        return StateGrid(observations, (rows, cols))

    def goal_name(self, goal: FloatArray) -> str:
        """`(7, 1)`, or `away from (7, 1)`."""
        name = _position_name(goal[:2])
        return name if goal[2] > 0.0 else f"away from {name}"


def _within(positions: FloatArray, points: FloatArray) -> BoolArray:
    return np.square(positions - points).sum(axis=-1) <= SUCCESS_RADIUS**2


def _position_name(position: FloatArray) -> str:
    digits = 0 if (position == np.round(position)).all() else 2
    return f"({position[0]:.{digits}f}, {position[1]:.{digits}f})"
