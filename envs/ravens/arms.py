"""Robot arms for the table: a description file from an installed package, its own hand replaced by a suction cup.

Nothing is downloaded and nothing of a package is changed: the edited description goes to a temporary file that lives
only while PyBullet reads it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pybullet_data

from pluralbench.errors import InputError

CUP_LENGTH = 0.10  # m from the arm's flange to the lip of the suction cup
CUP_RADIUS = 0.012  # m, of the cup's lip; the block's faces are 0.05 m wide


class ArmError(InputError):
    """An unknown arm, or one whose package is not installed."""


@dataclass(frozen=True)
class Arm:
    """What has to be known of an arm to put it behind the table.

    Attributes:
        find_description: path of its URDF; raises ArmError when the package is missing.
        mesh_folder: folder, relative to one of the URDF's parents, that `package://` in it stands for.
        flange: link that the cup is screwed to; its z axis points out of the arm.
        home: joint angles in radians that hold the cup 0.25 m above the table's centre, pointing down.
    """

    find_description: Callable[[], Path]
    mesh_folder: str
    flange: str
    home: tuple[float, ...]


def _panda_description() -> Path:
    return Path(pybullet_data.getDataPath(), "franka_panda", "panda.urdf")


def _ur5_description() -> Path:
    try:
        listed = files("example-robot-data") or []
    except PackageNotFoundError:
        listed = []
    for file in listed:
        if file.parts[-3:] == ("ur_description", "urdf", "ur5_robot.urdf"):
            return Path(str(file.locate())).resolve()
    raise ArmError("arm 'ur5' needs its description: pip install example-robot-data (131 MB); 'panda' needs nothing")


ARMS = {
    "panda": Arm(_panda_description, "franka_panda", "panda_link8", (0.0, -0.0364, 0.0, -2.3378, 0.0, 2.3014, 0.0)),
    "ur5": Arm(_ur5_description, "share", "tool0", (-0.2201, -1.5481, 1.758, -1.7807, -1.5708, -1.7909)),
}
"""By their name in `RavensManipulation-v0(arm=...)`."""


def find_arm(name: str) -> Arm:
    """The arm of this name; raises ArmError, naming the known ones, for any other."""
    if name not in ARMS:
        raise ArmError(f"unknown arm {name!r} (known: {', '.join(ARMS)})")
    return ARMS[name]


def describe(arm: Arm, graphics: bool) -> str:
    """The URDF text of `arm` with the cup in place of everything beyond its flange.

    The link `cup` is the last one; its origin is the middle of the lip and its z axis points away from the arm.
    `graphics` keeps the meshes that are only looked at: they weigh 30 MB and change no motion.
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


def _keep_only_chain(robot: ElementTree.Element, flange: str) -> None:
    """Drops every link and joint that is not between the arm's root and its flange (a hand, fingers, other frames)."""
    joint_above = {joint.find("child").get("link"): joint for joint in robot.findall("joint")}  # type: ignore[union-attr]
    links = {link.get("name"): link for link in robot.findall("link")}
    kept, name = [links[flange]], flange
    while name in joint_above:
        joint = joint_above[name]
        name = joint.find("parent").get("link")  # type: ignore[union-attr, assignment]
        kept += [joint, links[name]]
    robot[:] = robot.findall("material") + kept


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
