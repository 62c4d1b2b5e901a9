"""What the household tasks ask of a simulator; `simulator_choice` starts one of the two that there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import EMPTY_SCENE, Episode, Pose, upright
from pluralbench.envs.household.flat import RECEPTACLES, Receptacle
from pluralbench.errors import InputError
from pluralbench.registry import unknown_name

if TYPE_CHECKING:  # it imports SciPy, and only a simulator that runs has one
    from pluralbench.envs.household.floor_plan import FloorPlan

GRAVITY = 9.81
"""m/s^2, downwards."""
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

# How surfaces rub, the same for every object. With less rolling friction and damping, one placement in a hundred into a
# full container still rocks after 3 s.
FRICTION = 0.7
"""Sliding; between object and furniture together about half of it."""
ROLLING_FRICTION = 0.02
"""Keeps round things from rolling for ever, and from spinning about the contact's normal, m."""
LINEAR_DAMPING = 0.1
"""Share of the speed lost per second."""
ANGULAR_DAMPING = 0.95
"""Share of the turning lost per second."""


class SimulatorError(InputError):
    """Something that a household simulator cannot do; one line."""


class SimulatorNotInstalledError(SimulatorError):
    """The simulator is not installed; the message holds the command that installs it."""


@dataclass(frozen=True)
class HouseholdState:
    """Everything that can differ between two moments of an episode at which all objects rest."""

    objects: Mapping[str, Pose]
    robot: tuple[float, float, float]
    """(x, y, yaw) of the base, m and rad."""
    settled: bool = True
    """Whether all objects had come to rest."""


class HouseholdSimulator(ABC):
    """A flat with furniture, a robot and some kitchen objects; metres, radians, z up.

    The same state and the same calls give the same result, whatever was simulated before. Once it is closed, what
    needs its world raises SimulatorError.

    Attributes:
        name: `pybullet` or `habitat`.
        steps_per_second: of its physics.
        scene_id: the scene that is open; `NONE` for the flat of primitives.
        scene_dataset_config: the dataset that it is of.
    """

    name: str
    steps_per_second: int
    scene_id: str = EMPTY_SCENE
    scene_dataset_config: str = "default"
    _robot_height: float
    """Of the frame of the robot's body above the floor, m."""
    _grip: tuple[float, float]
    """Where the robot holds an object: in front of its middle and above the floor, m."""

    def __init__(self) -> None:
        self._bodies: dict[str, Any] = {}
        self._robot_body: Any = None
        self._robot = (0.0, 0.0, 0.0)
        self._settled = True
        self._closed = False
        self._receptacles: Mapping[str, Receptacle] = RECEPTACLES
        self._plan: FloorPlan | None = None

    @abstractmethod
    def _rebuild(self, state: HouseholdState) -> None:
        """Makes all objects anew, so that no contact of an earlier moment lives on, and moves the robot."""

    @abstractmethod
    def _move(self, body: Any, pose: Pose) -> None: ...

    @abstractmethod
    def _pose(self, body: Any) -> Pose: ...

    @abstractmethod
    def _release(self, name: str, pose: Pose) -> None: ...

    @abstractmethod
    def _step(self) -> bool:
        """Simulates one step of physics; whether all objects are slower than `CALM_SPEED` and `CALM_TURN` after it."""

    @abstractmethod
    def _picture(self, width: int, height: int) -> NDArray[np.uint8]: ...

    @abstractmethod
    def _disconnect(self) -> None: ...

    def _check_open(self) -> None:
        if self._closed:
            raise SimulatorError("this simulator was closed")

    def reset(self, episode: Episode) -> None:
        """Puts the episode's objects and the robot where it says; nothing moves yet.

        Raises:
            SimulatorError: an episode of another scene than the one that is open.
        """
        if episode.scene_id.upper() != self.scene_id.upper():
            raise SimulatorError(
                f"episode {episode.episode_id} is of the scene {episode.scene_id!r}, this simulator ({self.name}) has "
                f"{self.scene_id!r} open; simulator='habitat' opens scenes, PyBullet has the flat of primitives (NONE)"
            )
        self.restore(HouseholdState(episode.objects, (*episode.start, 0.0), settled=False))

    def restore(self, state: HouseholdState) -> None:
        """Puts everything back where `state` has it, at rest; what had settled sleeps until something touches it."""
        self._check_open()
        self._rebuild(state)
        self._settled = state.settled

    def _move_robot(self, x: float, y: float, yaw: float) -> None:
        self._robot = (x, y, yaw)
        self._move(self._robot_body, upright(x, y, self._robot_height, yaw))

    def objects(self) -> dict[str, Pose]:
        """Pose of every object that is there."""
        self._check_open()
        return {name: self._pose(body) for name, body in self._bodies.items()}

    def receptacles(self) -> Mapping[str, Receptacle]:
        """Every place where objects can rest."""
        return self._receptacles

    def floor_plan(self) -> FloorPlan:
        """Where the robot's base can drive."""
        if self._plan is None:
            from pluralbench.envs.household.floor_plan import furnished_floor_plan

            self._plan = furnished_floor_plan()
        return self._plan

    def carry(self, name: str, path: NDArray[np.floating]) -> None:
        """Moves the robot to the end of `path` (P, 2) with the object in its gripper; nothing is simulated."""
        self._check_known(name)
        yaw, (reach, height) = self._robot[2], self._grip
        x, y = map(float, path[-1])
        if len(path) > 1:
            dx, dy = path[-1] - path[-2]
            yaw = float(np.arctan2(dy, dx))
        self._move_robot(x, y, yaw)
        self._move(self._bodies[name], upright(x + reach * np.cos(yaw), y + reach * np.sin(yaw), height))

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
        self._check_known(name)
        places = self.receptacles()
        if receptacle not in places:
            raise SimulatorError(unknown_name("receptacle", receptacle, list(places)))
        self._release(name, release_pose(name, places[receptacle], offset, yaw, self.objects()))
        self._settled = False

    def _check_known(self, name: str) -> None:
        self._check_open()
        if name not in self._bodies:
            raise SimulatorError(unknown_name("object", name, list(self._bodies)))

    def settle(self, seconds: float = SETTLE_SECONDS) -> bool:
        """Simulates until all objects rest; False if they still move after `seconds`."""
        self._check_open()
        calm = 0
        for _ in range(round(seconds * self.steps_per_second)):
            calm = calm + 1 if self._step() else 0
            if calm >= CALM_STEPS:
                break
        self._settled = calm >= CALM_STEPS
        return self._settled

    def state(self) -> HouseholdState:
        """What there is now."""
        return HouseholdState(self.objects(), self._robot, self._settled)

    def render(self, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
        """A picture (height, width, 3) of the flat from above the open front, drawn without a GPU.

        Raises:
            SimulatorError: habitat-sim was made without a renderer.
        """
        self._check_open()
        return self._picture(width, height)

    def close(self) -> None:
        """Releases the simulator; calling it again does nothing."""
        if not self._closed:
            self._closed = True
            self._bodies = {}
            self._disconnect()


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


def release_pose(name: str, place: Receptacle, offset: ArrayLike, yaw: float, others: Mapping[str, Pose]) -> Pose:
    """Where an object is let go above `place`: clear of the surface and of what lies there already."""
    dx, dy = np.asarray(offset, dtype=np.float64)
    x, y = place.centre[0] + float(dx), place.centre[1] + float(dy)
    thing = OBJECTS[name]
    top = place.centre[2]
    for other, pose in others.items():
        half = np.abs(pose.rotation) @ (np.array(OBJECTS[other].size) / 2)
        near = np.hypot(x - pose.position[0], y - pose.position[1]) < thing.radius + np.hypot(half[0], half[1])
        if other != name and near and pose.position[2] >= place.centre[2]:
            top = max(top, pose.position[2] + float(half[2]))
    return upright(x, y, top + thing.half_height + DROP_HEIGHT, yaw)
