"""What there is in the household: kitchen objects with their attributes, places to put them, and the flat.

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

ATTRIBUTE_VALUES: tuple[tuple[str, str], ...] = (
    ("tableware", "cookware"),
    ("metal", "plastic"),
    ("warm", "cool"),
    ("large", "small"),
    ("fragile", "sturdy"),
)
"""The words for +1 and -1 of each attribute."""

FLAT_SIZE: tuple[float, float] = (8.0, 6.0)
"""Extent of the flat along x and y, m; its corner lies at the origin."""


@dataclass(frozen=True)
class KitchenObject:
    """One kind of thing that the robot carries.

    Attributes:
        name: its name.
        attributes: signs in the order of `ATTRIBUTES`.
        mass: kg.
        parts: convex pieces, centred on the origin.
        ycb: nearest object of the YCB set, for habitat-sim where the user has it; empty where there is none.
        mesh: an OBJ file of pybullet_data that PyBullet shows instead of the parts, with its scale; collisions always
            use the parts.
    """

    name: str
    attributes: tuple[int, int, int, int, int]
    mass: float
    parts: tuple[Part, ...]
    ycb: str = ""
    mesh: tuple[str, float] | None = None

    @cached_property
    def size(self) -> Vector:
        """Full extents of the box around it as it stands, m."""
        low, high = bounds(self.parts)
        return (high[0] - low[0], high[1] - low[1], high[2] - low[2])

    @cached_property
    def hull(self) -> Part:
        """The one primitive around it: an upright cylinder where it is round, else a box."""
        round_ = all(part.kind == "cylinder" for part in self.parts[:1]) and abs(self.size[0] - self.size[1]) < 0.01
        return Part("cylinder" if round_ else "box", self.size, colour=self.parts[0].colour)

    @property
    def half_height(self) -> float:
        """From its centre down to what it stands on, m."""
        return self.size[2] / 2

    @property
    def radius(self) -> float:
        """Half of its larger horizontal extent, m."""
        return max(self.size[:2]) / 2


@dataclass(frozen=True)
class Receptacle:
    """A place on which objects rest.

    Attributes:
        name: its name.
        centre: middle of its surface, m; the last number is the surface's height.
        half_extents: half its length along x and along y, m.
        access: where the robot's base stands to reach it, m.
        rim: height of the walls around it, m; 0 for an open surface.
    """

    name: str
    centre: Vector
    half_extents: tuple[float, float]
    access: tuple[float, float]
    rim: float = 0.0


@dataclass(frozen=True)
class Furniture:
    """A thing that does not move.

    Attributes:
        name: its name.
        parts: convex pieces in the flat's frame.
        obstacle: whether the robot must drive around it.
    """

    name: str
    parts: tuple[Part, ...]
    obstacle: bool = True


STEEL: Colour = (0.66, 0.68, 0.72)
RED: Colour = (0.80, 0.18, 0.14)
ORANGE: Colour = (0.95, 0.55, 0.15)
GOLD: Colour = (0.85, 0.68, 0.25)
BLUE: Colour = (0.20, 0.42, 0.78)
TEAL: Colour = (0.12, 0.60, 0.58)
WOOD: Colour = (0.62, 0.44, 0.28)
DARK_WOOD: Colour = (0.42, 0.28, 0.18)
WHITE: Colour = (0.92, 0.92, 0.90)
GREY: Colour = (0.55, 0.56, 0.60)
CLOTH: Colour = (0.33, 0.42, 0.52)
RUG: Colour = (0.72, 0.36, 0.32)
PALE: Colour = (0.90, 0.86, 0.72)
SLATE: Colour = (0.34, 0.37, 0.43)
WALL: Colour = (0.86, 0.84, 0.80)


def _object(
    name: str,
    attributes: tuple[int, int, int, int, int],
    mass: float,
    parts: tuple[Part, ...],
    ycb: str = "",
    mesh: tuple[str, float] | None = None,
) -> KitchenObject:
    return KitchenObject(name, attributes, mass, centred(parts), ycb, mesh)


def _handle(start: float, length: float, height: float, colour: Colour, width: float = 0.02) -> Part:
    return box((length, width, 0.012), (start + length / 2, 0.0, height), colour)


def _tines() -> tuple[Part, ...]:
    return tuple(box((0.05, 0.004, 0.004), (0.125, y, 0.006), STEEL) for y in (-0.009, 0.0, 0.009))


_OBJECT_LIST = (
    # metal tableware: who sorts by function and who sorts by material agree
    _object(
        "knife",
        (1, 1, 1, -1, -1),
        0.08,
        (_handle(-0.1, 0.1, 0.006, RED), box((0.12, 0.022, 0.004), (0.06, 0.0, 0.006), STEEL)),
        "032_knife",
    ),
    _object(
        "fork",
        (1, 1, -1, -1, -1),
        0.07,
        (_handle(-0.1, 0.18, 0.006, BLUE, 0.012), box((0.03, 0.026, 0.006), (0.09, 0.0, 0.006), STEEL), *_tines()),
        "030_fork",
    ),
    _object(
        "spoon",
        (1, 1, 1, -1, 1),
        0.07,
        (_handle(-0.1, 0.15, 0.006, GOLD, 0.012), disc(0.022, 0.01, 0.001, GOLD, 0.07)),
        "031_spoon",
    ),
    _object(
        "tray",
        (1, 1, -1, 1, -1),
        0.6,
        (
            box((0.32, 0.22, 0.008), (0.0, 0.0, 0.004), STEEL),
            *(box((0.32, 0.008, 0.03), (0.0, y, 0.015), STEEL) for y in (-0.106, 0.106)),
            *(box((0.008, 0.204, 0.03), (x, 0.0, 0.015), STEEL) for x in (-0.156, 0.156)),
        ),
    ),
    # plastic tableware: they disagree
    _object(
        "plate", (1, -1, 1, 1, 1), 0.25, (disc(0.07, 0.01, 0.0, ORANGE), disc(0.12, 0.01, 0.01, ORANGE)), "029_plate"
    ),
    _object("bowl", (1, -1, -1, 1, -1), 0.2, vessel(0.055, 0.065, BLUE, flare=0.5), "024_bowl"),
    _object(
        "cup",
        (1, -1, 1, -1, -1),
        0.12,
        (*vessel(0.036, 0.09, RED), box((0.03, 0.012, 0.05), (0.056, 0.0, 0.045), RED)),
        "025_mug",
        ("objects/mug.obj", 1.0),
    ),
    _object(
        "pitcher",
        (1, -1, -1, 1, 1),
        0.35,
        (*vessel(0.06, 0.18, TEAL), box((0.04, 0.016, 0.1), (0.085, 0.0, 0.1), TEAL)),
        "019_pitcher_base",
    ),
    # metal cookware: they disagree
    _object(
        "pan",
        (-1, 1, 1, 1, -1),
        0.9,
        (*vessel(0.11, 0.04, RED, wall=0.008, flare=0.25), _handle(0.12, 0.16, 0.03, (0.15, 0.15, 0.15), 0.024)),
    ),
    _object(
        "pot",
        (-1, 1, -1, 1, -1),
        1.0,
        (
            *vessel(0.1, 0.12, STEEL, wall=0.008),
            *(box((0.03, 0.06, 0.012), (x, 0.0, 0.1), STEEL) for x in (-0.12, 0.12)),
        ),
    ),
    _object(
        "ladle", (-1, 1, -1, -1, -1), 0.18, (_handle(0.025, 0.2, 0.03, BLUE, 0.014), disc(0.035, 0.036, 0.0, STEEL))
    ),
    _object(
        "strainer",
        (-1, 1, 1, -1, 1),
        0.2,
        (*vessel(0.06, 0.035, GOLD, flare=0.3), _handle(0.068, 0.12, 0.03, GOLD, 0.014)),
    ),
    # plastic cookware: they agree
    _object(
        "spatula",
        (-1, -1, -1, -1, -1),
        0.09,
        (_handle(-0.16, 0.2, 0.006, TEAL, 0.016), box((0.09, 0.07, 0.006), (0.085, 0.0, 0.004), TEAL)),
        "033_spatula",
    ),
    _object("cutting board", (-1, -1, 1, 1, -1), 0.5, (box((0.3, 0.2, 0.014), (0.0, 0.0, 0.007), ORANGE),)),
    _object(
        "measuring jug",
        (-1, -1, -1, -1, 1),
        0.15,
        (*vessel(0.045, 0.1, BLUE), box((0.03, 0.012, 0.06), (0.062, 0.0, 0.055), BLUE)),
    ),
    _object("colander", (-1, -1, 1, 1, 1), 0.3, vessel(0.08, 0.085, ORANGE, flare=0.4)),
)

OBJECTS: dict[str, KitchenObject] = {thing.name: thing for thing in _OBJECT_LIST}
"""Every kitchen object by name, in the order in which episodes and one-hot vectors count them."""

REARRANGE_OBJECTS: tuple[str, ...] = ("bowl", "plate", "cup", "pitcher", "pan", "pot")
"""Kitchenware that Habitat-Rearrange stores; the paper has the bowl alone."""


def attribute_table() -> NDArray[np.int64]:
    """Attributes (K, 5) of all K objects, in the order of `OBJECTS`."""
    return np.array([thing.attributes for thing in OBJECTS.values()])


PLACES: tuple[str, ...] = ("desk", "dining table", "coffee table", "sofa", "room")
"""The five places that users of Habitat-Rearrange rank; `room` is the rug on the floor."""

CONTAINERS: tuple[str, ...] = ("left box", "right box")
"""The two containers of Habitat-Tidy."""

_BOX_SIZE = (0.72, 0.5, 0.16)  # inside of a container, m
_BOX_CENTRES = ((0.86, 0.42), (1.74, 0.42))
_BENCH_HEIGHT = 0.5

_RECEPTACLE_LIST = (
    Receptacle("desk", (7.55, 3.4, 0.74), (0.33, 0.7), (6.75, 3.0)),
    Receptacle("dining table", (6.5, 1.3, 0.74), (0.75, 0.45), (6.5, 2.15)),
    Receptacle("coffee table", (5.3, 3.95, 0.42), (0.5, 0.3), (4.4, 3.95)),
    Receptacle("sofa", (5.3, 5.28, 0.42), (0.9, 0.34), (3.9, 5.1)),
    Receptacle("room", (4.0, 1.5, 0.01), (0.7, 0.7), (4.0, 2.6)),
    Receptacle("counter", (0.38, 4.2, 0.9), (0.35, 1.3), (1.1, 4.2)),
    *(
        Receptacle(name, (x, y, _BENCH_HEIGHT + 0.01), (_BOX_SIZE[0] / 2, _BOX_SIZE[1] / 2), (x, 1.12), _BOX_SIZE[2])
        for name, (x, y) in zip(CONTAINERS, _BOX_CENTRES, strict=True)
    ),
)

RECEPTACLES: dict[str, Receptacle] = {place.name: place for place in _RECEPTACLE_LIST}
"""Every place of the flat by name: the five that are ranked, the kitchen counter and the two containers."""


def _table(centre: Vector, size: tuple[float, float], colour: Colour, thickness: float = 0.04) -> tuple[Part, ...]:
    x, y, height = centre
    leg_x, leg_y, leg_height = size[0] / 2 - 0.05, size[1] / 2 - 0.05, height - thickness
    legs = [
        box((0.06, 0.06, leg_height), (x + i * leg_x, y + j * leg_y, leg_height / 2), DARK_WOOD)
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    return (box((*size, thickness), (x, y, height - thickness / 2), colour), *legs)


def _on(name: str, colour: Colour) -> tuple[Part, ...]:
    place = RECEPTACLES[name]
    return _table(place.centre, (2 * place.half_extents[0], 2 * place.half_extents[1]), colour)


def _chair(x: float, y: float, back_x: float, back_y: float) -> tuple[Part, ...]:
    seat = box((0.4, 0.4, 0.44), (x, y, 0.22), WOOD)
    size = (0.05, 0.4, 0.44) if back_x else (0.4, 0.05, 0.44)
    return (seat, box(size, (x + 0.175 * back_x, y + 0.175 * back_y, 0.66), DARK_WOOD))


def _sofa() -> tuple[Part, ...]:
    x, y, height = RECEPTACLES["sofa"].centre
    return (
        box((1.8, 0.68, height), (x, y, height / 2), CLOTH),
        box((2.1, 0.2, 0.85), (x, y + 0.44, 0.425), CLOTH),
        *(box((0.15, 0.68, 0.6), (x + side * 0.975, y, 0.3), CLOTH) for side in (-1, 1)),
    )


def _container(x: float, y: float, colour: Colour) -> tuple[Part, ...]:
    length, width, rim = _BOX_SIZE
    wall, floor = 0.02, _BENCH_HEIGHT
    return (
        box((length + 2 * wall, width + 2 * wall, 0.01), (x, y, floor + 0.005), colour),
        *(
            box((wall, width + 2 * wall, rim), (x + s * (length + wall) / 2, y, floor + 0.01 + rim / 2), colour)
            for s in (-1, 1)
        ),
        *(box((length, wall, rim), (x, y + s * (width + wall) / 2, floor + 0.01 + rim / 2), colour) for s in (-1, 1)),
    )


def _wall(x: float, y: float, length_x: float, length_y: float, height: float = 1.1) -> Part:
    return box((length_x, length_y, height), (x, y, height / 2), WALL)


FURNITURE: tuple[Furniture, ...] = (
    Furniture("floor", (box((8.2, 6.2, 0.1), (4.0, 3.0, -0.05), (0.78, 0.70, 0.58)),), obstacle=False),
    Furniture("rug", (box((1.4, 1.4, 0.01), (4.0, 1.5, 0.005), RUG),), obstacle=False),
    Furniture(
        "outer walls",
        (
            _wall(4.0, 6.05, 8.2, 0.1),
            _wall(4.0, -0.05, 8.2, 0.1, 0.3),
            _wall(-0.05, 3.0, 0.1, 6.0),
            _wall(8.05, 3.0, 0.1, 6.0),
        ),
    ),
    Furniture("kitchen wall", (_wall(2.8, 1.05, 0.1, 2.1), _wall(2.8, 4.75, 0.1, 2.5))),
    Furniture("desk", (*_on("desk", WOOD), *_chair(7.0, 3.85, -1, 0))),
    Furniture("dining table", (*_on("dining table", DARK_WOOD), *_chair(5.45, 1.3, -1, 0), *_chair(7.55, 1.3, 1, 0))),
    Furniture("coffee table", _on("coffee table", WOOD)),
    Furniture("sofa", _sofa()),
    Furniture(
        "counter", (box((0.7, 2.6, 0.86), (0.38, 4.2, 0.43), WHITE), box((0.74, 2.64, 0.04), (0.38, 4.2, 0.88), GREY))
    ),
    Furniture("bench", (box((2.1, 0.64, _BENCH_HEIGHT), (1.3, 0.4, _BENCH_HEIGHT / 2), WHITE),)),
    Furniture("left box", _container(*_BOX_CENTRES[0], PALE)),
    Furniture("right box", _container(*_BOX_CENTRES[1], SLATE)),
)
"""The furnished flat: kitchen on the left, living room, dining corner and desk on the right."""
