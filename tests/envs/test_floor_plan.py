"""Where the robot's base can drive in the flat, and its ways."""

from __future__ import annotations

import itertools

import numpy as np

from pluralbench.envs.household.flat import FURNITURE, RECEPTACLES
from pluralbench.envs.household.floor_plan import ROBOT_RADIUS, furnished_floor_plan


def test_robot_paths_keep_clear_of_the_furniture():
    plan = furnished_floor_plan()
    obstacles = [part for thing in FURNITURE if thing.obstacle for part in thing.parts]
    for start in RECEPTACLES.values():
        assert np.linalg.norm(plan.nearest_free(start.access) - start.access) < 0.1
        for goal in RECEPTACLES.values():
            corners = plan.path(start.access, goal.access)
            steps = np.linspace(0.0, 1.0, 30)[:, None]
            points = np.concatenate([a + steps * (b - a) for a, b in itertools.pairwise(corners)] or [corners])
            for part in obstacles:
                half = part.half_bounds
                gap = np.maximum(np.abs(points - part.position[:2]) - half[:2], 0.0)
                assert np.linalg.norm(gap, axis=1).min() > ROBOT_RADIUS - 0.08  # a cell's diagonal aside


def test_paths_are_the_shortest_and_every_free_cell_is_reached():
    plan = furnished_floor_plan()
    reach = [len(plan.path(point, RECEPTACLES["desk"].access)) for point in plan.free_points[::7]]
    assert min(reach) >= 1
    straight = plan.path((4.05, 3.05), (6.05, 3.05))
    assert len(straight) == 2
    door = plan.path(RECEPTACLES["counter"].access, RECEPTACLES["coffee table"].access)
    assert any(2.1 < y < 3.5 for x, y in door if abs(x - 2.8) < 0.8)  # through the door
