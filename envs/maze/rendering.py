"""The maze from above as a picture, drawn with Pillow: no display, no OpenGL."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pluralbench.envs.maze.maps import BALL_RADIUS, CELL_SHIFT
from pluralbench.envs.maze.task import SUCCESS_RADIUS, MazeTask

_FLOOR, _WALL, _TRAIL, _BALL = (250, 249, 246), (62, 70, 82), (138, 174, 214), (24, 90, 169)
_TARGET_FILL, _TARGET_RING, _AVOID = (198, 232, 203), (38, 132, 67), (192, 57, 43)

_PIXELS_PER_CELL = 32
_OVERSAMPLING = 3


def draw_maze(
    task: MazeTask, goal: NDArray[np.floating], position: NDArray[np.floating], trail: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """One frame (H, W, 3) uint8, rows downwards, 32 pixels per cell: 288 x 384 for the large map.

    A goal (3,) is drawn as the disc in which it is fulfilled, with a cross where it is to be avoided; `position` (2,)
    is the ball's, `trail` (T, 2) its positions since the start.
    """
    rows, cols = task.map.walls.shape
    cell = _PIXELS_PER_CELL * _OVERSAMPLING
    image = Image.new("RGB", (cols * cell, rows * cell), _FLOOR)
    draw = ImageDraw.Draw(image)

    def pixel(point: NDArray[np.floating]) -> tuple[float, float]:
        return float(point[1] + CELL_SHIFT) * cell, float(point[0] + CELL_SHIFT) * cell

    def disc(point: NDArray[np.floating], radius: float, **style: object) -> None:
        x, y = pixel(point)
        draw.ellipse((x - radius * cell, y - radius * cell, x + radius * cell, y + radius * cell), **style)  # type: ignore[arg-type]

    for target in task.targets(goal):
        disc(target, SUCCESS_RADIUS, fill=_TARGET_FILL, outline=_TARGET_RING, width=cell // 16)
    for row, col in np.argwhere(task.map.walls).tolist():
        draw.rectangle((col * cell, row * cell, (col + 1) * cell - 1, (row + 1) * cell - 1), fill=_WALL)
    if goal[2] < 0.0:
        x, y = pixel(goal)
        arm = 0.22 * cell
        for sign in (-1, 1):
            draw.line((x - arm, y - sign * arm, x + arm, y + sign * arm), fill=_AVOID, width=cell // 10)
    if len(trail) > 1:
        draw.line([pixel(point) for point in trail], fill=_TRAIL, width=cell // 14, joint="curve")
    disc(position, BALL_RADIUS, fill=_BALL)
    return np.asarray(image.reduce(_OVERSAMPLING), dtype=np.uint8).copy()
