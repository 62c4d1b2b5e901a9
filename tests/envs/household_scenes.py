"""Objects on places of the flat, for tests of the household's simulators."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import Episode, Pose, upright
from pluralbench.envs.household.flat import PLACES, RECEPTACLES
from pluralbench.envs.household.habitat_simulator import INSTALL_COMMAND

NEEDS_HABITAT = pytest.mark.skipif(
    importlib.util.find_spec("habitat_sim") is None,
    reason=f"habitat-sim is not installed; `{INSTALL_COMMAND}` installs it",
)


def on(name: str, place: str, dx: float = 0.0, dy: float = 0.0, yaw: float = 0.0):
    x, y, z = RECEPTACLES[place].centre
    return upright(x + dx, y + dy, z + OBJECTS[name].half_height, yaw)


def episode(**lying_on: str) -> Episode:
    objects = {name: on(name, place) for name, place in lying_on.items()}
    return Episode("test", objects, dict(lying_on), tuple(objects), PLACES, (4.0, 3.2))


def lowest_point(name: str, pose: Pose) -> float:
    lows = []
    for part in OBJECTS[name].parts:
        middle = pose.position + pose.rotation @ np.array(part.position)
        turned = pose.rotation @ Pose((0.0, 0.0, 0.0), part.quaternion).rotation
        lows.append(middle[2] - (np.abs(turned) @ (np.array(part.size) / 2))[2])
    return float(min(lows))
