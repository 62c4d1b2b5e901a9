"""Success and accuracy over the number of questions, for each way of choosing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pluralbench.benchmarks.figures.style import TITLE_SIZE, legend_beside, line_style, save, style, success_axis


def draw_active(points: Sequence[Mapping[str, Any]], stem: Path, environment: str, method: str = "") -> Path:
    """Draws the points of the experiment's JSON file into `stem`.png and `stem`.pdf; returns the former.

    Each has {way, questions, seed, accuracy, success_rates}; the ways are drawn in the order in which they come.
    """
    with style():
        return save(active_figure(points, ", ".join(filter(None, (environment, method)))), stem)


def active_figure(points: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Means over seeds and users as lines, the seeds' range as bands."""
    figure = Figure(figsize=(8.0, 3.0))
    panels = figure.subplots(1, 2)
    numbers = sorted({int(point["questions"]) for point in points})
    for position, way in enumerate(dict.fromkeys(str(point["way"]) for point in points)):
        own = {(point["seed"], point["questions"]): point for point in points if point["way"] == way}
        seeds = sorted({seed for seed, _ in own})
        success = [[np.mean(own[seed, number]["success_rates"]) for number in numbers] for seed in seeds]
        accuracy = [[own[seed, number]["accuracy"] for number in numbers] for seed in seeds]
        look = line_style(position)
        for axes, values in zip(panels, (np.array(success), np.array(accuracy)), strict=True):
            axes.plot(numbers, values.mean(0), marker="o", markersize=3, label=way, **look)
            axes.fill_between(numbers, values.min(0), values.max(0), color=look["color"], alpha=0.15, linewidth=0)
    for axes, label in zip(panels, ("success rate", "accuracy on further answers"), strict=True):
        success_axis(axes, label)
        axes.set_xlabel("questions to the test user")
        axes.set_xticks(numbers)
    panels[0].set_title(f"{title}: mean over users, band: seeds", loc="left", fontsize=TITLE_SIZE)
    legend_beside(panels[1], "questions")
    figure.subplots_adjust(wspace=0.3)
    return figure
