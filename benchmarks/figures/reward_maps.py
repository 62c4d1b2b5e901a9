"""Learned rewards over places beside the true utility, from `<environment>-reward-maps.npz`.

What the file holds is said in `results.figure_arrays`.
"""

from __future__ import annotations

import textwrap
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pluralbench.benchmarks.figures.style import TITLE_SIZE, shown_of
from pluralbench.benchmarks.figures.suite import SuiteResults
from pluralbench.benchmarks.results.figure_arrays import load_reward_maps, reward_maps_path

MAX_USERS = 5
SCALE = "dark low, bright high, each panel on its own scale"
ALL_IN_ONE = "each user"
"""Stands for the users' names where each user is a row of one table."""


def reward_maps_figure(suite: SuiteResults) -> Figure | None:
    """Reward of each place, one panel per method and user, the true utility first."""
    maps = load_reward_maps(reward_maps_path(suite.folder, suite.environment))
    if not maps:
        return None
    first = next(iter(maps.values()))
    users = [str(user) for user in first["users"]][:MAX_USERS]
    panels = {"true utility": first["true"], **{name: arrays["learned"] for name, arrays in maps.items()}}
    shown = len(first["rows"]) if users == [ALL_IN_ONE] else len(users)
    note = f"{shown_of(shown, max(shown, len(first['users']), suite.num_groups))}, {SCALE}"
    if first["rows"].size > 0:
        return _named_figure(panels, users, first["rows"], first["columns"], note)
    height, width = first["true"].shape[1:]
    size = (1.6 + 1.9 * len(users), 0.5 + (1.9 * height / width + 0.1) * len(panels))
    figure = Figure(figsize=size, layout="compressed")
    axes = figure.subplots(len(panels), len(users), squeeze=False)
    for row, (name, values) in enumerate(panels.items()):
        for column, user in enumerate(users):
            _map_panel(axes[row, column], values[column].astype(np.float64), "equal")
            if row == 0:
                axes[row, column].set_title(f"wants {user}", fontsize=TITLE_SIZE)
        axes[row, 0].set_ylabel(_in_lines(name), fontsize=7, rotation=0, ha="right", va="center")
    figure.suptitle(f"reward of each place, {note}", fontsize=TITLE_SIZE)
    return figure


def _named_figure(
    panels: dict[str, NDArray[Any]], users: list[str], rows: NDArray[Any], columns: NDArray[Any], note: str
) -> Figure:
    """A row of panels per user, the methods side by side; rows and columns of a panel have names."""
    figure = Figure(figsize=(1.2 + 1.05 * len(panels), 0.6 + (0.15 * len(rows) + 0.15) * len(users)))
    axes = figure.subplots(len(users), len(panels), squeeze=False)
    for column, (name, values) in enumerate(panels.items()):
        axes[0, column].set_title(_in_lines(name), fontsize=8)
        for panel, picture in zip(axes[:, column], values, strict=False):
            _map_panel(panel, picture.astype(np.float64), "auto")
        axes[-1, column].set_xticks(
            range(len(columns)), columns, fontsize=6, rotation=60, ha="right", rotation_mode="anchor"
        )
    for panel, user in zip(axes[:, 0], users, strict=True):
        panel.set_yticks(range(len(rows)), rows, fontsize=6)
        panel.set_ylabel("" if user == ALL_IN_ONE else f"wants {user}", fontsize=8)
    figure.tight_layout(pad=0.4)
    places = "place (columns) for each user (rows)" if users == [ALL_IN_ONE] else "place"
    figure.suptitle(f"reward of each {places}, {note}", fontsize=TITLE_SIZE, y=1.01, va="bottom")
    return figure


def _in_lines(name: str) -> str:
    """The name of a reward, broken at a space where it is too long for its panel."""
    return textwrap.fill(name, 18, break_long_words=False, break_on_hyphens=False)


def _map_panel(axes: Axes, values: NDArray[np.float64], aspect: Literal["equal", "auto"]) -> None:
    colours = mpl.colormaps["viridis"].with_extremes(bad="#E8E8E8")
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, interpolation="nearest", aspect=aspect)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
