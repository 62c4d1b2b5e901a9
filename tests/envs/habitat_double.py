"""A stand-in for habitat_sim and magnum with the part of their documented interface that the household uses.

Its physics is PyBullet's, with y up as in habitat-sim. It shows that axes, poses, order of calls and error handling of
`HabitatSimulator` are right where habitat-sim cannot be installed; it does not show that habitat-sim is as documented.
Like habitat-sim it moves no STATIC body, reads scales as half extents, and knows no attribute that is not there. As was
seen on the real one, gravity is 9.8 until it is set, a scene's stage keeps things off by its collision margin, of which
rays and the navigation mesh know nothing, a missing scene is an AssertionError, simulators say that there are no lights
unless the log is quiet, and closing the older of two renderers (there: the process aborts) is an error.

A scene is a JSON file: `{"margin": 0.04, "objects": {handle: [x, y, z, half x, half y, half z]}, "islands": [[x, z]]}`.
"""

from __future__ import annotations

import enum
import json
import os
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pybullet
from scipy.spatial.transform import Rotation


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

    @staticmethod
    def from_matrix(matrix: np.ndarray) -> Quaternion:
        x, y, z, w = Rotation.from_matrix(matrix).as_quat()
        return Quaternion(Vector3(x, y, z), w)

    def turn(self, vector) -> np.ndarray:
        return Rotation.from_quat([*self.vector, self.scalar]).apply(vector)


class Matrix4:
    def __init__(self, rotation: np.ndarray, translation) -> None:
        self._rotation, self._translation = rotation, np.array(list(translation))

    @staticmethod
    def look_at(eye: Vector3, target: Vector3, up: Vector3) -> Matrix4:
        back = np.subtract(list(eye), list(target))
        back /= np.linalg.norm(back)
        right = np.cross(list(up), back)
        right /= np.linalg.norm(right)
        return Matrix4(np.stack([right, np.cross(back, right), back], axis=1), eye)

    def rotation(self) -> np.ndarray:
        return self._rotation

    def transform_point(self, point: Vector3) -> Vector3:
        return Vector3(*(self._rotation @ np.array(list(point)) + self._translation))


class Vector2i:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = int(x), int(y)

    def __iter__(self):
        return iter((self.x, self.y))


class SensorType(enum.Enum):
    COLOR = 1
    DEPTH = 2
    SEMANTIC = 3


class SensorSubType(enum.Enum):
    PINHOLE = 1


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


def _camera_specification() -> _Settings:
    return _Settings(
        uuid="",
        sensor_type=None,
        sensor_subtype=None,
        resolution=Vector2i(84, 84),
        position=Vector3(0, 1.5, 0),
        hfov=90.0,
    )


def _navigation_settings() -> _Settings:
    return _Settings(set_defaults=lambda: None, agent_radius=0.1, agent_height=1.5, include_static_objects=False)


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
        self.semantic_id = 0
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

    @property
    def transformation(self) -> Matrix4:
        turn = self.rotation
        return Matrix4(Rotation.from_quat([*turn.vector, turn.scalar]).as_matrix(), self.translation)

    @property
    def root_scene_node(self) -> types.SimpleNamespace:
        half = np.array(list(self._template.scale))
        return types.SimpleNamespace(cumulative_bb=types.SimpleNamespace(min=-half, max=half))

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

    def get_objects_by_handle_substring(self, search_str: str) -> dict[str, _Body]:
        return {handle: body for handle, body in self.bodies.items() if search_str in handle}

    def get_num_objects(self) -> int:
        return len(self.bodies)


class _Pathfinder:
    """The floor of a scene, 8 m x 6 m at y = 0, but for its objects; islands are small pieces apart."""

    def __init__(self, scene: dict) -> None:
        self._scene, self._radius = scene, 0.0

    def get_bounds(self) -> tuple[Vector3, Vector3]:
        return Vector3(-1.0, 0.0, -6.0), Vector3(8.0, 2.0, 0.0)

    def get_topdown_view(self, meters_per_pixel: float, height: float) -> np.ndarray:
        assert abs(height) < 0.5
        x = -1.0 + (np.arange(round(9.0 / meters_per_pixel)) + 0.5) * meters_per_pixel
        z = -6.0 + (np.arange(round(6.0 / meters_per_pixel)) + 0.5) * meters_per_pixel
        free = np.broadcast_to(x > 0, (len(z), len(x))).copy()
        for px, _, pz, hx, _, hz in self._scene["objects"].values():
            free &= ~((np.abs(x - px) < hx + self._radius) & (np.abs(z - pz) < hz + self._radius)[:, None])
        for ix, iz in self._scene.get("islands", ()):
            free |= (np.abs(x - ix) < 0.15) & (np.abs(z - iz) < 0.15)[:, None]
        return free


class Simulator:
    contexts: ClassVar[list[Simulator]] = []  # renderers that are open, the newest last

    def __init__(self, configuration: types.SimpleNamespace) -> None:
        settings = configuration.sim_cfg
        assert settings.enable_physics
        assert len(configuration.agents) == 1
        self._sensors = configuration.agents[0].sensor_specifications
        # as in habitat_sim.Simulator: a renderer exists exactly where there are sensors
        assert settings.create_renderer == bool(self._sensors)
        assert settings.gpu_device_id == (-1 if settings.create_renderer else 0)
        self._client = pybullet.connect(pybullet.DIRECT)
        self.set_gravity(Vector3(0.0, -9.8, 0.0))
        pybullet.setPhysicsEngineParameter(
            fixedTimeStep=0.008, deterministicOverlappingPairs=1, physicsClientId=self._client
        )
        self._templates = _Templates()
        self._bodies = _Bodies(self._client, self._templates)
        self._stage: types.SimpleNamespace | None = None
        if settings.scene_id != "NONE":
            self._load(settings)
        self._node = types.SimpleNamespace(translation=Vector3(0, 0, 0), rotation=Quaternion(Vector3(0, 0, 0), 1.0))
        if self._sensors:
            self.maps_of_light = not Path("data", "default.pbr_config.json").exists()
            self.contexts.append(self)
        if os.environ.get("HABITAT_SIM_LOG") != "quiet":
            print("[Warning] no_lights: a flat shader is used")

    def _load(self, settings: _Settings) -> None:
        file = Path(settings.scene_dataset_config_file)
        scenes = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if settings.scene_id not in scenes:
            raise AssertionError(f"ESP_CHECK failed: no scene {settings.scene_id}\nand more lines")
        scene = scenes[settings.scene_id]
        self._stage = types.SimpleNamespace(margin=scene["margin"])
        self.pathfinder = _Pathfinder(scene)
        cube = self._templates.known["cubeSolid"]
        top = scene["margin"]  # things rest on it, rays are not cast at it
        for handle, (x, y, z, hx, hy, hz) in {"stage": (4, top - 1, -3, 5, 1, 4), **scene["objects"]}.items():
            self._templates.known[handle] = _Settings(**{**vars(cube), "scale": Vector3(hx, hy, hz)})
            body = self._bodies.add_object_by_template_handle(handle)
            assert body is not None
            body.translation = Vector3(x, y, z)
            body.motion_type = MotionType.STATIC

    def set_gravity(self, gravity: Vector3) -> None:
        self.gravity = tuple(gravity)
        pybullet.setGravity(*gravity, physicsClientId=self._client)

    def get_gravity(self) -> Vector3:
        return Vector3(*self.gravity)

    def get_stage_initialization_template(self) -> types.SimpleNamespace | None:
        return self._stage

    def recompute_navmesh(self, pathfinder: _Pathfinder, settings: types.SimpleNamespace) -> bool:
        assert settings.include_static_objects
        pathfinder._radius = settings.agent_radius
        return True

    def cast_ray(self, ray: types.SimpleNamespace, max_distance: float) -> types.SimpleNamespace:
        end = np.add(list(ray.origin), max_distance * np.array(list(ray.direction)))
        found = pybullet.rayTest(list(ray.origin), end.tolist(), physicsClientId=self._client)[0]
        hits = [types.SimpleNamespace(point=Vector3(*found[3]))] if found[0] >= 0 else []
        return types.SimpleNamespace(hits=hits, has_hits=lambda: bool(hits))

    def get_object_template_manager(self) -> _Templates:
        return self._templates

    def get_rigid_object_manager(self) -> _Bodies:
        return self._bodies

    def get_agent(self, number: int) -> types.SimpleNamespace:
        assert number == 0
        return types.SimpleNamespace(scene_node=self._node)

    def get_sensor_observations(self) -> dict[str, np.ndarray]:
        assert self.contexts[-1] is self or self in self.contexts
        height, width = self._sensors[0].resolution
        eye, turn = np.array(list(self._node.translation)), self._node.rotation
        view = pybullet.computeViewMatrix(
            eye.tolist(), (eye + turn.turn([0.0, 0.0, -1.0])).tolist(), turn.turn([0.0, 1.0, 0.0]).tolist()
        )
        near, far = 0.1, 50.0
        across = np.radians(self._sensors[0].hfov) / 2
        upwards = np.degrees(2 * np.arctan(np.tan(across) * height / width))
        lens = pybullet.computeProjectionMatrixFOV(upwards, width / height, near, far)
        _, _, colour, depth, numbers = pybullet.getCameraImage(
            width, height, view, lens, renderer=pybullet.ER_TINY_RENDERER, physicsClientId=self._client
        )
        numbers, depth = np.reshape(numbers, (height, width)), np.reshape(depth, (height, width))
        ids = {body.number: body.semantic_id for body in self._bodies.bodies.values()}
        seen = {
            SensorType.COLOR: np.reshape(colour, (height, width, 4)).astype(np.uint8),
            SensorType.DEPTH: (far * near / (far - (far - near) * depth)).astype(np.float32),
            SensorType.SEMANTIC: np.vectorize(lambda number: ids.get(number, 0))(numbers).astype(np.uint32),
        }
        return {sensor.uuid: seen[sensor.sensor_type] for sensor in self._sensors}

    def step_physics(self, dt: float) -> None:
        assert abs(dt - 0.008) < 1e-12
        pybullet.stepSimulation(physicsClientId=self._client)

    def close(self) -> None:
        if self._sensors:
            if self.contexts[-1] is not self:
                raise SystemError("GL::Context::current(): no current context")
            self.contexts.pop()
        pybullet.disconnect(physicsClientId=self._client)


def modules() -> dict[str, types.ModuleType]:
    """What to put into `sys.modules`."""
    magnum = types.ModuleType("magnum")
    magnum.Vector3, magnum.Quaternion = Vector3, Quaternion  # type: ignore[attr-defined]
    magnum.Vector2i, magnum.Matrix4 = Vector2i, Matrix4  # type: ignore[attr-defined]
    habitat = types.ModuleType("habitat_sim")
    habitat.built_with_bullet = True  # type: ignore[attr-defined]
    habitat.SimulatorConfiguration = _simulator_configuration  # type: ignore[attr-defined]
    habitat.Configuration = lambda sim_cfg, agents: types.SimpleNamespace(sim_cfg=sim_cfg, agents=agents)  # type: ignore[attr-defined]
    habitat.agent = types.SimpleNamespace(AgentConfiguration=lambda: _Settings(sensor_specifications=["the default"]))  # type: ignore[attr-defined]
    habitat.physics = types.SimpleNamespace(MotionType=MotionType)  # type: ignore[attr-defined]
    habitat.Simulator = Simulator  # type: ignore[attr-defined]
    habitat.SensorType, habitat.SensorSubType = SensorType, SensorSubType  # type: ignore[attr-defined]
    habitat.CameraSensorSpec = _camera_specification  # type: ignore[attr-defined]
    habitat.nav = types.SimpleNamespace(NavMeshSettings=_navigation_settings)  # type: ignore[attr-defined]
    habitat.geo = types.SimpleNamespace(Ray=lambda o, d: types.SimpleNamespace(origin=o, direction=d))  # type: ignore[attr-defined]
    return {"habitat_sim": habitat, "magnum": magnum}
