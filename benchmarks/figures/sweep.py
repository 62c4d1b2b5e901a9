"""Success over the points of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pluralbench.benchmarks.figures.style import TITLE_SIZE, legend_beside, line_style, save, style, success_axis
from pluralbench.benchmarks.figures.suite import (
    NOT_WHOLE,
    SuiteResults,
    group_means,
    is_reference_row,
    of_method,
    read_suites,
    seed_means,
)
from pluralbench.benchmarks.results import SuccessRate


def draw_sweep(folders: Mapping[str, Path], stem: Path, x_label: str, worst_group: bool = False) -> Path:
    """Draws success over a sweep, of the worst-off group too if wanted, into `stem`.png and .pdf; returns the former.

    `folders` are the suites' by the point's label on the axis; each holds one environment.
    """
    points = {label: read_suites(folder)[0] for label, folder in folders.items()}
    with style():
        return save(sweep_figure(points, x_label, worst_group), stem)


def sweep_figure(points: Mapping[str, SuiteResults], x_label: str, worst_group: bool = False) -> Figure:
    """Success of test users as lines, the seeds' range as bands; held-out groups as diamonds, worst groups dotted."""
    figure = Figure(figsize=(4.6, 3.0))
    axes = figure.subplots()
    suites = list(points.values())
    methods = dict.fromkeys(method for suite in suites for method in suite.methods)
    for position, method in enumerate(sorted(methods, key=is_reference_row)):  # learners have the plainest lines
        rates = [of_method(suite.rates, method) for suite in suites]
        title = next((title for suite in suites if (title := suite.title_of(method)) != method), method)
        look = line_style(position) | ({"linestyle": "--"} if is_reference_row(method) else {})  # seen over a learner's
        _draw_method(axes, rates, title, look, worst_group)
    axes.set_xticks(range(len(points)), list(points))
    axes.set_xlabel(x_label)
    success_axis(axes)
    notes = [suites[0].environment, *(["dotted: worst group"] if worst_group else [])]
    notes += ["diamonds: held-out groups"] if any(suite.held_out for suite in suites) else []
    notes += [f"{NOT_WHOLE} runs are missing or damaged"] if any(suite.runs.faults for suite in suites) else []
    axes.set_title("; ".join(notes), loc="left", fontsize=TITLE_SIZE)
    legend_beside(axes)
    return figure


def _draw_method(
    axes: Axes, points: Sequence[Sequence[SuccessRate]], title: str, look: dict[str, Any], worst_group: bool
) -> None:
    """One method's lines over the points, each a list of its rates; held-out groups are never the worst one."""

    def by_place(held_out: bool) -> dict[int, list[SuccessRate]]:
        own = {x: [rate for rate in point if rate.held_out == held_out] for x, point in enumerate(points)}
        return {x: rates for x, rates in own.items() if rates}

    taught, others = by_place(held_out=False), by_place(held_out=True)
    means = [seed_means(rates) for rates in taught.values()]
    places = list(taught)
    axes.plot(places, [np.mean(seeds) for seeds in means], marker="o", markersize=4, label=title, **look)
    low, high = [min(seeds) for seeds in means], [max(seeds) for seeds in means]
    axes.fill_between(places, low, high, color=look["color"], alpha=0.15, linewidth=0)
    if worst_group:
        worst = [min(group_means(rates).values()) for rates in taught.values()]
        axes.plot(places, worst, **{**look, "linestyle": ":"})
    held_out = {x: float(np.mean(seed_means(rates))) for x, rates in others.items()}
    axes.scatter(list(held_out), list(held_out.values()), marker="D", facecolor="none", edgecolor=look["color"], s=30)
