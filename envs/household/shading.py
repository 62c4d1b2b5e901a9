"""A picture from what a depth and a semantic camera see: bodies in their colours, shaded by how they are turned."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIGHT = (-3.0, -5.0, 9.0)
"""Where the light comes from."""
AMBIENT, DIFFUSE = 0.55, 0.45
BACKGROUND = (1.0, 1.0, 1.0)


def axes_of_view(eye: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Right, up and forward (3, 3) of a camera at `eye` (3,) that looks at `target` (3,), z up; one in each row."""
    forward = np.subtract(target, eye, dtype=np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(right, forward), forward])


def shaded(
    depth: NDArray[np.floating],
    bodies: NDArray[np.integer],
    colours: NDArray[np.floating],
    axes: NDArray[np.floating],
    field_of_view: float,
) -> NDArray[np.uint8]:
    """The picture (H, W, 3).

    Args:
        depth: (H, W) m along the direction of view.
        bodies: (H, W) which body each pixel shows, a row of `colours`; 0 for none.
        colours: (B, 3) in [0, 1]; that of row 0 is not used.
        axes: (3, 3) as `axes_of_view` gives them.
        field_of_view: horizontal, degrees.
    """
    height, width = depth.shape
    per_pixel = 2 * np.tan(np.radians(field_of_view) / 2) / width
    x = (np.arange(width) - (width - 1) / 2) * per_pixel
    y = ((height - 1) / 2 - np.arange(height))[:, None] * per_pixel
    rays = np.broadcast_arrays(x, y, 1.0)
    points = np.stack(rays, axis=-1) * depth[..., None]  # (H, W, 3) right, up, forward
    normals = np.cross(_slopes(points, bodies, 1), _slopes(points, bodies, 0))
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    normals *= -np.sign((normals * points).sum(-1, keepdims=True))  # towards the camera
    light = axes @ (np.array(LIGHT) / np.linalg.norm(LIGHT))
    brightness = AMBIENT + DIFFUSE * np.clip(normals @ light, 0.0, 1.0)
    picture = np.where((bodies == 0)[..., None], BACKGROUND, colours[bodies] * brightness[..., None])
    return (np.clip(picture, 0.0, 1.0) * 255).round().astype(np.uint8)


def _slopes(points: NDArray[np.floating], bodies: NDArray[np.integer], axis: int) -> NDArray[np.float64]:
    """Change of the points (H, W, 3) along an axis: of both neighbours of the same body the nearer one tells it."""
    step = np.diff(points, axis=axis)
    apart = np.linalg.norm(step, axis=-1)
    apart[np.diff(bodies, axis=axis) != 0] = np.inf
    ends: list[tuple[int, int]] = [(0, 0)] * 3
    ends[axis] = (1, 0)
    before, before_apart = np.pad(step, ends), np.pad(apart, ends[:2], constant_values=np.inf)
    ends[axis] = (0, 1)
    after, after_apart = np.pad(step, ends), np.pad(apart, ends[:2], constant_values=np.inf)
    return np.asarray(np.where((before_apart < after_apart)[..., None], before, after), dtype=np.float64)
