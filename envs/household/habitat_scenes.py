"""The places of the household tasks in a scene of files that habitat-sim has open, for example ReplicaCAD's flats."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pluralbench.envs.household.episodes import from_habitat, to_habitat
from pluralbench.envs.household.flat import CONTAINERS, FURNITURE, RECEPTACLES, Receptacle
from pluralbench.envs.household.floor_plan import CELL, ROBOT_HEIGHT, ROBOT_RADIUS, FloorPlan
from pluralbench.envs.household.shapes import Part
from pluralbench.envs.household.simulator import SimulatorError

REPLICA_CAD_PLACES: Mapping[str, str] = {
    "desk": "frl_apartment_tvstand",
    "dining table": "frl_apartment_table_01",
    "coffee table": "frl_apartment_table_02",
    "sofa": "frl_apartment_sofa",
    "counter": "frl_apartment_chair_01",
}
"""Pieces of ReplicaCAD's furniture that serve as the places of ours; they are those with receptacles in its files."""

FLOOR_PLACES: tuple[str, ...] = ("room", *CONTAINERS)
"""Places that are spots on the floor: a free one for `room`, and two where the containers, of primitives, stand."""

_USABLE = 0.8  # share of a surface's extents that objects are put on
_APART = 1.6  # between spots on the floor, m


@dataclass(frozen=True)
class Scene:
    """What the tasks need to know of a scene."""

    receptacles: Mapping[str, Receptacle]
    floor_plan: FloorPlan
    containers: tuple[Part, ...]
    """Parts of the containers to build."""


def read_scene(sim: Any, habitat: Any, magnum: Any, places: Mapping[str, str]) -> Scene:
    """Finds the places in the scene that `sim` has open.

    Args:
        sim: `habitat_sim.Simulator` with a renderer (extents of objects come with it).
        habitat: the module `habitat_sim`.
        magnum: the module `magnum`.
        places: handle, or a part of it, of the object that serves as each place.

    Raises:
        SimulatorError: an object is missing, or the floor has no room; one line.
    """
    free, origin, floor = _navigable(sim, habitat)
    spots = _floor_spots(free, origin)
    for spot in spots[1:]:  # the robot drives around the containers
        free &= np.linalg.norm(_middles(free, origin) - spot, axis=-1) > 0.45 + ROBOT_RADIUS
    plan = FloorPlan(_largest_piece(free), origin)
    found = {name: _surface(sim, habitat, magnum, name, handle, plan) for name, handle in places.items()}
    parts: list[Part] = []
    floor += _margin_of_stage(sim)
    for name, spot in zip(FLOOR_PLACES, spots, strict=True):
        ours = RECEPTACLES[name]
        moved = (float(spot[0]), float(spot[1]), floor + 0.01)
        access = plan.nearest_free(spot + (0.0 if name in CONTAINERS else 0.9))
        found[name] = replace(ours, centre=moved, access=(float(access[0]), float(access[1])))
        shift = np.subtract(moved, ours.centre)
        for part in next(thing.parts for thing in FURNITURE if thing.name == name) if name in CONTAINERS else ():
            x, y, z = (float(value) for value in np.add(part.position, shift))
            parts.append(replace(part, position=(x, y, z)))
    return Scene(found, plan, tuple(parts))


def _margin_of_stage(sim: Any) -> float:
    """How far above the stage's mesh things rest, m: Bullet keeps them off by the mesh's collision margin."""
    stage = sim.get_stage_initialization_template()
    return 0.0 if stage is None else float(stage.margin)


def _navigable(sim: Any, habitat: Any) -> tuple[NDArray[np.bool_], NDArray[np.float64], float]:
    """Cells (W, H) where the base can be, their corner (2,) and the floor's height, from a navigation mesh."""
    settings = habitat.nav.NavMeshSettings()
    settings.set_defaults()
    settings.agent_radius = ROBOT_RADIUS
    settings.agent_height = ROBOT_HEIGHT
    settings.include_static_objects = True
    if not sim.recompute_navmesh(sim.pathfinder, settings):
        raise SimulatorError("habitat-sim finds no floor to drive on in this scene")
    low, _ = sim.pathfinder.get_bounds()
    view = np.asarray(sim.pathfinder.get_topdown_view(CELL, float(low[1])))  # rows along z, columns along x
    origin = np.array([float(low[0]), -(float(low[2]) + view.shape[0] * CELL)])
    return _largest_piece(np.ascontiguousarray(view.T[:, ::-1]).astype(bool)), origin, float(low[1])


def _largest_piece(free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the cells (W, H) those of the largest connected piece: no way leads from one to another, tables count too."""
    pieces, _ = ndimage.label(free)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray((pieces == sizes.argmax()) & free)


def _middles(free: NDArray[np.bool_], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    return origin + (np.moveaxis(np.indices(free.shape), 0, -1) + 0.5) * CELL


def _floor_spots(free: NDArray[np.bool_], origin: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The roomiest points of the floor, far enough from one another."""
    room = ndimage.distance_transform_edt(free) * CELL
    middles = _middles(free, origin)
    spots: list[NDArray[np.float64]] = []
    for name in FLOOR_PLACES:
        best = np.unravel_index(int(room.argmax()), room.shape)
        if room[best] <= 0:
            raise SimulatorError(f"the floor of this scene has no room for {name!r}")
        spots.append(middles[best])
        room[np.linalg.norm(middles - middles[best], axis=-1) < _APART] = 0.0
    return spots


def _surface(sim: Any, habitat: Any, magnum: Any, name: str, handle: str, plan: FloorPlan) -> Receptacle:
    """The upper surface of an object of the scene: its extents from its box, its height by a ray from above."""
    matches = sim.get_rigid_object_manager().get_objects_by_handle_substring(handle)
    if not matches:
        raise SimulatorError(f"this scene has no object {handle!r} to serve as the {name!r}; give `places` of its own")
    body = matches[min(matches)]
    extent = body.root_scene_node.cumulative_bb
    corners = itertools.product(*((float(extent.min[k]), float(extent.max[k])) for k in range(3)))
    points = np.array([from_habitat(body.transformation.transform_point(magnum.Vector3(*c))) for c in corners])
    low, high = points.min(0), points.max(0)
    middle = (low + high) / 2
    start = magnum.Vector3(*to_habitat((middle[0], middle[1], high[2] + 0.5)))
    result = sim.cast_ray(habitat.geo.Ray(start, magnum.Vector3(0.0, -1.0, 0.0)), 3.0)
    height = from_habitat(result.hits[0].point)[2] if result.has_hits() else float(high[2])
    half = _USABLE * (high - low) / 2
    access = plan.nearest_free(middle[:2])
    return Receptacle(
        name,
        (float(middle[0]), float(middle[1]), float(height)),
        (float(half[0]), float(half[1])),
        (float(access[0]), float(access[1])),
    )
