"""The flat: places where objects rest, and furniture. Kitchen on the left, living room, dining corner, desk."""

from __future__ import annotations

from dataclasses import dataclass

from pluralbench.envs.household.shapes import Colour, Part, Vector, box

FLAT_SIZE: tuple[float, float] = (8.0, 6.0)
"""Extent of the flat along x and y, m; its corner lies at the origin."""


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
