"""What the household tasks ask of a simulator; `simulator_choice` starts one of the two that there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import Episode, Pose
from pluralbench.envs.household.flat import Receptacle
from pluralbench.errors import InputError
from pluralbench.registry import unknown_name

if TYPE_CHECKING:  # it imports SciPy, and only a simulator that runs has one
    from pluralbench.envs.household.floor_plan import FloorPlan

DROP_HEIGHT = 0.02
"""How far above what lies below it an object is released, m."""
CALM_SPEED = 0.02
"""An object that moves slower, m/s, ..."""
CALM_TURN = 0.2
"""... and turns slower, rad/s, is at rest, ..."""
CALM_STEPS = 6
"""... once it has done so for as many physics steps."""
SETTLE_SECONDS = 3.0
"""Simulated time within which objects must come to rest."""


class SimulatorError(InputError):
    """Something that a household simulator cannot do; one line."""


class SimulatorNotInstalledError(SimulatorError):
    """The simulator is not installed; the message holds the command that installs it."""


@dataclass(frozen=True)
class HouseholdState:
    """Everything that can differ between two moments of an episode at which all objects rest.

    Attributes:
        objects: pose of each object.
        robot: (x, y, yaw) of the base, m and rad.
        settled: whether all objects had come to rest.
    """

    objects: Mapping[str, Pose]
    robot: tuple[float, float, float]
    settled: bool = True


@dataclass(frozen=True)
class Contact:
    """How surfaces rub: the same for every object.

    With less rolling friction and damping, one placement in a hundred into a full container still rocks after 3 s.

    Attributes:
        friction: sliding, between object and furniture together about half of it.
        rolling: m; keeps round things from rolling for ever.
        spinning: m; likewise about the contact's normal.
        linear_damping: share of the speed lost per second.
        angular_damping: share of the turning lost per second.
    """

    friction: float = 0.7
    rolling: float = 0.02
    spinning: float = 0.02
    linear_damping: float = 0.1
    angular_damping: float = 0.95


@runtime_checkable
class HouseholdSimulator(Protocol):
    """A flat with furniture, a robot and some kitchen objects; metres, radians, z up.

    The same state and the same calls give the same result, whatever was simulated before.

    Attributes:
        name: `pybullet` or `habitat`.
        scene_id: the scene that is open; `NONE` for the flat of primitives.
        scene_dataset_config: the dataset that it is of.
    """

    name: str
    scene_id: str
    scene_dataset_config: str

    def reset(self, episode: Episode) -> None:
        """Puts the episode's objects and the robot where it says; nothing moves yet.

        Raises:
            SimulatorError: a scene that this simulator cannot open.
        """
        ...

    def objects(self) -> dict[str, Pose]:
        """Pose of every object that is there."""
        ...

    def receptacles(self) -> Mapping[str, Receptacle]:
        """Every place where objects can rest."""
        ...

    def floor_plan(self) -> FloorPlan:
        """Where the robot's base can drive."""
        ...

    def carry(self, name: str, path: NDArray[np.floating]) -> None:
        """Moves the robot along `path` (P, 2) with the object in its gripper (kinematic: nothing is simulated)."""
        ...

    def place(self, name: str, receptacle: str, offset: ArrayLike = (0.0, 0.0), yaw: float = 0.0) -> None:
        """Holds the object above a receptacle and lets go; `settle` then lets it fall.

        Args:
            name: an object that is there.
            receptacle: a name out of `receptacles`.
            offset: (2,) m, from the receptacle's centre.
            yaw: turn about the vertical, rad.

        Raises:
            SimulatorError: no such object or receptacle; the message lists them.
        """
        ...

    def settle(self, seconds: float = SETTLE_SECONDS) -> bool:
        """Simulates until all objects rest; False if they still move after `seconds`."""
        ...

    def state(self) -> HouseholdState:
        """What there is now."""
        ...

    def restore(self, state: HouseholdState) -> None:
        """Puts everything back where `state` has it, at rest."""
        ...

    def render(self, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
        """A picture (height, width, 3) of the flat from above the open front."""
        ...

    def close(self) -> None:
        """Releases the simulator; calling it again does nothing."""
        ...


def resting_place(name: str, pose: Pose, receptacles: Mapping[str, Receptacle]) -> str | None:
    """The receptacle on which an object that does not move rests, by geometry alone; None where it rests on none.

    It rests on a receptacle when its middle is above the surface and no higher than the object itself would hold it
    in any position (or, in a container, the rim and the object together).
    """
    x, y, z = pose.position
    reach = max(OBJECTS[name].size) / 2 + DROP_HEIGHT
    for place in receptacles.values():
        centre, half = place.centre, place.half_extents
        inside = abs(x - centre[0]) <= half[0] and abs(y - centre[1]) <= half[1]
        if inside and -0.01 <= z - centre[2] <= reach + place.rim:
            return place.name
    return None


def release_pose(
    name: str,
    place: Receptacle,
    offset: ArrayLike,
    yaw: float,
    others: Mapping[str, Pose],
) -> Pose:
    """Where an object is let go above `place`: clear of the surface and of what lies there already."""
    dx, dy = np.asarray(offset, dtype=np.float64)
    x, y = place.centre[0] + float(dx), place.centre[1] + float(dy)
    thing = OBJECTS[name]
    top = place.centre[2]
    for other, pose in others.items():
        if other == name:
            continue
        half = np.abs(pose.rotation) @ (np.array(OBJECTS[other].size) / 2)
        near = np.hypot(x - pose.position[0], y - pose.position[1]) < thing.radius + np.hypot(half[0], half[1])
        if near and pose.position[2] >= place.centre[2]:
            top = max(top, pose.position[2] + float(half[2]))
    z = top + thing.half_height + DROP_HEIGHT
    return Pose((x, y, z), (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))))


def known_object(name: str, there: Mapping[str, object]) -> None:
    """Raises SimulatorError unless the object is there."""
    if name not in there:
        raise SimulatorError(unknown_name("object", name, list(there)))


def known_receptacle(name: str, places: Mapping[str, Receptacle]) -> Receptacle:
    """The receptacle of this name; SimulatorError otherwise."""
    if name not in places:
        raise SimulatorError(unknown_name("receptacle", name, list(places)))
    return places[name]
