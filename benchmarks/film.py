"""What the robot does for users who disagree: one episode each from the same start, as a contact sheet and a GIF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from PIL import Image

from pluralbench.envs.environments import Environment
from pluralbench.files import replace_file

Frame = NDArray[np.uint8]
MOST_USERS = 3
NUM_COLUMNS = 5
NUM_GIF_FRAMES = 24
GIF_WIDTH = 320
"""Pixels of one user's part of the GIF."""


def film_users(
    environment: Environment,
    act: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[Any]],
    goals: NDArray[np.float64],
    names: Sequence[str],
    rows: Sequence[int],
    stem: Path,
    title: str,
) -> None:
    """Writes `stem`.png and `stem`.gif.

    Args:
        environment: where; its environment draws `rgb_array`.
        act: actions for observations (B, S) of job rows (B,).
        goals: (J, G) of all jobs.
        names: what each filmed user wants.
        rows: the job row of each filmed user.
        stem: path without ending.
        title: above the contact sheet.
    """
    films = [_film(environment, act, goals[row], row) for row in rows[:MOST_USERS]]
    _contact_sheet(films, names[:MOST_USERS], stem.with_name(stem.name + ".png"), title)
    _gif(films, stem.with_name(stem.name + ".gif"))


def _film(
    environment: Environment, act: Callable[..., NDArray[Any]], goal: NDArray[np.float64], row: int
) -> list[Frame]:
    env = gym.make(environment.gym_id, render_mode="rgb_array")
    try:
        observation, _ = env.reset(seed=1, options={"goal": goal})
        frames, ended, index = [_frame(env)], False, np.array([row])
        while not ended:
            action = act(np.asarray(observation, dtype=np.float32)[None], index)[0]
            observation, _, terminated, truncated, _ = env.step(action)
            ended = bool(terminated or truncated)
            frames.append(_frame(env))
            if len(frames) > 4 * NUM_GIF_FRAMES:  # a long episode keeps every other picture, again and again
                frames = frames[::2]
    finally:
        env.close()
    return frames


def _frame(env: gym.Env[Any, Any]) -> Frame:
    return np.asarray(env.render(), dtype=np.uint8)


def _spread(frames: Sequence[Frame], num: int) -> list[Frame]:
    return [frames[int(i)] for i in np.linspace(0, len(frames) - 1, num).round()]


def _contact_sheet(films: Sequence[Sequence[Frame]], names: Sequence[str], path: Path, title: str) -> None:
    columns = min(NUM_COLUMNS, max(len(film) for film in films))
    height, width = films[0][0].shape[:2]
    figure, axes = plt.subplots(
        len(films), columns, squeeze=False, figsize=(1.8 * columns, 0.3 + (1.8 * height / width + 0.25) * len(films))
    )
    for row, (film, name) in enumerate(zip(films, names, strict=True)):
        for column, frame in enumerate(_spread(film, columns)):
            axes[row, column].imshow(frame)
            axes[row, column].set_axis_off()
        axes[row, 0].set_title(f"wants {name}", loc="left", fontsize=8)
    figure.suptitle(title, fontsize=8.5, x=0.01, ha="left")
    figure.tight_layout(pad=0.3)
    with replace_file(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png", metadata={"Software": None})
    plt.close(figure)


def _gif(films: Sequence[Sequence[Frame]], path: Path) -> None:
    num = min(NUM_GIF_FRAMES, max(len(film) for film in films))
    pictures = []
    for index in range(num):
        parts = [film[round(index * (len(film) - 1) / max(num - 1, 1))] for film in films]
        joined = Image.fromarray(np.concatenate(parts, axis=1))
        size = (GIF_WIDTH * len(films), round(joined.height * GIF_WIDTH * len(films) / joined.width))
        pictures.append(joined.resize(size).quantize(64))
    with replace_file(path) as temporary:
        pictures[0].save(temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=125, loop=0)
