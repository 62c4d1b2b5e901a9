"""What can be wanted of the table: the block in one of its marked zones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.multigoal import BoolArray, FloatArray, GoalError, MultiGoalTask, check_goals
from pluralbench.envs.state_grid import StateGrid
from pluralbench.registry import unknown_name

ZONES: dict[str, dict[str, tuple[float, float]]] = {
    "two-zones": {"left": (0.5, 0.2), "right": (0.5, -0.2)},
    "four-zones": {"left": (0.5, 0.2), "right": (0.5, -0.2), "near": (0.35, 0.0), "far": (0.65, 0.0)},
}
"""Centres (x, y) in metres, named as the arm sees them. `two-zones` is the paper's; the other two lie on the line
between its zones' middle and the arm, clear of the block's start and of each other."""

BLOCK_SIZE = 0.05  # edge in m; resting, the block's centre is half of this above the table
SUCCESS_RADIUS = 0.05  # m in xy between the block and its zone's centre within which the block is in the zone
SUCCESS_HEIGHT = 0.03  # m below which the block's centre is when it lies on the table (at 0.025) and not on the cup
WORKSPACE_LOW, WORKSPACE_HIGH = np.array([0.25, -0.5, 0.0]), np.array([0.75, 0.5, 0.3])  # the cup's targets, m
BOUND = 2.0  # m; what leaves the table lies on the floor within it
GRID_SHAPE = (30, 60)  # points along x and y of the table in `RavensTask.state_grid`


class RavensTask(MultiGoalTask):
    """Goals on the table, without its physics.

    A goal is the centre (x, y) of a marked zone. An observation is the cup's and the block's position and whether the
    cup holds the block (7 numbers).

    Utility is the paper's dense utility divided by 100 (VPL, appendix B.1), the reward of `RavensManipulation`.
    Distances are in metres and in three dimensions, the zone's height being that of a block that lies in it. "In the
    zone" means within 0.05 m of its centre in xy and below 0.03 m, so that success is exactly utility 1.

    Args:
        zones: `two-zones` or `four-zones`, else GoalError.
    """

    observation_size = 7
    action_size = 4
    goal_size = 2
    observation_names = (*(f"{thing} {axis} (m)" for thing in ("cup", "block") for axis in "xyz"), "held")
    max_episode_steps = 25

    def __init__(self, zones: str = "two-zones") -> None:
        if zones not in ZONES:
            raise GoalError(unknown_name("layout of zones", zones, list(ZONES)))
        self.name = "ravens" if zones == "two-zones" else f"ravens-{zones}"
        self.layout = zones
        self.zone_names = tuple(ZONES[zones])
        self.zones = np.array(list(ZONES[zones].values()))  # (Z, 2)
        # two-zones is part of four-zones
        self.goal_sets = {name: list(ZONES[name].values()) for name in (zones, "two-zones")}

    def goal(self, value: ArrayLike) -> FloatArray:
        """The goal (2,) that `value`, an (x, y) or a zone's name, describes; GoalError, listing them, for others."""
        if isinstance(value, str) and value in self.zone_names:
            return self.zones[self.zone_names.index(value)].copy()
        return super().goal(value)

    def goals(self, values: ArrayLike) -> FloatArray:
        """Goals (..., 2) that are zones of this table, each checked as by `goal`."""
        known = [f"{name} ({x:g}, {y:g})" for name, (x, y) in zip(self.zone_names, self.zones, strict=True)]
        goals = check_goals(values, self.name, 2, known)
        offsets = np.abs(goals[..., None, :] - self.zones).max(axis=-1)  # (..., Z)
        unknown = offsets.min(axis=-1) > 1e-6
        if unknown.any():
            x, y = goals[unknown][0]
            zones = ", ".join(known)
            raise GoalError(f"ravens: no zone at ({x:g}, {y:g}) with {self.layout!r}; the zones are {zones}")
        return self.zones[offsets.argmin(axis=-1)]

    def possible(self, observations: FloatArray) -> BoolArray:
        """Whether cup and block are within the arm's surroundings, (...), and the block is held or not."""
        places, held = np.asarray(observations)[..., :6], np.asarray(observations)[..., 6]
        return np.asarray((np.abs(places) <= BOUND).all(axis=-1) & ((held == 0.0) | (held == 1.0)))

    def utility(self, observations: FloatArray, goals: FloatArray) -> NDArray[np.float32]:
        """The paper's dense utility over 100 of observations (..., 7) for goals (..., 2); leading axes broadcast."""
        terms = list(self.utility_terms(observations, goals).values())
        return np.sum(terms, axis=0).astype(np.float32)

    def utility_terms(self, observations: FloatArray, goals: FloatArray) -> dict[str, FloatArray]:
        """The four terms of the reward, each (...): at most one is not zero, and their sum is the utility."""
        observations, goals = np.asarray(observations, dtype=np.float64), np.asarray(goals)
        cup, block, held = observations[..., :3], observations[..., 3:6], observations[..., 6] > 0.5
        off_centre = np.square(block[..., :2] - goals).sum(axis=-1)
        inside = (off_centre <= SUCCESS_RADIUS**2) & (block[..., 2] < SUCCESS_HEIGHT)
        to_zone = np.sqrt(off_centre + np.square(block[..., 2] - BLOCK_SIZE / 2))
        to_cup = np.linalg.norm(cup - block, axis=-1)
        return {
            "placed": np.where(inside & ~held, 1.0, 0.0),
            "held_in_zone": np.where(inside & held, 0.05, 0.0),
            "carrying": np.where(~inside & held, (2.0 + np.exp(-to_zone)) / 100.0, 0.0),
            "reaching": np.where(~inside & ~held, np.exp(-to_cup) / 100.0, 0.0),
        }

    def state_grid(self) -> StateGrid:
        """The block at rest on a grid of places on the table, free, the cup 0.1 m above it."""
        low, high = WORKSPACE_LOW, WORKSPACE_HIGH
        x, y = np.meshgrid(*(np.linspace(low[i], high[i], GRID_SHAPE[i]) for i in (0, 1)), indexing="ij")
        block = np.stack([x.ravel(), y.ravel(), np.full(x.size, BLOCK_SIZE / 2)], axis=1)
        observations = np.concatenate([block + np.array((0.0, 0.0, 0.1)), block, np.zeros((x.size, 1))], axis=1)
        return StateGrid(observations.astype(np.float32), GRID_SHAPE)

    def goal_name(self, goal: FloatArray) -> str:
        """The zone's name, for example `left`."""
        return self.zone_names[int(np.square(self.zones - self.goal(goal)).sum(axis=-1).argmin())]
