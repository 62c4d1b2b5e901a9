"""Shapes of household things: boxes and cylinders, put together.

Frame: metres, x to the right, y to the back, z up. Both simulators build their bodies from these parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

Colour = tuple[float, float, float]
"""Red, green, blue in [0, 1]."""
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One convex piece; the axis of a cylinder is z."""

    kind: Literal["box", "cylinder"]
    size: Vector
    """Full extents in m; of a cylinder (diameter, diameter, height)."""
    position: Vector = (0.0, 0.0, 0.0)
    """Its centre in the body's frame, m."""
    yaw: float = 0.0
    """Turn about z, rad, applied after `tilt`."""
    tilt: float = 0.0
    """Turn about y, rad."""
    colour: Colour = (0.7, 0.7, 0.7)

    @property
    def quaternion(self) -> tuple[float, float, float, float]:
        """Rotation as x, y, z, w: first `tilt` about y, then `yaw` about z."""
        sin_yaw, cos_yaw = math.sin(self.yaw / 2), math.cos(self.yaw / 2)
        sin_tilt, cos_tilt = math.sin(self.tilt / 2), math.cos(self.tilt / 2)
        return (-sin_yaw * sin_tilt, cos_yaw * sin_tilt, sin_yaw * cos_tilt, cos_yaw * cos_tilt)

    @property
    def half_bounds(self) -> Vector:
        """Half extents of the axis-aligned box around the turned part."""
        half = [extent / 2 for extent in self.size]
        sin_tilt, cos_tilt = abs(math.sin(self.tilt)), abs(math.cos(self.tilt))
        along, up = half[0] * cos_tilt + half[2] * sin_tilt, half[0] * sin_tilt + half[2] * cos_tilt
        sin_yaw, cos_yaw = abs(math.sin(self.yaw)), abs(math.cos(self.yaw))
        if self.kind == "cylinder" and self.tilt == 0:
            return (half[0], half[1], half[2])
        return (along * cos_yaw + half[1] * sin_yaw, along * sin_yaw + half[1] * cos_yaw, up)


def box(size: Vector, position: Vector = (0.0, 0.0, 0.0), colour: Colour = (0.7, 0.7, 0.7), yaw: float = 0.0) -> Part:
    """A box with these full extents."""
    return Part("box", size, position, yaw=yaw, colour=colour)


def disc(radius: float, height: float, bottom: float, colour: Colour, x: float = 0.0) -> Part:
    """An upright cylinder whose lower face lies at height `bottom`."""
    return Part("cylinder", (2 * radius, 2 * radius, height), (x, 0.0, bottom + height / 2), colour=colour)


def vessel(
    radius: float, height: float, colour: Colour, wall: float = 0.006, flare: float = 0.0, sides: int = 8
) -> tuple[Part, ...]:
    """An open round vessel: a bottom disc and a ring of wall boxes, leaning outwards by `flare` rad.

    The walls begin a little above the bottom, so that the vessel stands on its disc alone: fewer contacts.
    """
    width = 2 * (radius + math.sin(flare) * height) * math.tan(math.pi / sides)
    middle = radius + math.sin(flare) * height / 2
    walls = [
        Part(
            "box",
            (wall, width, height),
            (middle * math.cos(angle), middle * math.sin(angle), height / 2 * math.cos(flare) + wall),
            yaw=angle,
            tilt=flare,
            colour=colour,
        )
        for angle in (2 * math.pi * k / sides for k in range(sides))
    ]
    return (disc(radius, wall, 0.0, colour), *walls)


def bounds(parts: tuple[Part, ...]) -> tuple[Vector, Vector]:
    """Lower and upper corner of the axis-aligned box around all parts."""
    low = [min(part.position[k] - part.half_bounds[k] for part in parts) for k in range(3)]
    high = [max(part.position[k] + part.half_bounds[k] for part in parts) for k in range(3)]
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def centred(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The same parts moved so that the box around them is centred on the origin."""
    low, high = bounds(parts)
    mx, my, mz = ((a + b) / 2 for a, b in zip(low, high, strict=True))
    return tuple(
        replace(part, position=(part.position[0] - mx, part.position[1] - my, part.position[2] - mz)) for part in parts
    )
