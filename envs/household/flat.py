"""The flat: places where objects rest, and furniture. Kitchen on the left, living room, dining corner, desk."""

from __future__ import annotations

from dataclasses import dataclass

from pluralbench.envs.household.shapes import Colour, Part, Vector, box

FLAT_SIZE: tuple[float, float] = (8.0, 6.0)
"""Extent of the flat along x and y, m; its corner lies at the origin."""


@dataclass(frozen=True)
class Receptacle:
    """A place on which objects rest; all in m."""

    name: str
    centre: Vector
    """Middle of its surface; the last number is the surface's height."""
    half_extents: tuple[float, float]
    """Half its length along x and along y."""
    access: tuple[float, float]
    """Where the robot's base stands to reach it."""
    rim: float = 0.0
    """Height of the walls around it; 0 for an open surface."""


@dataclass(frozen=True)
class Furniture:
    """A thing that does not move, of convex pieces in the flat's frame."""

    name: str
    parts: tuple[Part, ...]
    obstacle: bool = True
    """Whether the robot must drive around it."""


WOOD: Colour = (0.62, 0.44, 0.28)
DARK_WOOD: Colour = (0.42, 0.28, 0.18)
WHITE: Colour = (0.92, 0.92, 0.90)
GREY: Colour = (0.55, 0.56, 0.60)
CLOTH: Colour = (0.33, 0.42, 0.52)
RUG: Colour = (0.72, 0.36, 0.32)
PALE: Colour = (0.90, 0.86, 0.72)
SLATE: Colour = (0.34, 0.37, 0.43)
WALL: Colour = (0.86, 0.84, 0.80)

PLACES: tuple[str, ...] = ("desk", "dining table", "coffee table", "sofa", "room")
"""The five places that users of Habitat-Rearrange rank; `room` is the rug on the floor."""

START_PLACES: tuple[str, ...] = (*PLACES, "counter")
"""Where objects lie at the start: on one of the five places, or on the kitchen counter, which is not ranked."""

CONTAINERS: tuple[str, ...] = ("left box", "right box")
"""The two containers of Habitat-Tidy."""

_BENCH_HEIGHT = 0.5  # of what the containers stand on, m

RECEPTACLES: dict[str, Receptacle] = {
    place.name: place
    for place in (
        Receptacle("desk", (7.55, 3.4, 0.74), (0.33, 0.7), (6.75, 3.0)),
        Receptacle("dining table", (6.5, 1.3, 0.74), (0.75, 0.45), (6.5, 2.15)),
        Receptacle("coffee table", (5.3, 3.95, 0.42), (0.5, 0.3), (4.4, 3.95)),
        Receptacle("sofa", (5.3, 5.28, 0.42), (0.9, 0.34), (3.9, 5.1)),
        Receptacle("room", (4.0, 1.5, 0.01), (0.7, 0.7), (4.0, 2.6)),
        Receptacle("counter", (0.38, 4.2, 0.9), (0.35, 1.3), (1.1, 4.2)),
        Receptacle("left box", (0.86, 0.42, 0.51), (0.36, 0.25), (0.86, 1.12), rim=0.16),
        Receptacle("right box", (1.74, 0.42, 0.51), (0.36, 0.25), (1.74, 1.12), rim=0.16),
    )
}
"""Every place of the flat by name: the five that are ranked, the kitchen counter and the two containers."""


def _table(name: str, colour: Colour) -> tuple[Part, ...]:
    place, thickness = RECEPTACLES[name], 0.04
    x, y, height = place.centre
    size = (2 * place.half_extents[0], 2 * place.half_extents[1])
    leg_x, leg_y, leg_height = size[0] / 2 - 0.05, size[1] / 2 - 0.05, height - thickness
    legs = [
        box((0.06, 0.06, leg_height), (x + i * leg_x, y + j * leg_y, leg_height / 2), DARK_WOOD)
        for i in (-1, 1)
        for j in (-1, 1)
    ]
    return (box((*size, thickness), (x, y, height - thickness / 2), colour), *legs)


def _chair(x: float, y: float, back: float) -> tuple[Part, ...]:
    seat = box((0.4, 0.4, 0.44), (x, y, 0.22), WOOD)
    return (seat, box((0.05, 0.4, 0.44), (x + 0.175 * back, y, 0.66), DARK_WOOD))


def _sofa() -> tuple[Part, ...]:
    x, y, height = RECEPTACLES["sofa"].centre
    return (
        box((1.8, 0.68, height), (x, y, height / 2), CLOTH),
        box((2.1, 0.2, 0.85), (x, y + 0.44, 0.425), CLOTH),
        *(box((0.15, 0.68, 0.6), (x + side * 0.975, y, 0.3), CLOTH) for side in (-1, 1)),
    )


def _container(name: str, colour: Colour) -> tuple[Part, ...]:
    (x, y, _), rim = RECEPTACLES[name].centre, RECEPTACLES[name].rim
    length, width = (2 * half for half in RECEPTACLES[name].half_extents)
    wall, middle = 0.02, _BENCH_HEIGHT + 0.01 + rim / 2
    return (
        box((length + 2 * wall, width + 2 * wall, 0.01), (x, y, _BENCH_HEIGHT + 0.005), colour),
        *(box((wall, width + 2 * wall, rim), (x + s * (length + wall) / 2, y, middle), colour) for s in (-1, 1)),
        *(box((length, wall, rim), (x, y + s * (width + wall) / 2, middle), colour) for s in (-1, 1)),
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
    Furniture("desk", (*_table("desk", WOOD), *_chair(7.0, 3.85, -1))),
    Furniture("dining table", (*_table("dining table", DARK_WOOD), *_chair(5.45, 1.3, -1), *_chair(7.55, 1.3, 1))),
    Furniture("coffee table", _table("coffee table", WOOD)),
    Furniture("sofa", _sofa()),
    Furniture(
        "counter", (box((0.7, 2.6, 0.86), (0.38, 4.2, 0.43), WHITE), box((0.74, 2.64, 0.04), (0.38, 4.2, 0.88), GREY))
    ),
    Furniture("bench", (box((2.1, 0.64, _BENCH_HEIGHT), (1.3, 0.4, _BENCH_HEIGHT / 2), WHITE),)),
    Furniture("left box", _container("left box", PALE)),
    Furniture("right box", _container("right box", SLATE)),
)
"""The furnished flat: kitchen on the left, living room, dining corner and desk on the right."""
