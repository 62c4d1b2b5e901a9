"""Robot arms for the table: a description file from an installed package, its own hand replaced by a suction cup.

Nothing is downloaded and nothing of a package is changed: the edited description goes to a temporary file that lives
only while PyBullet reads it.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path

from pluralbench.errors import InputError

CUP_LENGTH = 0.10
"""From the arm's flange to the lip of the suction cup, metres."""

CUP_RADIUS = 0.012
"""Of the cup's lip, metres; the block's faces are 0.05 m wide."""


class ArmError(InputError):
    """An unknown arm, or one whose package is not installed."""


@dataclass(frozen=True)
class Arm:
    """What has to be known of an arm to put it behind the table.

    Attributes:
        name: its name in `RavensManipulation-v0(arm=...)`.
        find_description: path of its URDF; raises ArmError when the package is missing.
        mesh_folder: folder, relative to one of the URDF's parents, that `package://` in it stands for.
        flange: link that the cup is screwed to; its z axis points out of the arm.
        home: joint angles in radians that hold the cup 0.25 m above the table's centre, pointing down.
    """

    name: str
    find_description: Callable[[], Path]
    mesh_folder: str
    flange: str
    home: tuple[float, ...]


def _panda_description() -> Path:
    spec = find_spec("pybullet_data")
    if spec is None or not spec.submodule_search_locations:
        raise ArmError("arm 'panda' needs pybullet_data, which comes with pybullet: pip install pybullet")
    return Path(next(iter(spec.submodule_search_locations))) / "franka_panda" / "panda.urdf"


def _ur5_description() -> Path:
    try:
        listed = files("example-robot-data") or []
    except PackageNotFoundError:
        listed = []
    for file in listed:
        if file.parts[-3:] == ("ur_description", "urdf", "ur5_robot.urdf"):
            return Path(str(file.locate())).resolve()
    raise ArmError("arm 'ur5' needs its description: pip install example-robot-data (131 MB); 'panda' needs nothing")


ARMS: dict[str, Arm] = {
    "panda": Arm(
        "panda", _panda_description, "franka_panda", "panda_link8", (0.0, -0.0364, 0.0, -2.3378, 0.0, 2.3014, 0.0)
    ),
    "ur5": Arm("ur5", _ur5_description, "share", "tool0", (-0.2201, -1.5481, 1.758, -1.7807, -1.5708, -1.7909)),
}


def find_arm(name: str) -> Arm:
    """The arm of this name; raises ArmError, naming the known ones, for any other."""
    if name not in ARMS:
        raise ArmError(f"unknown arm {name!r} (known: {', '.join(ARMS)})")
    return ARMS[name]


def describe(arm: Arm, graphics: bool) -> str:
    """The URDF text of `arm` with the cup in place of everything beyond its flange.

    The link `cup` is the last one; its origin is the middle of the lip and its z axis points away from the arm.

    Args:
        arm: which arm.
        graphics: whether to keep the meshes that are only looked at. They weigh 30 MB and change no motion.
    """
    path = arm.find_description()
    robot = ElementTree.parse(path).getroot()
    _keep_only_chain(robot, arm.flange)
    meshes = next(parent for parent in path.parents if parent.name == arm.mesh_folder)
    for link in robot.iter("link"):
        if not graphics:
            for visual in link.findall("visual"):
                link.remove(visual)
        for mesh in link.iter("mesh"):
            mesh.set("filename", str(meshes / mesh.get("filename", "").removeprefix("package://")))
    robot.extend(ElementTree.fromstring(_CUP.format(flange=arm.flange, length=CUP_LENGTH)))
    return ElementTree.tostring(robot, encoding="unicode")


def write_description(text: str) -> Path:
    """A temporary file with this URDF; the caller deletes it."""
    with tempfile.NamedTemporaryFile("w", suffix=".urdf", prefix="ravens_", delete=False, encoding="utf-8") as file:
        file.write(text)
    return Path(file.name)


def _keep_only_chain(robot: ElementTree.Element, flange: str) -> None:
    """Drops every link and joint that is not between the arm's root and its flange (a hand, fingers, other frames)."""
    joint_above = {joint.find("child").get("link"): joint for joint in robot.findall("joint")}  # type: ignore[union-attr]
    kept: list[ElementTree.Element] = []
    links = {link.get("name"): link for link in robot.findall("link")}
    name: str | None = flange
    while name is not None:
        kept.append(links[name])
        joint = joint_above.get(name)
        if joint is not None:
            kept.append(joint)
        name = None if joint is None else joint.find("parent").get("link")  # type: ignore[union-attr]
    materials = robot.findall("material")
    for element in list(robot):
        robot.remove(element)
    robot.extend(materials + kept)


_CUP = f"""
<robot name="cup">
  <link name="cup">
    <inertial><mass value="0.1"/><inertia ixx="1e-3" ixy="0" ixz="0" iyy="1e-3" iyz="0" izz="1e-3"/></inertial>
    <visual>
      <origin xyz="0 0 -0.055"/><geometry><cylinder radius="0.009" length="0.09"/></geometry>
      <material name="tube"><color rgba="0.25 0.25 0.28 1"/></material>
    </visual>
    <visual>
      <origin xyz="0 0 -0.006"/><geometry><cylinder radius="{CUP_RADIUS}" length="0.012"/></geometry>
      <material name="rubber"><color rgba="0.1 0.1 0.1 1"/></material>
    </visual>
    <collision><origin xyz="0 0 -0.05"/><geometry><cylinder radius="{CUP_RADIUS}" length="0.1"/></geometry></collision>
  </link>
  <joint name="cup_joint" type="fixed">
    <parent link="{{flange}}"/><child link="cup"/><origin xyz="0 0 {{length}}"/>
  </joint>
</robot>
"""
