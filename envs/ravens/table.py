"""The physics of the table: an arm with a suction cup, one block, rigid bodies throughout (PyBullet, no display)."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.pybullet_client import PyBulletClient, pybullet
from pluralbench.envs.ravens.arms import describe, find_arm
from pluralbench.envs.ravens.task import BLOCK_SIZE

TABLE_LOW, TABLE_HIGH = (0.15, -0.7), (0.9, 0.7)
"""Corners (x, y) of the table top in metres; its surface is z = 0. A block pushed over the edge falls to the floor."""

_DOWN = (1.0, 0.0, 0.0, 0.0)  # quaternion x, y, z, w: half a turn about x, so that the cup points down
_FLOOR = -0.4
_AWAY = (0.5, 0.0, 3.0)
_ZONE_COLOURS = ((0.16, 0.47, 0.84, 1), (0.95, 0.55, 0.10, 1), (0.20, 0.65, 0.33, 1), (0.72, 0.32, 0.75, 1))

# The physics; every figure here changes the data, so the behaviour policy's version goes up with it.
_SUBSTEPS = 24  # physics steps for each action
_FREQUENCY = 240.0  # physics steps in a simulated second
_SOLVER_ITERATIONS = 20  # of PyBullet's constraint solver; resting contact of one block needs few
_IK_ITERATIONS = 30  # of the inverse kinematics for each action; a held target converges over the following actions
_BLOCK_MASS = 0.1  # kg
_FRICTION = 0.6  # between block and table
_CUP_REACH = 0.002  # m of gap that the soft lip of the cup closes when it grips
_SUCTION_FORCE = 60.0  # N that hold the block to the cup


class Table:
    """One arm, one block and some marked zones in a physics client of its own.

    The client is kept for the object's whole life and `reset` leaves nothing of earlier episodes in it, the solver's
    contact caches included: the same block and the same actions give the same bytes.

    Args:
        zones: (Z, 2) centres of the marked zones in metres; marks only, they touch nothing.
        arm: a name in `ARMS`; ArmError for others, or where its package is missing.
        graphics: whether `image` will be called; loads the arm's visible meshes and changes no motion.
    """

    def __init__(self, zones: ArrayLike, arm: str = "panda", graphics: bool = False) -> None:
        self._grip: int | None = None
        self._bullet = PyBulletClient()
        try:
            self._build(arm, graphics)
            if graphics:
                self._mark(np.asarray(zones, dtype=np.float64))
        except Exception:
            self.close()
            raise

    def _build(self, arm: str, graphics: bool) -> None:
        self._bullet.setGravity(0, 0, -9.81)
        self._bullet.setPhysicsEngineParameter(
            fixedTimeStep=1.0 / _FREQUENCY, numSolverIterations=_SOLVER_ITERATIONS, deterministicOverlappingPairs=1
        )
        self._load_arm(arm, graphics)
        size = (TABLE_HIGH[0] - TABLE_LOW[0], TABLE_HIGH[1] - TABLE_LOW[1], 0.04)
        middle = ((TABLE_LOW[0] + TABLE_HIGH[0]) / 2, (TABLE_LOW[1] + TABLE_HIGH[1]) / 2, -0.02)
        table = self._box(size, middle, 0.0, (0.93, 0.90, 0.84, 1))
        self._box((3.0, 3.0, 0.1), (0.5, 0.0, _FLOOR - 0.05), 0.0, (0.55, 0.57, 0.6, 1))
        place, red = (0.5, 0.0, BLOCK_SIZE / 2), (0.8, 0.15, 0.15, 1)
        self._block = self._box((BLOCK_SIZE,) * 3, place, _BLOCK_MASS, red)
        for body in (table, self._block):
            self._bullet.changeDynamics(body, -1, lateralFriction=math.sqrt(_FRICTION), restitution=0.0)

    def _load_arm(self, name: str, graphics: bool) -> None:
        arm = find_arm(name)
        with TemporaryDirectory(prefix="ravens_") as folder:
            path = Path(folder, "arm.urdf")
            path.write_text(describe(arm, graphics), encoding="utf-8")
            self._arm = self._bullet.loadURDF(str(path), useFixedBase=True)
        infos = [self._bullet.getJointInfo(self._arm, joint) for joint in range(self._bullet.getNumJoints(self._arm))]
        moving = [info for info in infos if info[2] == pybullet.JOINT_REVOLUTE]
        self._joints = [info[0] for info in moving]
        self._forces = [info[10] for info in moving]
        self._top_speeds = np.array([info[11] for info in moving])
        self._cup = len(infos) - 1
        self._home = np.array(arm.home)

    def _box(self, size: tuple[float, ...], position: tuple[float, ...], mass: float, colour: tuple[float, ...]) -> int:
        half = [edge / 2 for edge in size]
        shape = self._bullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=half)
        visual = self._bullet.createVisualShape(pybullet.GEOM_BOX, halfExtents=half, rgbaColor=colour)
        return self._bullet.createMultiBody(mass, shape, visual, position)

    def _mark(self, zones: NDArray[np.float64]) -> None:
        for (x, y), colour in zip(zones, _ZONE_COLOURS, strict=False):
            look = {"rgbaColor": colour, "specularColor": (0, 0, 0)}
            disc = self._bullet.createVisualShape(pybullet.GEOM_CYLINDER, radius=0.05, length=0.002, **look)
            self._bullet.createMultiBody(0, -1, disc, (x, y, 0.001))

    def reset(self, block: ArrayLike, yaw: float = 0.0) -> None:
        """The arm at home and still, the block resting at `block` (x, y) metres, turned by `yaw` radians."""
        x, y = (float(value) for value in np.asarray(block))
        self._release()
        self._put(_AWAY, (0.0, 0.0, 0.0, 1.0))
        self._bullet.stepSimulation()  # with nothing in touch, Bullet forgets its contacts
        self._put((x, y, BLOCK_SIZE / 2), (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)))

    def _put(self, block: tuple[float, ...], turn: tuple[float, ...]) -> None:
        """The arm at home and the block there, both still."""
        for joint, angle in zip(self._joints, self._home.tolist(), strict=True):
            self._bullet.resetJointState(self._arm, joint, angle, 0.0)
        self._aim(self._home, self._top_speeds)
        self._bullet.resetBasePositionAndOrientation(self._block, block, turn)
        self._bullet.resetBaseVelocity(self._block, (0, 0, 0), (0, 0, 0))

    def step(self, target: ArrayLike, suction: bool) -> None:
        """One action: the cup moves towards `target` (x, y, z) metres while the suction is on or off throughout."""
        if not suction:
            self._release()
        limits = {"maxNumIterations": _IK_ITERATIONS, "residualThreshold": 1e-4}
        place = [float(value) for value in np.asarray(target)]
        angles = np.array(self._bullet.calculateInverseKinematics(self._arm, self._cup, place, _DOWN, **limits))
        now = np.array([state[0] for state in self._bullet.getJointStates(self._arm, self._joints)])
        # joints that have further to go move faster, so that all of them arrive together
        seconds = np.abs(angles - now) / self._top_speeds
        self._aim(angles, self._top_speeds * np.maximum(seconds / max(seconds.max(), 1e-9), 0.05))
        for _ in range(_SUBSTEPS):
            self._bullet.stepSimulation()
            if suction and self._grip is None:
                self._grip = self._try_grip()

    def _aim(self, angles: NDArray[np.float64], speeds: NDArray[np.float64]) -> None:
        """Sets the motors."""
        motors = zip(self._joints, angles.tolist(), self._forces, speeds.tolist(), strict=True)
        for joint, angle, force, speed in motors:
            self._bullet.setJointMotorControl2(
                self._arm, joint, pybullet.POSITION_CONTROL, targetPosition=angle, force=force, maxVelocity=speed
            )

    def _try_grip(self) -> int | None:
        """A fixed constraint where the cup's lip lies on the block just now, or None where it does not."""
        contacts = self._bullet.getContactPoints(self._arm, self._block, self._cup, -1)
        if not any(contact[8] <= _CUP_REACH for contact in contacts):
            return None
        cup = self._bullet.getLinkState(self._arm, self._cup, computeForwardKinematics=1)
        block = self._bullet.getBasePositionAndOrientation(self._block)
        position, turn = pybullet.multiplyTransforms(*pybullet.invertTransform(cup[4], cup[5]), *block)
        if position[2] < BLOCK_SIZE / 2 - 2 * _CUP_REACH or math.hypot(*position[:2]) > BLOCK_SIZE / 2:
            return None  # the tube touches the block's side, or half of the lip hangs over its edge and draws air
        grip = self._bullet.createConstraint(
            self._arm, self._cup, self._block, -1, pybullet.JOINT_FIXED, (0, 0, 0), position, (0, 0, 0), turn
        )
        self._bullet.changeConstraint(grip, maxForce=_SUCTION_FORCE)
        return grip

    def _release(self) -> None:
        if self._grip is not None:
            self._bullet.removeConstraint(self._grip)
            self._grip = None

    def state(self) -> NDArray[np.float64]:
        """(7,): cup x, y, z and block x, y, z in metres, and 1 while the cup holds the block."""
        cup = self._bullet.getLinkState(self._arm, self._cup, computeForwardKinematics=1)[4]
        block = self._bullet.getBasePositionAndOrientation(self._block)[0]
        return np.array([*cup, *block, self._grip is not None], dtype=np.float64)

    def image(self, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width, 3) uint8: the table from the front, seen from above (software renderer, no GPU)."""
        pixels = self._bullet.getCameraImage(
            width,
            height,
            pybullet.computeViewMatrix((1.2, 0.0, 0.62), (0.45, 0.0, 0.14), (0, 0, 1)),
            pybullet.computeProjectionMatrixFOV(48, width / height, 0.05, 4.0),
            lightDirection=(0.6, 0.5, 1.4),
            renderer=pybullet.ER_TINY_RENDERER,
            flags=pybullet.ER_NO_SEGMENTATION_MASK,
        )[2]
        return np.asarray(pixels, dtype=np.uint8).reshape(height, width, 4)[..., :3].copy()

    def close(self) -> None:
        """Gives the physics client back; a second call does nothing."""
        self._bullet.close()
