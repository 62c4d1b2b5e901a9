"""A stand-in for habitat_sim and magnum with the part of their documented interface that the household uses.

Its physics is PyBullet's, with y up as in habitat-sim. It shows that axes, poses, order of calls and error handling of
`HabitatSimulator` are right where habitat-sim cannot be installed; it does not show that habitat-sim is as documented.
Like habitat-sim it moves no STATIC body, reads scales as half extents, and knows no attribute that is not there.
"""

from __future__ import annotations

import enum
import types

import numpy as np
import pybullet


class Vector3:
    def __init__(self, x: float, y: float, z: float) -> None:
        self.values = (float(x), float(y), float(z))

    def __getitem__(self, index: int) -> float:
        return self.values[index]

    def __iter__(self):
        return iter(self.values)

    def length(self) -> float:
        return float(np.linalg.norm(self.values))


class Quaternion:
    def __init__(self, vector: Vector3, scalar: float) -> None:
        assert isinstance(vector, Vector3)
        self.vector, self.scalar = vector, float(scalar)


class MotionType(enum.Enum):
    STATIC = 0
    KINEMATIC = 1
    DYNAMIC = 2


class _Settings(types.SimpleNamespace):
    """Takes only the attributes that it was made with."""

    def __setattr__(self, name: str, value: object) -> None:
        assert name in self.__dict__, f"habitat-sim has no attribute {name!r} here"
        super().__setattr__(name, value)


def _simulator_configuration() -> _Settings:
    return _Settings(
        scene_id="NONE",
        scene_dataset_config_file="default",
        enable_physics=False,
        load_semantic_mesh=True,
        create_renderer=True,
        gpu_device_id=0,
    )


class _Templates:
    def __init__(self) -> None:
        self.known = {
            handle: _Settings(
                shape=shape,
                scale=Vector3(0.1, 0.1, 0.1),
                mass=1.0,
                margin=0.04,
                friction_coefficient=0.5,
                rolling_friction_coefficient=0.0,
                spinning_friction_coefficient=0.0,
                restitution_coefficient=0.1,
                linear_damping=0.2,
                angular_damping=0.2,
            )
            for handle, shape in (("cubeSolid", "box"), ("cylinderSolid_rings_1_segments_12", "cylinder"))
        }

    def get_template_handles(self, search_str: str = "") -> list[str]:
        return sorted(handle for handle in self.known if search_str in handle)

    def get_template_by_handle(self, handle: str) -> _Settings:
        return _Settings(**vars(self.known[handle]))

    def register_template(self, template: _Settings, specified_handle: str) -> int:
        self.known[specified_handle] = _Settings(**vars(template))
        return len(self.known)


class _Body:
    def __init__(self, client: int, handle: str, template: _Settings) -> None:
        self._client, self.handle, self._template = client, handle, template
        self._kind = MotionType.DYNAMIC
        self._pose = (Vector3(0, 0, 0), Quaternion(Vector3(0, 0, 0), 1.0))
        self.collidable = True
        self.awake = True
        half = template.scale
        if template.shape == "box":
            shape = pybullet.createCollisionShape(pybullet.GEOM_BOX, halfExtents=list(half), physicsClientId=client)
        else:
            assert half[0] == half[2]
            shape = pybullet.createCollisionShape(
                pybullet.GEOM_CYLINDER,
                radius=half[0],
                height=2 * half[1],
                collisionFrameOrientation=pybullet.getQuaternionFromEuler((np.pi / 2, 0, 0)),
                physicsClientId=client,
            )
        self._shape = shape
        self._make(template.mass)

    def _make(self, mass: float) -> None:
        self.number = pybullet.createMultiBody(
            baseMass=mass,
            baseCollisionShapeIndex=self._shape,
            basePosition=list(self._pose[0]),
            baseOrientation=[*self._pose[1].vector, self._pose[1].scalar],
            useMaximalCoordinates=True,
            physicsClientId=self._client,
        )
        t = self._template
        pybullet.changeDynamics(
            self.number,
            -1,
            lateralFriction=t.friction_coefficient,
            rollingFriction=t.rolling_friction_coefficient,
            spinningFriction=t.spinning_friction_coefficient,
            restitution=t.restitution_coefficient,
            linearDamping=t.linear_damping,
            angularDamping=t.angular_damping,
            physicsClientId=self._client,
        )

    def remove(self) -> None:
        pybullet.removeBody(self.number, physicsClientId=self._client)

    @property
    def motion_type(self) -> MotionType:
        return self._kind

    @motion_type.setter
    def motion_type(self, kind: MotionType) -> None:
        if kind is not self._kind:
            self._pose = (self.translation, self.rotation)
            self.remove()
            self._kind = kind
            self._make(self._template.mass if kind is MotionType.DYNAMIC else 0.0)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name == "collidable" and not value:
            pybullet.setCollisionFilterGroupMask(self.number, -1, 0, 0, physicsClientId=self._client)

    def _set(self, translation: Vector3, rotation: Quaternion) -> None:
        if self._kind is MotionType.STATIC:
            return
        quaternion = [*rotation.vector, rotation.scalar]
        pybullet.resetBasePositionAndOrientation(
            self.number, list(translation), quaternion, physicsClientId=self._client
        )

    def _get(self) -> tuple[Vector3, Quaternion]:
        position, q = pybullet.getBasePositionAndOrientation(self.number, physicsClientId=self._client)
        return Vector3(*position), Quaternion(Vector3(*q[:3]), q[3])

    translation = property(lambda self: self._get()[0], lambda self, value: self._set(value, self.rotation))
    rotation = property(lambda self: self._get()[1], lambda self, value: self._set(self.translation, value))

    def _velocity(self, index: int) -> Vector3:
        return Vector3(*pybullet.getBaseVelocity(self.number, physicsClientId=self._client)[index])

    def _set_velocity(self, key: str, value: Vector3) -> None:
        pybullet.resetBaseVelocity(self.number, **{key: list(value)}, physicsClientId=self._client)

    linear_velocity = property(lambda self: self._velocity(0), lambda self, v: self._set_velocity("linearVelocity", v))
    angular_velocity = property(
        lambda self: self._velocity(1), lambda self, v: self._set_velocity("angularVelocity", v)
    )


class _Bodies:
    def __init__(self, client: int, templates: _Templates) -> None:
        self._client, self._templates = client, templates
        self.bodies: dict[str, _Body] = {}
        self._count = 0

    def add_object_by_template_handle(self, handle: str) -> _Body | None:
        if handle not in self._templates.known:
            return None
        self._count += 1
        name = f"{handle}_:{self._count:04d}"
        self.bodies[name] = _Body(self._client, name, self._templates.known[handle])
        return self.bodies[name]

    def remove_object_by_handle(self, handle: str) -> None:
        self.bodies.pop(handle).remove()

    def get_num_objects(self) -> int:
        return len(self.bodies)


class Simulator:
    def __init__(self, configuration: types.SimpleNamespace) -> None:
        assert configuration.sim_cfg.enable_physics
        assert configuration.sim_cfg.scene_id == "NONE"
        assert len(configuration.agents) == 1
        # as in habitat_sim.Simulator: a renderer exists exactly where there are sensors
        assert configuration.sim_cfg.create_renderer == bool(configuration.agents[0].sensor_specifications)
        self._client = pybullet.connect(pybullet.DIRECT)
        pybullet.setGravity(0.0, -9.81, 0.0, physicsClientId=self._client)
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=0.008, deterministicOverlappingPairs=1, physicsClientId=self._client
        )
        self._templates = _Templates()
        self._bodies = _Bodies(self._client, self._templates)

    def get_object_template_manager(self) -> _Templates:
        return self._templates

    def get_rigid_object_manager(self) -> _Bodies:
        return self._bodies

    def step_physics(self, dt: float) -> None:
        assert abs(dt - 0.008) < 1e-12
        pybullet.stepSimulation(physicsClientId=self._client)

    def close(self) -> None:
        pybullet.disconnect(physicsClientId=self._client)


def modules() -> dict[str, types.ModuleType]:
    """What to put into `sys.modules`."""
    magnum = types.ModuleType("magnum")
    magnum.Vector3, magnum.Quaternion = Vector3, Quaternion  # type: ignore[attr-defined]
    habitat = types.ModuleType("habitat_sim")
    habitat.built_with_bullet = True  # type: ignore[attr-defined]
    habitat.SimulatorConfiguration = _simulator_configuration  # type: ignore[attr-defined]
    habitat.Configuration = lambda sim_cfg, agents: types.SimpleNamespace(sim_cfg=sim_cfg, agents=agents)  # type: ignore[attr-defined]
    habitat.agent = types.SimpleNamespace(AgentConfiguration=lambda: _Settings(sensor_specifications=["the default"]))  # type: ignore[attr-defined]
    habitat.physics = types.SimpleNamespace(MotionType=MotionType)  # type: ignore[attr-defined]
    habitat.Simulator = Simulator  # type: ignore[attr-defined]
    return {"habitat_sim": habitat, "magnum": magnum}
