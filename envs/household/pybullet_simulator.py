"""The household on PyBullet: the default simulator, which needs no download and no display."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pybullet
import pybullet_data
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.household.catalogue import OBJECTS, KitchenObject
from pluralbench.envs.household.episodes import EMPTY_SCENE, Episode, Pose
from pluralbench.envs.household.flat import FURNITURE, RECEPTACLES, Receptacle
from pluralbench.envs.household.floor_plan import FloorPlan, furnished_floor_plan
from pluralbench.envs.household.shapes import Part, box
from pluralbench.envs.household.simulator import (
    CALM_SPEED,
    CALM_STEPS,
    CALM_TURN,
    SETTLE_SECONDS,
    Contact,
    HouseholdState,
    SimulatorError,
    known_object,
    known_receptacle,
    release_pose,
)

STEPS_PER_SECOND = 160
RENEW_AFTER = 4000
"""Bodies after which the client is renewed: PyBullet keeps about 5 kB of each body that was removed."""
_CARRY_HEIGHT = 1.05  # of what the robot holds, m
_ROBOT = (
    Part("cylinder", (0.46, 0.46, 0.25), (0.0, 0.0, 0.125), colour=(0.95, 0.95, 0.95)),
    Part("cylinder", (0.14, 0.14, 0.7), (0.0, 0.0, 0.6), colour=(0.3, 0.3, 0.34)),
    Part("cylinder", (0.24, 0.24, 0.14), (0.0, 0.0, 1.0), colour=(0.95, 0.75, 0.1)),
    box((0.3, 0.06, 0.06), (0.18, 0.0, 0.8), (0.3, 0.3, 0.34)),
)


class _Client:
    """PyBullet's functions on one headless world of their own."""

    def __init__(self) -> None:
        self._number = pybullet.connect(pybullet.DIRECT)
        if self._number < 0:
            raise SimulatorError("PyBullet takes no further client (1024 in one process): close some environments")

    def __getattr__(self, name: str) -> Any:
        function = partial(getattr(pybullet, name), physicsClientId=self._number)
        setattr(self, name, function)  # looked up once
        return function


class PyBulletSimulator:
    """The flat of primitives in one PyBullet client; see `HouseholdSimulator` for what it does.

    Two things keep results from depending on what was simulated before. The objects of an episode are bodies that exist
    only while they are wanted: Bullet remembers how bodies have met, and one that was merely moved back falls a little
    differently (by 1e-6 m, measured). And they are Featherstone bodies: piles of plain rigid bodies differ from run to
    run, by 1e-9 to 1e-2 m, for a reason inside Bullet that we did not find; without piles they would be faster.

    Args:
        contact: friction and damping.
    """

    name = "pybullet"
    scene_id = EMPTY_SCENE
    scene_dataset_config = "default"

    def __init__(self, contact: Contact | None = None) -> None:
        self._contact = contact or Contact()
        self._robot = (0.0, 0.0, 0.0)
        self._settled = True
        self._build()

    def _build(self) -> None:
        """A new client with the furniture and the robot."""
        self._client: Any = _Client()
        self._client.setGravity(0.0, 0.0, -9.81)
        self._client.setPhysicsEngineParameter(fixedTimeStep=1 / STEPS_PER_SECOND, deterministicOverlappingPairs=1)
        for part in (part for thing in FURNITURE for part in thing.parts):  # apart: tight boxes around them are faster
            body = self._body(self._shape((part,)), self._look((part,)), 0.0, Pose((0.0, 0.0, 0.0)))
            self._client.changeDynamics(body, -1, lateralFriction=self._contact.friction)
        self._robot_body = self._body(-1, self._look(_ROBOT), 0.0, Pose((0.0, 0.0, 0.0)))
        self._shapes = {name: self._shape(thing.parts) for name, thing in OBJECTS.items()}
        self._looks = {name: self._object_look(thing) for name, thing in OBJECTS.items()}
        # Bodies get their looks for a picture only: they would take as long to make as the whole placement. Without
        # any look PyBullet would make one from the collision shape.
        self._no_look = self._look((box((0.001, 0.001, 0.001)),))
        self._bodies: dict[str, int] = {}
        self._num_made = 0

    def _shape(self, parts: tuple[Part, ...]) -> int:
        return self._client.createCollisionShapeArray(
            shapeTypes=[pybullet.GEOM_BOX if part.kind == "box" else pybullet.GEOM_CYLINDER for part in parts],
            halfExtents=[[extent / 2 for extent in part.size] for part in parts],
            radii=[part.size[0] / 2 for part in parts],
            lengths=[part.size[2] for part in parts],
            collisionFramePositions=[part.position for part in parts],
            collisionFrameOrientations=[part.quaternion for part in parts],
        )

    def _look(self, parts: tuple[Part, ...]) -> int:
        return self._client.createVisualShapeArray(
            shapeTypes=[pybullet.GEOM_BOX if part.kind == "box" else pybullet.GEOM_CYLINDER for part in parts],
            halfExtents=[[extent / 2 for extent in part.size] for part in parts],
            radii=[part.size[0] / 2 for part in parts],
            lengths=[part.size[2] for part in parts],
            visualFramePositions=[part.position for part in parts],
            visualFrameOrientations=[part.quaternion for part in parts],
            rgbaColors=[[*part.colour, 1.0] for part in parts],
        )

    def _object_look(self, thing: KitchenObject) -> int:
        if thing.mesh is None:
            return self._look(thing.parts)
        file, scale = thing.mesh
        return self._client.createVisualShape(
            pybullet.GEOM_MESH,
            fileName=str(Path(pybullet_data.getDataPath()) / file),
            meshScale=[scale] * 3,
            visualFramePosition=[0.0, 0.0, -thing.half_height],
            rgbaColor=[*thing.parts[0].colour, 1.0],
        )

    def _body(self, shape: int, look: int, mass: float, pose: Pose) -> int:
        return self._client.createMultiBody(
            baseMass=mass,
            baseCollisionShapeIndex=shape,
            baseVisualShapeIndex=look,
            basePosition=pose.position,
            baseOrientation=pose.quaternion,
            useMaximalCoordinates=mass == 0,  # plain rigid bodies, for what does not move
        )

    def _open(self) -> None:
        if self._client is None:
            raise SimulatorError("this simulator was closed")

    def reset(self, episode: Episode) -> None:
        """Puts the episode's objects and the robot where it says."""
        if episode.scene_id.upper() != EMPTY_SCENE:
            raise SimulatorError(
                f"episode {episode.episode_id}: PyBullet has the flat of primitives alone (scene NONE), "
                f"not {episode.scene_id!r}; use simulator='habitat'"
            )
        self.restore(HouseholdState(episode.objects, (*episode.start, 0.0), settled=False))

    def restore(self, state: HouseholdState) -> None:
        """Puts everything back where `state` has it, at rest; what had settled sleeps until something touches it."""
        self._open()
        self._rebuild(state, {})

    def _rebuild(self, state: HouseholdState, looks: Mapping[str, int]) -> None:
        for body in self._bodies.values():
            self._client.removeBody(body)
        self._bodies = {}
        self._num_made += len(state.objects)
        if self._num_made > RENEW_AFTER:
            self._client.disconnect()
            self._build()
        contact = self._contact
        asleep, awake = pybullet.ACTIVATION_STATE_SLEEP, pybullet.ACTIVATION_STATE_DISABLE_SLEEPING
        for name, pose in state.objects.items():
            body = self._body(self._shapes[name], looks.get(name, self._no_look), OBJECTS[name].mass, pose)
            self._client.changeDynamics(
                body,
                -1,
                lateralFriction=contact.friction,
                rollingFriction=contact.rolling,
                spinningFriction=contact.spinning,
                restitution=0.0,
                linearDamping=contact.linear_damping,
                angularDamping=contact.angular_damping,
                activationState=asleep if state.settled else awake,
            )
            self._bodies[name] = body
        self._move_robot(state.robot)
        self._settled = state.settled

    def _move_robot(self, pose: tuple[float, float, float]) -> None:
        self._robot = pose
        quaternion = (0.0, 0.0, float(np.sin(pose[2] / 2)), float(np.cos(pose[2] / 2)))
        self._client.resetBasePositionAndOrientation(self._robot_body, (pose[0], pose[1], 0.0), quaternion)

    def objects(self) -> dict[str, Pose]:
        """Pose of every object that is there."""
        self._open()
        return {name: Pose(*self._client.getBasePositionAndOrientation(body)) for name, body in self._bodies.items()}

    def receptacles(self) -> Mapping[str, Receptacle]:
        """Every place of the flat."""
        return RECEPTACLES

    @cached_property
    def _plan(self) -> FloorPlan:
        return furnished_floor_plan()

    def floor_plan(self) -> FloorPlan:
        """Where the robot's base can drive."""
        return self._plan

    def carry(self, name: str, path: NDArray[np.floating]) -> None:
        """Moves the robot and the object in its gripper from corner to corner of `path` (P, 2)."""
        self._open()
        known_object(name, self._bodies)
        yaw = self._robot[2]
        for k, (x, y) in enumerate(path):
            if k:
                yaw = float(np.arctan2(y - path[k - 1][1], x - path[k - 1][0]))
            self._move_robot((float(x), float(y), yaw))
            held = (x + 0.35 * np.cos(yaw), y + 0.35 * np.sin(yaw), _CARRY_HEIGHT)
            self._client.resetBasePositionAndOrientation(self._bodies[name], held, (0.0, 0.0, 0.0, 1.0))

    def place(self, name: str, receptacle: str, offset: ArrayLike = (0.0, 0.0), yaw: float = 0.0) -> None:
        """Holds the object above a receptacle and lets go."""
        self._open()
        known_object(name, self._bodies)
        pose = release_pose(name, known_receptacle(receptacle, RECEPTACLES), offset, yaw, self.objects())
        self._client.resetBasePositionAndOrientation(self._bodies[name], pose.position, pose.quaternion)
        awake = pybullet.ACTIVATION_STATE_DISABLE_SLEEPING
        self._client.changeDynamics(self._bodies[name], -1, activationState=awake)
        self._settled = False

    def settle(self, seconds: float = SETTLE_SECONDS) -> bool:
        """Simulates until all objects have been at rest for some steps; False if they still move after `seconds`."""
        self._open()
        calm = 0
        for _ in range(round(seconds * STEPS_PER_SECOND)):
            self._client.stepSimulation()
            calm = calm + 1 if self._is_calm() else 0
            if calm >= CALM_STEPS:
                break
        self._settled = calm >= CALM_STEPS
        return self._settled

    def _is_calm(self) -> bool:
        for body in self._bodies.values():
            (vx, vy, vz), (wx, wy, wz) = self._client.getBaseVelocity(body)
            if vx * vx + vy * vy + vz * vz > CALM_SPEED**2 or wx * wx + wy * wy + wz * wz > CALM_TURN**2:
                return False
        return True

    def state(self) -> HouseholdState:
        """What there is now."""
        return HouseholdState(self.objects(), self._robot, self._settled)

    def render(self, width: int = 640, height: int = 480) -> NDArray[np.uint8]:
        """A picture (height, width, 3) by PyBullet's software renderer."""
        self._open()
        self._rebuild(self.state(), self._looks)
        view = self._client.computeViewMatrixFromYawPitchRoll((4.0, 2.75, 0.0), 7.9, 0.0, -58.0, 0.0, 2)
        lens = self._client.computeProjectionMatrixFOV(52.0, width / height, 0.5, 30.0)
        _, _, pixels, _, _ = self._client.getCameraImage(
            width,
            height,
            view,
            lens,
            lightDirection=(-3.0, -5.0, 9.0),
            lightAmbientCoeff=0.55,
            lightDiffuseCoeff=0.45,
            lightSpecularCoeff=0.05,
            shadow=1,
            renderer=pybullet.ER_TINY_RENDERER,
        )
        self._rebuild(self.state(), {})
        return np.asarray(pixels, dtype=np.uint8).reshape(height, width, 4)[..., :3].copy()

    def close(self) -> None:
        """Disconnects the client; calling it again does nothing."""
        if self._client is not None:
            self._client.disconnect()
            self._client = None
