"""The physics of the table: an arm with a suction cup, one block, rigid bodies throughout (PyBullet, no display)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pybullet
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.ravens.arms import describe, find_arm, write_description
from pluralbench.envs.ravens.task import BLOCK_SIZE

TABLE_LOW, TABLE_HIGH = (0.15, -0.7), (0.9, 0.7)
"""Corners (x, y) of the table top in metres; its surface is z = 0. A block pushed over the edge falls to the floor."""

_DOWN = (1.0, 0.0, 0.0, 0.0)  # quaternion x, y, z, w: half a turn about x, so that the cup points down
_FLOOR = -0.4
_AWAY = (0.5, 0.0, 3.0)
_ZONE_COLOURS = ((0.16, 0.47, 0.84), (0.95, 0.55, 0.10), (0.20, 0.65, 0.33), (0.72, 0.32, 0.75))


@dataclass(frozen=True)
class TableSettings:
    """The physics; every figure here changes the data, so the behaviour policy's version goes up with it."""

    arm: str = "panda"
    """`panda`, from PyBullet's own wheel, or `ur5` where `example-robot-data` is installed."""
    substeps: int = 24
    """Physics steps for each action."""
    frequency: float = 240.0
    """Physics steps in a simulated second."""
    solver_iterations: int = 20
    """Of PyBullet's constraint solver; resting contact of one block needs few."""
    ik_iterations: int = 30
    """Of the inverse kinematics for each action; a held target converges over the following actions."""
    block_mass: float = 0.1
    """Kilograms."""
    friction: float = 0.6
    """Between block and table."""
    cup_reach: float = 0.002
    """Metres of gap that the soft lip of the cup closes when it grips."""
    suction_force: float = 60.0
    """Newtons that hold the block to the cup."""


class Table:
    """One arm, one block and some marked zones in a physics client of its own.

    The client is kept for the object's whole life and `reset` leaves nothing of earlier episodes in it, the solver's
    contact caches included: the same block and the same actions give the same bytes.

    Args:
        zones: (Z, 2) centres of the marked zones in metres; marks only, they touch nothing.
        settings: the physics.
        graphics: whether `image` will be called; loads the arm's visible meshes and changes no motion.

    Raises:
        ArmError: unknown arm, or its package is missing.
    """

    def __init__(self, zones: ArrayLike, settings: TableSettings | None = None, graphics: bool = False) -> None:
        self.settings = settings or TableSettings()
        self._graphics = graphics
        self._grip: int | None = None
        self._client = pybullet.connect(pybullet.DIRECT)
        if self._client < 0:
            raise RuntimeError("PyBullet gave no physics client; its limit is 1,024 in one process")
        try:
            self._build(np.asarray(zones, dtype=np.float64))
        except Exception:
            self.close()
            raise

    def _build(self, zones: NDArray[np.float64]) -> None:
        settings, client = self.settings, {"physicsClientId": self._client}
        pybullet.setGravity(0, 0, -9.81, **client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=1.0 / settings.frequency,
            numSolverIterations=settings.solver_iterations,
            deterministicOverlappingPairs=1,
            **client,
        )
        self._load_arm()
        size = (TABLE_HIGH[0] - TABLE_LOW[0], TABLE_HIGH[1] - TABLE_LOW[1], 0.04)
        middle = ((TABLE_LOW[0] + TABLE_HIGH[0]) / 2, (TABLE_LOW[1] + TABLE_HIGH[1]) / 2, -0.02)
        self._table = self._box(size, middle, 0.0, (0.93, 0.90, 0.84, 1))
        self._box((3.0, 3.0, 0.1), (0.5, 0.0, _FLOOR - 0.05), 0.0, (0.55, 0.57, 0.6, 1))
        self._block = self._box(
            (BLOCK_SIZE,) * 3, (0.5, 0.0, BLOCK_SIZE / 2), settings.block_mass, (0.8, 0.15, 0.15, 1)
        )
        for body in (self._table, self._block):
            pybullet.changeDynamics(body, -1, lateralFriction=math.sqrt(settings.friction), restitution=0.0, **client)
        if self._graphics:
            self._mark(zones)

    def _load_arm(self) -> None:
        client = {"physicsClientId": self._client}
        arm = find_arm(self.settings.arm)
        path = write_description(describe(arm, self._graphics))
        try:
            self._arm = pybullet.loadURDF(str(path), useFixedBase=True, **client)
        finally:
            path.unlink()
        count = pybullet.getNumJoints(self._arm, **client)
        infos = [pybullet.getJointInfo(self._arm, joint, **client) for joint in range(count)]
        moving = [info for info in infos if info[2] == pybullet.JOINT_REVOLUTE]
        self._joints = [info[0] for info in moving]
        self._forces = [info[10] for info in moving]
        self._top_speeds = np.array([info[11] for info in moving])
        self._cup = len(infos) - 1
        self._home = np.array(arm.home)

    def _box(self, size: tuple[float, ...], position: tuple[float, ...], mass: float, colour: tuple[float, ...]) -> int:
        client = {"physicsClientId": self._client}
        half = [edge / 2 for edge in size]
        shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half, **client)
        visual = pybullet.createVisualShape(pybullet.GEOM_BOX, halfExtents=half, rgbaColor=colour, **client)
        return pybullet.createMultiBody(mass, shape, visual, position, **client)

    def _mark(self, zones: NDArray[np.float64]) -> None:
        client = {"physicsClientId": self._client}
        for (x, y), colour in zip(zones, _ZONE_COLOURS, strict=False):
            disc = pybullet.createVisualShape(
                pybullet.GEOM_CYLINDER,
                radius=0.05,
                length=0.002,
                rgbaColor=(*colour, 1),
                specularColor=(0, 0, 0),
                **client,
            )
            pybullet.createMultiBody(0, -1, disc, (x, y, 0.001), **client)

    def reset(self, block: ArrayLike, yaw: float = 0.0) -> None:
        """The arm at home and still, the block resting at `block` (x, y) metres, turned by `yaw` radians."""
        x, y = (float(value) for value in np.asarray(block))
        turn = (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
        self._release()
        self._put(_AWAY, (0.0, 0.0, 0.0, 1.0))
        pybullet.stepSimulation(physicsClientId=self._client)  # with nothing in touch, Bullet forgets its contacts
        self._put((x, y, BLOCK_SIZE / 2), turn)

    def _put(self, block: tuple[float, ...], turn: tuple[float, ...]) -> None:
        """The arm at home and the block there, both still."""
        client = {"physicsClientId": self._client}
        for joint, angle in zip(self._joints, self._home.tolist(), strict=True):
            pybullet.resetJointState(self._arm, joint, angle, 0.0, **client)
        self._aim(self._home, None)
        pybullet.resetBasePositionAndOrientation(self._block, block, turn, **client)
        pybullet.resetBaseVelocity(self._block, (0, 0, 0), (0, 0, 0), **client)

    def step(self, target: ArrayLike, suction: bool) -> None:
        """One action: the cup moves towards `target` (x, y, z) metres while the suction is on or off throughout."""
        client = {"physicsClientId": self._client}
        if not suction:
            self._release()
        angles = pybullet.calculateInverseKinematics(
            self._arm,
            self._cup,
            [float(value) for value in np.asarray(target)],
            _DOWN,
            maxNumIterations=self.settings.ik_iterations,
            residualThreshold=1e-4,
            **client,
        )
        now = [state[0] for state in pybullet.getJointStates(self._arm, self._joints, **client)]
        self._aim(np.array(angles), np.array(now))
        for _ in range(self.settings.substeps):
            pybullet.stepSimulation(**client)
            if suction and self._grip is None:
                self._grip = self._try_grip()

    def _aim(self, angles: NDArray[np.float64], now: NDArray[np.float64] | None) -> None:
        """Sets the motors; joints that have further to go move faster, so that all of them arrive together."""
        speeds = self._top_speeds
        if now is not None:
            seconds = np.abs(angles - now) / speeds
            speeds = speeds * np.maximum(seconds / max(seconds.max(), 1e-9), 0.05)
        for joint, angle, force, speed in zip(
            self._joints, angles.tolist(), self._forces, speeds.tolist(), strict=True
        ):
            pybullet.setJointMotorControl2(
                self._arm,
                joint,
                pybullet.POSITION_CONTROL,
                targetPosition=angle,
                force=force,
                maxVelocity=speed,
                physicsClientId=self._client,
            )

    def _try_grip(self) -> int | None:
        """A fixed constraint where the cup's lip lies on the block just now, or None where it does not."""
        client = {"physicsClientId": self._client}
        contacts = pybullet.getContactPoints(self._arm, self._block, self._cup, -1, **client)
        if not any(contact[8] <= self.settings.cup_reach for contact in contacts):
            return None
        cup = pybullet.getLinkState(self._arm, self._cup, computeForwardKinematics=1, **client)
        to_cup = pybullet.invertTransform(cup[4], cup[5])
        block = pybullet.getBasePositionAndOrientation(self._block, **client)
        position, turn = pybullet.multiplyTransforms(*to_cup, *block)
        if position[2] < BLOCK_SIZE / 2 - 2 * self.settings.cup_reach or math.hypot(*position[:2]) > BLOCK_SIZE / 2:
            return None  # the tube touches the block's side, or half of the lip hangs over its edge and draws air
        grip = pybullet.createConstraint(
            self._arm, self._cup, self._block, -1, pybullet.JOINT_FIXED, (0, 0, 0), position, (0, 0, 0), turn, **client
        )
        pybullet.changeConstraint(grip, maxForce=self.settings.suction_force, **client)
        return grip

    def _release(self) -> None:
        if self._grip is not None:
            pybullet.removeConstraint(self._grip, physicsClientId=self._client)
            self._grip = None

    def state(self) -> NDArray[np.float64]:
        """(7,): cup x, y, z and block x, y, z in metres, and 1 while the cup holds the block."""
        client = {"physicsClientId": self._client}
        cup = pybullet.getLinkState(self._arm, self._cup, computeForwardKinematics=1, **client)[4]
        block = pybullet.getBasePositionAndOrientation(self._block, **client)[0]
        return np.array([*cup, *block, self._grip is not None], dtype=np.float64)

    def image(self, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width, 3) uint8: the table from the front, seen from above (software renderer, no GPU)."""
        client = {"physicsClientId": self._client}
        view = pybullet.computeViewMatrix((1.2, 0.0, 0.62), (0.45, 0.0, 0.14), (0, 0, 1))
        projection = pybullet.computeProjectionMatrixFOV(48, width / height, 0.05, 4.0)
        pixels = pybullet.getCameraImage(
            width,
            height,
            view,
            projection,
            lightDirection=(0.6, 0.5, 1.4),
            renderer=pybullet.ER_TINY_RENDERER,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
            **client,
        )[2]
        return np.asarray(pixels, dtype=np.uint8).reshape(height, width, 4)[..., :3].copy()

    def close(self) -> None:
        """Gives the physics client back; a second call does nothing."""
        if self._client >= 0:
            pybullet.disconnect(physicsClientId=self._client)
            self._client = -1

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
