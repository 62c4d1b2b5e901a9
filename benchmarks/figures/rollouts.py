"""What the robot does for users who disagree: their episodes side by side as a picture and as a rollout video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from pluralbench.benchmarks.figures.style import TITLE_SIZE, style
from pluralbench.files import replace_file

Frame = NDArray[np.uint8]
MAX_USERS = 3
"""Users who are shown."""
NUM_COLUMNS = 5
NUM_GIF_FRAMES = 24
TITLE_INCHES = 0.15
"""Between the title and the first row, beside what a layout leaves."""
GIF_WIDTH = 320
"""Pixels of one user's part of the GIF."""


def show_rollouts(frames: Sequence[Sequence[Frame]], names: Sequence[str], stem: Path, title: str) -> Path:
    """Writes `stem`.png, some moments of each episode, and `stem`.gif; returns the former.

    Args:
        frames: for each user, one of a group, the pictures (H, W, 3) uint8 of one episode; `MAX_USERS` are shown.
        names: what each user wants.
        stem: path without an ending.
        title: above the picture.
    """
    shown = list(frames)[:MAX_USERS]
    path = stem.with_name(stem.name + ".png")
    with style(), replace_file(path) as temporary:
        _moments(shown, list(names)[:MAX_USERS], title).savefig(
            temporary, dpi=100, format="png", metadata={"Software": None}
        )
    _gif(shown, stem.with_name(stem.name + ".gif"))
    return path


def _moments(episodes: Sequence[Sequence[Frame]], names: Sequence[str], title: str) -> Figure:
    columns = min(NUM_COLUMNS, max(len(episode) for episode in episodes))
    height, width = episodes[0][0].shape[:2]
    inches = 0.3 + (1.8 * height / width + 0.25) * len(episodes)
    figure = Figure(figsize=(1.8 * columns, inches))
    axes = figure.subplots(len(episodes), columns, squeeze=False)
    for row, (episode, name) in enumerate(zip(episodes, names, strict=True)):
        for column, index in enumerate(np.linspace(0, len(episode) - 1, columns).round().astype(int)):
            axes[row, column].imshow(episode[index])
            axes[row, column].set_axis_off()
        axes[row, 0].set_title(f"wants {name}", loc="left", fontsize=8)
    figure.suptitle(title, fontsize=TITLE_SIZE, x=0.01, ha="left")
    figure.tight_layout(pad=0.3, rect=(0, 0, 1, 1 - TITLE_INCHES / inches))
    return figure


def _gif(episodes: Sequence[Sequence[Frame]], path: Path) -> None:
    num = min(NUM_GIF_FRAMES, max(len(episode) for episode in episodes))
    pictures = []
    for index in range(num):
        parts = [episode[round(index * (len(episode) - 1) / max(num - 1, 1))] for episode in episodes]
        joined = Image.fromarray(np.concatenate(parts, axis=1))
        size = (GIF_WIDTH * len(episodes), round(joined.height * GIF_WIDTH * len(episodes) / joined.width))
        pictures.append(joined.resize(size).quantize(64))
    with replace_file(path) as temporary:
        pictures[0].save(temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=125, loop=0)
