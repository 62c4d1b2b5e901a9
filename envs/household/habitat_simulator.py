"""The household on habitat-sim 0.3.3 with Bullet.

habitat-sim is imported when a simulator is made, never before. Its axes have y up; `episodes.to_habitat` turns ours.

What differs from PyBullet: habitat-sim gives a rigid body one primitive, so an object without files of its own is its
hull, an upright cylinder or a box (a bowl is a low cylinder that nothing falls into). Its renderer knows no colours of
primitives, so that the flat of primitives is drawn from depth and semantics, see `shading`. With ReplicaCAD the five
places are pieces of that flat's furniture, see `habitat_scenes`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pluralbench.envs.household import renderers
from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import EMPTY_SCENE, Pose, from_habitat, to_habitat
from pluralbench.envs.household.flat import FURNITURE
from pluralbench.envs.household.habitat_scenes import REPLICA_CAD_PLACES, read_scene
from pluralbench.envs.household.shading import axes_of_view, shaded
from pluralbench.envs.household.shapes import Colour, Part
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
    SimulatorError,
    SimulatorNotInstalledError,
)

INSTALL_COMMAND = "conda install habitat-sim withbullet headless -c conda-forge -c aihabitat-nightly"
"""For Python 3.10 to 3.12, as this package needs; the stable channel `aihabitat` has builds for Python 3.9."""
PICTURE_SIZE = (640, 480)
_FIELD_OF_VIEW = 66.0
_COLOUR, _DEPTH, _BODIES = "colour", "depth", "bodies"
_EYE, _TARGET = (4.0, -1.45, 6.7), (4.0, 2.75, 0.0)
_ROBOT = Part("cylinder", (0.46, 0.46, 1.1), (0.0, 0.0, 0.55), colour=(0.95, 0.75, 0.1))
_LOGS = ("HABITAT_SIM_LOG", "MAGNUM_LOG")


def import_habitat() -> tuple[Any, Any]:
    """The modules `habitat_sim` and `magnum`, told to keep quiet unless the environment's variables say otherwise.

    Raises:
        SimulatorNotInstalledError: one of them is not there; the message has the command.
        SimulatorError: habitat-sim without Bullet.
    """
    for variable in _LOGS:
        os.environ.setdefault(variable, "quiet")
    try:
        habitat, magnum = map(importlib.import_module, ("habitat_sim", "magnum"))
    except ImportError as error:
        raise SimulatorNotInstalledError(
            f"habitat-sim is not installed here ({error}); install it with `{INSTALL_COMMAND}`, or take PyBullet "
            "(--simulator pybullet, simulator='pybullet')"
        ) from error
    if not getattr(habitat, "built_with_bullet", True):
        raise SimulatorError(f"this habitat-sim has no Bullet physics; install it with `{INSTALL_COMMAND}`")
    return habitat, magnum


@dataclass(frozen=True)
class HabitatAssets:
    """Files of the user's; without any, everything is built of primitives."""

    scene_id: str = EMPTY_SCENE
    """`NONE`, or a scene of the dataset, for example `apt_0`."""
    scene_dataset_config: str = "default"
    """The dataset's `*.scene_dataset_config.json`."""
    object_configs: str = ""
    """Folder of the YCB objects' `*.object_config.json`; empty for hulls."""
    places: Mapping[str, str] = field(default_factory=lambda: REPLICA_CAD_PLACES)
    """For each place of ours the handle, or a part of it, of the scene's object that serves as it."""

    def __post_init__(self) -> None:
        files = [self.object_configs] if self.object_configs else []
        if self.has_scene and Path(self.scene_dataset_config).suffix:
            files.append(self.scene_dataset_config)
        for file in files:
            if not Path(file).exists():
                raise SimulatorError(
                    f"missing {file}; `python -m habitat_sim.utils.datasets_download --uids replica_cad_dataset ycb "
                    "--data-path data` fetches ReplicaCAD and YCB"
                )

    @property
    def has_scene(self) -> bool:
        """Whether a scene is opened instead of the flat of primitives."""
        return self.scene_id.upper() != EMPTY_SCENE


class HabitatSimulator(HouseholdSimulator):
    """The household in habitat-sim.

    Args:
        assets: files to use; by default none, and nothing is downloaded.
        render: whether `render` will be called. It opens habitat-sim's software renderer (`gpu_device_id` -1); a scene
            or objects from files open it as well, since their extents come with it.

    Raises:
        SimulatorNotInstalledError: habitat-sim is not installed; the message has the command.
        SimulatorError: habitat-sim without Bullet, missing files, a scene without the places' furniture.
    """

    name = "habitat"
    steps_per_second = 125  # habitat-sim's own Bullet substep is 0.008 s
    _robot_height = _ROBOT.position[2]
    _grip = (0.0, 1.3)

    def __init__(self, assets: HabitatAssets | None = None, render: bool = False) -> None:
        super().__init__()
        self.assets = assets or HabitatAssets()
        self.scene_id = self.assets.scene_id
        self.scene_dataset_config = self.assets.scene_dataset_config
        self._habitat, self._magnum = import_habitat()
        self._renders = render
        self._has_renderer = render or self.assets.has_scene or bool(self.assets.object_configs)
        self._colours: list[Colour] = [(0.0, 0.0, 0.0)]
        """Of every body, by its semantic id; 0 is no body."""
        self._sim: Any = self._open()
        self._sim.set_gravity(self._magnum.Vector3(0.0, -GRAVITY, 0.0))
        self._templates = self._sim.get_object_template_manager()
        self._manager = self._sim.get_rigid_object_manager()
        try:
            self._furnish()
        except SimulatorError:
            self.close()
            raise
        self._object_templates = self._register_objects()
        self._object_ids = {name: self._next_id(thing.parts[0].colour) for name, thing in OBJECTS.items()}
        robot = self._template("robot", _ROBOT)
        self._robot_body = self._add(robot, Pose(_ROBOT.position), self._next_id(_ROBOT.colour))
        self._robot_body.motion_type = self._habitat.physics.MotionType.KINEMATIC
        self._robot_body.collidable = False

    def _open(self) -> Any:
        opened = renderers.without_environment_maps() if self._has_renderer and not self._shows_files else nullcontext()
        configuration = self._configuration()
        try:
            with opened:
                simulator = self._habitat.Simulator(configuration)
        except (AssertionError, RuntimeError) as error:
            what = f"the scene {self.scene_id!r} of {self.scene_dataset_config!r}"
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            raise SimulatorError(f"habitat-sim cannot open {what}: {reason}") from error
        if self._has_renderer:
            renderers.keep(simulator)
        return simulator

    @property
    def _shows_files(self) -> bool:
        """Whether there is something to see that has colours of its own."""
        return self.assets.has_scene or bool(self.assets.object_configs)

    def _next_id(self, colour: Colour) -> int:
        """The semantic id of a new body of this colour."""
        self._colours.append(colour)
        return len(self._colours) - 1

    def _configuration(self) -> Any:
        habitat = self._habitat
        settings = habitat.SimulatorConfiguration()
        settings.scene_id = self.assets.scene_id
        settings.scene_dataset_config_file = self.assets.scene_dataset_config
        settings.enable_physics = True
        settings.load_semantic_mesh = False
        agent = habitat.agent.AgentConfiguration()
        agent.sensor_specifications = []
        settings.create_renderer = self._has_renderer
        if self._has_renderer:
            settings.gpu_device_id = -1  # software; the default device 0 ends the process where there is no GPU
            kinds = habitat.SensorType
            sensors = {_COLOUR: kinds.COLOR} if self._shows_files else {_DEPTH: kinds.DEPTH, _BODIES: kinds.SEMANTIC}
            agent.sensor_specifications = [self._camera(name, kind) for name, kind in sensors.items()]
        return habitat.Configuration(settings, [agent])

    def _camera(self, name: str, kind: Any) -> Any:
        camera = self._habitat.CameraSensorSpec()
        camera.uuid = name
        camera.sensor_type = kind
        camera.sensor_subtype = self._habitat.SensorSubType.PINHOLE
        camera.resolution = self._magnum.Vector2i(PICTURE_SIZE[1], PICTURE_SIZE[0])
        camera.position = self._magnum.Vector3(0.0, 0.0, 0.0)
        camera.hfov = _FIELD_OF_VIEW
        return camera

    def _furnish(self) -> None:
        """Builds the flat of primitives, or finds the places in a scene of files."""
        parts = tuple(part for thing in FURNITURE for part in thing.parts)
        if self.assets.has_scene:
            scene = read_scene(self._sim, self._habitat, self._magnum, self.assets.places)
            self._receptacles, self._plan, parts = scene.receptacles, scene.floor_plan, scene.containers
        for number, part in enumerate(parts):
            pose, colour = Pose(part.position, part.quaternion), self._next_id(part.colour)
            body = self._add(self._template(f"furniture {number}", part), pose, colour)
            # habitat-sim moves no static body: first the pose, then the type
            body.motion_type = self._habitat.physics.MotionType.STATIC

    def _template(self, name: str, part: Part, mass: float = 1.0, moves: bool = False) -> str:
        """Registers a primitive of this shape and returns its handle."""
        kind = "cubeSolid" if part.kind == "box" else "cylinderSolid"
        template = self._templates.get_template_by_handle(self._templates.get_template_handles(kind)[0])
        # Solid primitives reach from -1 to 1 along each axis, and a cylinder's axis is y.
        x, y, z = (extent / 2 for extent in part.size)
        template.scale = self._magnum.Vector3(x, z, y)
        template.mass = mass
        template.margin = 0.0
        template.friction_coefficient = FRICTION
        # Bullet adds up the rolling friction of both bodies in contact: here the object's alone counts
        template.rolling_friction_coefficient = ROLLING_FRICTION if moves else 0.0
        template.spinning_friction_coefficient = ROLLING_FRICTION if moves else 0.0
        template.restitution_coefficient = 0.0
        template.linear_damping = LINEAR_DAMPING
        template.angular_damping = ANGULAR_DAMPING
        handle = f"pluralbench {name}"
        self._templates.register_template(template, handle)
        return handle

    def _register_objects(self) -> dict[str, str]:
        if self.assets.object_configs:
            self._templates.load_configs(self.assets.object_configs)
        handles = {}
        for name, thing in OBJECTS.items():
            found = self._templates.get_template_handles(thing.ycb) if self.assets.object_configs and thing.ycb else []
            handles[name] = found[0] if found else self._template(name, thing.hull, thing.mass, moves=True)
        return handles

    def _add(self, template: str, pose: Pose, semantic_id: int) -> Any:
        body = self._manager.add_object_by_template_handle(template)
        if body is None:
            raise SimulatorError(f"habitat-sim cannot make an object of the template {template!r}")
        body.semantic_id = semantic_id
        self._move(body, pose)
        return body

    def _move(self, body: Any, pose: Pose) -> None:
        magnum = self._magnum
        body.translation = magnum.Vector3(*to_habitat(pose.position))
        body.rotation = magnum.Quaternion(magnum.Vector3(*to_habitat(pose.quaternion[:3])), pose.quaternion[3])

    def _rebuild(self, state: HouseholdState) -> None:
        for body in self._bodies.values():
            self._manager.remove_object_by_handle(body.handle)
        self._bodies = {
            name: self._add(self._object_templates[name], pose, self._object_ids[name])
            for name, pose in state.objects.items()
        }
        for body in self._bodies.values():
            body.motion_type = self._habitat.physics.MotionType.DYNAMIC
            body.awake = not state.settled
        self._move_robot(*state.robot)

    def _pose(self, body: Any) -> Pose:
        x, y, z = from_habitat(body.rotation.vector)
        return Pose(from_habitat(body.translation), (x, y, z, float(body.rotation.scalar)))

    def _release(self, name: str, pose: Pose) -> None:
        body = self._bodies[name]
        if self.assets.object_configs:  # an object from a file may reach further down than its namesake of ours
            below = -float(body.root_scene_node.cumulative_bb.min[1]) - OBJECTS[name].half_height
            pose = Pose((pose.position[0], pose.position[1], pose.position[2] + max(below, 0.0)), pose.quaternion)
        self._move(body, pose)
        body.linear_velocity = body.angular_velocity = self._magnum.Vector3(0.0, 0.0, 0.0)
        body.awake = True

    def _step(self) -> bool:
        self._sim.step_physics(1 / self.steps_per_second)
        return all(
            float(body.linear_velocity.length()) <= CALM_SPEED and float(body.angular_velocity.length()) <= CALM_TURN
            for body in self._bodies.values()
        )

    def _picture(self, width: int, height: int) -> NDArray[np.uint8]:
        if not self._renders:
            raise SimulatorError("this simulator was made without a renderer; make it with render=True")
        magnum, node = self._magnum, self._sim.get_agent(0).scene_node
        eye, target = magnum.Vector3(*to_habitat(_EYE)), magnum.Vector3(*to_habitat(_TARGET))
        view = magnum.Matrix4.look_at(eye, target, magnum.Vector3(0.0, 1.0, 0.0))
        node.rotation = magnum.Quaternion.from_matrix(view.rotation())
        node.translation = eye
        seen = self._sim.get_sensor_observations()
        if self._shows_files:
            picture = np.asarray(seen[_COLOUR])[..., :3]
        else:
            bodies, axes = np.asarray(seen[_BODIES]), axes_of_view(_EYE, _TARGET)
            picture = shaded(np.asarray(seen[_DEPTH]), bodies, np.array(self._colours), axes, _FIELD_OF_VIEW)
        if (width, height) != PICTURE_SIZE:
            picture = np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height)))
        return np.array(picture, dtype=np.uint8)

    def _disconnect(self) -> None:
        if self._has_renderer:
            renderers.close(self._sim)
        else:
            self._sim.close()
