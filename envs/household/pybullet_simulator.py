"""The household on PyBullet: the default simulator, which needs no download and no display."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pybullet_data
from numpy.typing import NDArray

from pluralbench.envs.household.catalogue import OBJECTS, KitchenObject
from pluralbench.envs.household.episodes import Pose
from pluralbench.envs.household.flat import FURNITURE
from pluralbench.envs.household.shapes import Part, box
from pluralbench.envs.household.simulator import (
    ANGULAR_DAMPING,
    CALM_SPEED,
    CALM_TURN,
    FRICTION,
    GRAVITY,
    LINEAR_DAMPING,
    ROLLING_FRICTION,
    HouseholdSimulator,
    HouseholdState,
)
from pluralbench.envs.pybullet_client import PyBulletClient, pybullet

SOLVER_ITERATIONS = 10
"""Bullet's own default, and habitat-sim's; with PyBullet's 50 no more objects come to rest."""
CONTACT_ERP = 0.08
"""Share of a penetration that one step undoes; PyBullet's own default, which it does not tell."""
RENEW_AFTER = 4000
"""Bodies after which the client is renewed: PyBullet keeps about 5 kB of each body that was removed."""
_ASLEEP = (
    pybullet.ACTIVATION_STATE_ENABLE_SLEEPING
    | pybullet.ACTIVATION_STATE_SLEEP
    | pybullet.ACTIVATION_STATE_DISABLE_WAKEUP
)
"""Only told to sleep, a body wakes in the next step: since it may not sleep, or by the contacts that it makes there."""
_AWAKE = pybullet.ACTIVATION_STATE_DISABLE_SLEEPING
_MAY_WAKE = pybullet.ACTIVATION_STATE_ENABLE_WAKEUP
_ROBOT = (
    Part("cylinder", (0.46, 0.46, 0.25), (0.0, 0.0, 0.125), colour=(0.95, 0.95, 0.95)),
    Part("cylinder", (0.14, 0.14, 0.7), (0.0, 0.0, 0.6), colour=(0.3, 0.3, 0.34)),
    Part("cylinder", (0.24, 0.24, 0.14), (0.0, 0.0, 1.0), colour=(0.95, 0.75, 0.1)),
    box((0.3, 0.06, 0.06), (0.18, 0.0, 0.8), (0.3, 0.3, 0.34)),
)


class PyBulletSimulator(HouseholdSimulator):
    """The flat of primitives in one PyBullet client.

    Two things keep results from depending on what was simulated before. The objects of an episode are bodies that exist
    only while they are wanted: Bullet remembers how bodies have met, and one that was merely moved back falls a little
    differently (by 1e-6 m, measured). And they are Featherstone bodies: piles of plain rigid bodies differ from run to
    run, by 1e-9 to 1e-2 m, for a reason inside Bullet that we did not find; without piles they would be faster.
    """

    name = "pybullet"
    steps_per_second = 160
    _robot_height = 0.0
    _grip = (0.35, 1.05)

    def __init__(self) -> None:
        super().__init__()
        self._asked: list[int] = []
        """The objects' bodies, in the order in which they are asked whether they move."""
        self._build()

    def _build(self) -> None:
        """A new client with the furniture and the robot."""
        self._client = PyBulletClient()
        self._client.setGravity(0.0, 0.0, -GRAVITY)
        self._client.setPhysicsEngineParameter(
            fixedTimeStep=1 / self.steps_per_second,
            numSolverIterations=SOLVER_ITERATIONS,
            enableConeFriction=0,  # a pyramid in its place: a fifth faster, and as many objects come to rest
            contactERP=CONTACT_ERP,
            deterministicOverlappingPairs=1,
        )
        for part in (part for thing in FURNITURE for part in thing.parts):  # apart: tight boxes around them are faster
            body = self._body(self._shape((part,)), self._look((part,)), 0.0, Pose((0.0, 0.0, 0.0)))
            self._client.changeDynamics(body, -1, lateralFriction=FRICTION)
        self._robot_body = self._body(-1, self._look(_ROBOT), 0.0, Pose((0.0, 0.0, 0.0)))
        self._shapes = {name: self._shape(thing.parts) for name, thing in OBJECTS.items()}
        self._looks = {name: self._object_look(thing) for name, thing in OBJECTS.items()}
        # Bodies get their looks for a picture only: they would take as long to make as the whole placement. Without
        # any look PyBullet would make one from the collision shape.
        self._no_look = self._look((box((0.001, 0.001, 0.001)),))
        self._num_made = 0

    def _shape(self, parts: tuple[Part, ...]) -> int:
        return self._client.createCollisionShapeArray(**_geometry(parts, "collision"))

    def _look(self, parts: tuple[Part, ...]) -> int:
        colours = [[*part.colour, 1.0] for part in parts]
        return self._client.createVisualShapeArray(**_geometry(parts, "visual"), rgbaColors=colours)

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

    def _rebuild(self, state: HouseholdState, looks: Mapping[str, int] = {}) -> None:
        for body in self._bodies.values():
            self._client.removeBody(body)
        self._bodies = {}
        self._num_made += len(state.objects)
        if self._num_made > RENEW_AFTER:
            self._client.close()
            self._build()
        for name, pose in state.objects.items():
            body = self._body(self._shapes[name], looks.get(name, self._no_look), OBJECTS[name].mass, pose)
            self._client.changeDynamics(
                body,
                -1,
                lateralFriction=FRICTION,
                rollingFriction=ROLLING_FRICTION,
                spinningFriction=ROLLING_FRICTION,
                restitution=0.0,
                linearDamping=LINEAR_DAMPING,
                angularDamping=ANGULAR_DAMPING,
                activationState=_ASLEEP if state.settled else _AWAKE,
            )
            self._bodies[name] = body
        self._asked = list(self._bodies.values())
        if state.settled:
            self._fall_asleep()
        self._move_robot(*state.robot)

    def _fall_asleep(self) -> None:
        """Lets what was made asleep meet what it lies on: once it has, it wakes by touches alone.

        A step without gravity and without undoing penetrations moves nothing.
        """
        self._client.setGravity(0.0, 0.0, 0.0)
        self._client.setPhysicsEngineParameter(contactERP=0.0)
        self._client.stepSimulation()
        self._client.setPhysicsEngineParameter(contactERP=CONTACT_ERP)
        self._client.setGravity(0.0, 0.0, -GRAVITY)
        for body in self._bodies.values():
            self._client.changeDynamics(body, -1, activationState=_MAY_WAKE)

    def _move(self, body: Any, pose: Pose) -> None:
        self._client.resetBasePositionAndOrientation(body, pose.position, pose.quaternion)

    def _pose(self, body: Any) -> Pose:
        return Pose(*self._client.getBasePositionAndOrientation(body))

    def _release(self, name: str, pose: Pose) -> None:
        body = self._bodies[name]
        self._move(body, pose)
        self._client.changeDynamics(body, -1, activationState=_AWAKE)

    def _step(self) -> bool:
        self._client.stepSimulation()
        for number, body in enumerate(self._asked):
            (vx, vy, vz), (wx, wy, wz) = self._client.getBaseVelocity(body)
            if vx * vx + vy * vy + vz * vz > CALM_SPEED**2 or wx * wx + wy * wy + wz * wz > CALM_TURN**2:
                self._asked.insert(0, self._asked.pop(number))  # most likely it still moves after the next step
                return False
        return True

    def _picture(self, width: int, height: int) -> NDArray[np.uint8]:
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
        self._rebuild(self.state())
        return np.asarray(pixels, dtype=np.uint8).reshape(height, width, 4)[..., :3].copy()

    def _disconnect(self) -> None:
        self._client.close()


def _geometry(parts: tuple[Part, ...], frame: str) -> dict[str, Any]:
    return {
        "shapeTypes": [pybullet.GEOM_BOX if part.kind == "box" else pybullet.GEOM_CYLINDER for part in parts],
        "halfExtents": [[extent / 2 for extent in part.size] for part in parts],
        "radii": [part.size[0] / 2 for part in parts],
        "lengths": [part.size[2] for part in parts],
        f"{frame}FramePositions": [part.position for part in parts],
        f"{frame}FrameOrientations": [part.quaternion for part in parts],
    }
