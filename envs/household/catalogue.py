"""What the robot carries: kitchen objects with their attributes.

Attributes are signs, +1 or -1, in the order of `ATTRIBUTES`. The sixteen objects fill every combination of function
and material four times, so that users who sort by function and users who sort by material agree on one half of the
objects (metal tableware, plastic cookware) and disagree on the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.household.shapes import Colour, Part, Vector, bounds, box, centred, disc, vessel

ATTRIBUTES: tuple[str, ...] = ("function", "material", "colour", "size", "fragility")
"""Binary attributes; +1 is tableware, metal, warm, large, fragile; -1 is cookware, plastic, cool, small, sturdy."""


@dataclass(frozen=True)
class KitchenObject:
    """One kind of thing that the robot carries: convex pieces centred on the origin, with a mass in kg."""

    name: str
    attributes: tuple[int, int, int, int, int]
    """Signs in the order of `ATTRIBUTES`."""
    mass: float
    parts: tuple[Part, ...]
    ycb: str = ""
    """Nearest object of the YCB set, for habitat-sim where the user has it; empty where there is none."""
    mesh: tuple[str, float] | None = None
    """An OBJ file of pybullet_data that PyBullet shows instead of the parts, and its scale; only the parts collide."""

    @cached_property
    def size(self) -> Vector:
        """Full extents of the box around it as it stands, m."""
        low, high = bounds(self.parts)
        return (high[0] - low[0], high[1] - low[1], high[2] - low[2])

    @cached_property
    def hull(self) -> Part:
        """The one primitive around it: an upright cylinder where it is round, else a box."""
        round_ = self.parts[0].kind == "cylinder" and abs(self.size[0] - self.size[1]) < 0.01
        return Part("cylinder" if round_ else "box", self.size, colour=self.parts[0].colour)

    @property
    def half_height(self) -> float:
        """From its centre down to what it stands on, m."""
        return self.size[2] / 2

    @property
    def radius(self) -> float:
        """Half of its larger horizontal extent, m."""
        return max(self.size[:2]) / 2


STEEL: Colour = (0.66, 0.68, 0.72)
RED: Colour = (0.80, 0.18, 0.14)
ORANGE: Colour = (0.95, 0.55, 0.15)
GOLD: Colour = (0.85, 0.68, 0.25)
BLUE: Colour = (0.20, 0.42, 0.78)
TEAL: Colour = (0.12, 0.60, 0.58)


def _handle(start: float, length: float, height: float, colour: Colour, width: float = 0.02) -> Part:
    return box((length, width, 0.012), (start + length / 2, 0.0, height), colour)


_PARTS: dict[str, tuple[Part, ...]] = {
    "knife": (_handle(-0.1, 0.1, 0.006, RED), box((0.12, 0.022, 0.004), (0.06, 0.0, 0.006), STEEL)),
    "fork": (
        _handle(-0.1, 0.18, 0.006, BLUE, 0.012),
        box((0.03, 0.026, 0.006), (0.09, 0.0, 0.006), STEEL),
        *(box((0.05, 0.004, 0.004), (0.125, y, 0.006), STEEL) for y in (-0.009, 0.0, 0.009)),
    ),
    "spoon": (_handle(-0.1, 0.15, 0.006, GOLD, 0.012), disc(0.022, 0.01, 0.001, GOLD, 0.07)),
    "tray": (
        box((0.32, 0.22, 0.008), (0.0, 0.0, 0.004), STEEL),
        *(box((0.32, 0.008, 0.03), (0.0, y, 0.015), STEEL) for y in (-0.106, 0.106)),
        *(box((0.008, 0.204, 0.03), (x, 0.0, 0.015), STEEL) for x in (-0.156, 0.156)),
    ),
    "plate": (disc(0.07, 0.01, 0.0, ORANGE), disc(0.12, 0.01, 0.01, ORANGE)),
    "bowl": vessel(0.055, 0.065, BLUE, flare=0.5),
    "cup": (*vessel(0.036, 0.09, RED), box((0.03, 0.012, 0.05), (0.056, 0.0, 0.045), RED)),
    "pitcher": (*vessel(0.06, 0.18, TEAL), box((0.04, 0.016, 0.1), (0.085, 0.0, 0.1), TEAL)),
    "pan": (*vessel(0.11, 0.04, RED, wall=0.008, flare=0.25), _handle(0.12, 0.16, 0.03, (0.15, 0.15, 0.15), 0.024)),
    "pot": (
        *vessel(0.1, 0.12, STEEL, wall=0.008),
        *(box((0.03, 0.06, 0.012), (x, 0.0, 0.1), STEEL) for x in (-0.12, 0.12)),
    ),
    "ladle": (_handle(0.025, 0.2, 0.03, BLUE, 0.014), disc(0.035, 0.036, 0.0, STEEL)),
    "strainer": (*vessel(0.06, 0.035, GOLD, flare=0.3), _handle(0.068, 0.12, 0.03, GOLD, 0.014)),
    "spatula": (_handle(-0.16, 0.2, 0.006, TEAL, 0.016), box((0.09, 0.07, 0.006), (0.085, 0.0, 0.004), TEAL)),
    "cutting board": (box((0.3, 0.2, 0.014), (0.0, 0.0, 0.007), ORANGE),),
    "measuring jug": (*vessel(0.045, 0.1, BLUE), box((0.03, 0.012, 0.06), (0.062, 0.0, 0.055), BLUE)),
    "colander": vessel(0.08, 0.085, ORANGE, flare=0.4),
}
_MESHES = {"cup": ("objects/mug.obj", 1.0)}
_TABLE: tuple[tuple[str, tuple[int, int, int, int, int], float, str], ...] = (
    # metal tableware: users who sort by function and users who sort by material agree
    ("knife", (1, 1, 1, -1, -1), 0.08, "032_knife"),
    ("fork", (1, 1, -1, -1, -1), 0.07, "030_fork"),
    ("spoon", (1, 1, 1, -1, 1), 0.07, "031_spoon"),
    ("tray", (1, 1, -1, 1, -1), 0.6, ""),
    # plastic tableware: they disagree
    ("plate", (1, -1, 1, 1, 1), 0.25, "029_plate"),
    ("bowl", (1, -1, -1, 1, -1), 0.2, "024_bowl"),
    ("cup", (1, -1, 1, -1, -1), 0.12, "025_mug"),
    ("pitcher", (1, -1, -1, 1, 1), 0.35, "019_pitcher_base"),
    # metal cookware: they disagree
    ("pan", (-1, 1, 1, 1, -1), 0.9, ""),
    ("pot", (-1, 1, -1, 1, -1), 1.0, ""),
    ("ladle", (-1, 1, -1, -1, -1), 0.18, ""),
    ("strainer", (-1, 1, 1, -1, 1), 0.2, ""),
    # plastic cookware: they agree
    ("spatula", (-1, -1, -1, -1, -1), 0.09, "033_spatula"),
    ("cutting board", (-1, -1, 1, 1, -1), 0.5, ""),
    ("measuring jug", (-1, -1, -1, -1, 1), 0.15, ""),
    ("colander", (-1, -1, 1, 1, 1), 0.3, ""),
)
"""Name, attributes, mass (kg) and nearest object of the YCB set."""

OBJECTS: dict[str, KitchenObject] = {
    name: KitchenObject(name, attributes, mass, centred(_PARTS[name]), ycb, _MESHES.get(name))
    for name, attributes, mass, ycb in _TABLE
}
"""Every kitchen object by name, in the order in which episodes and one-hot vectors count them."""

REARRANGE_OBJECTS: tuple[str, ...] = ("bowl", "plate", "cup", "pitcher", "pan", "pot")
"""Kitchenware that Habitat-Rearrange stores; the paper has the bowl alone."""


def attribute_table() -> NDArray[np.int64]:
    """Attributes (K, 5) of all K objects, in the order of `OBJECTS`."""
    return np.array([thing.attributes for thing in OBJECTS.values()])
