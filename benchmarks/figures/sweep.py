"""Success over the points of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pluralbench.benchmarks.figures.looks import look_of
from pluralbench.benchmarks.figures.style import TITLE_SIZE, legend_beside, save, style, success_axis
from pluralbench.benchmarks.figures.suite import (
    SuiteResults,
    group_means,
    is_reference_row,
    of_method,
    read_suite,
    seed_means,
)
from pluralbench.benchmarks.results import ResultsError, SuccessRate, read_rows


def draw_sweep(folder: Path, sweep: Mapping[str, Any]) -> Path:
    """Draws success over the points that have been run, as <environment>-<sweep>.png and .pdf; returns the former.

    Args:
        folder: of the sweep.
        sweep: its record (`results.records.SweepRecord`).

    Raises:
        ResultsError: no point has been run, or the results of one are damaged.
    """
    points = read_points(folder, sweep)
    with style():
        figure = sweep_figure(points, sweep["x_label"], sweep["worst_group"])
        return save(figure, folder / sweep_name(sweep))


def sweep_name(sweep: Mapping[str, Any]) -> str:
    """What the figure of a sweep is called, without an ending."""
    return f"{sweep['environment']}-{sweep['sweep']}"


def read_points(folder: Path, sweep: Mapping[str, Any]) -> dict[str, SuiteResults]:
    """The results of a sweep's points that have been run, by their labels; raises as `draw_sweep`."""
    environment, missing = sweep["environment"], missing_points(folder, sweep)
    run = {label: folder / name for label, name in sweep["points"].items() if label not in missing}
    if not run:
        raise ResultsError(f"{folder}: no point of {sweep['sweep']} in {environment} has been run")
    return {label: read_suite(own, environment) for label, own in run.items()}


def missing_points(folder: Path, sweep: Mapping[str, Any]) -> list[str]:
    """Labels of a sweep's points that have not been run; ResultsError where the results of one are damaged."""
    environment, points = sweep["environment"], sweep["points"]
    return [
        label
        for label, name in points.items()
        if all(row.environment != environment for row in read_rows(folder / name))
    ]


def sweep_figure(points: Mapping[str, SuiteResults], x_label: str, worst_group: bool = False) -> Figure:
    """Success of test users as lines, the seeds' range as bands; held-out groups as diamonds, worst groups dotted."""
    figure = Figure(figsize=(4.6, 3.0))
    axes = figure.subplots()
    suites = list(points.values())
    methods = list(dict.fromkeys(method for suite in suites for method in suite.methods))
    for method in sorted(methods, key=is_reference_row):  # learners have the plainest lines
        rates = [of_method(suite.rates, method) for suite in suites]
        title = next((title for suite in suites if (title := suite.title_of(method)) != method), method)
        _draw_method(axes, rates, title, look_of(method, methods), worst_group)
    axes.set_xticks(range(len(points)), list(points))
    axes.set_xlabel(x_label)
    success_axis(axes)
    notes = [suites[0].environment, *(["dotted: worst group"] if worst_group else [])]
    notes += ["diamonds: held-out groups"] if any(suite.held_out for suite in suites) else []
    notes += list(dict.fromkeys(suite.marks for suite in suites if suite.marks))
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
    axes.plot(places, [np.mean(seeds) for seeds in means], label=title, **look)
    low, high = [min(seeds) for seeds in means], [max(seeds) for seeds in means]
    axes.fill_between(places, low, high, color=look["color"], alpha=0.15, linewidth=0)
    if worst_group:
        worst = [min(group_means(rates).values()) for rates in taught.values()]
        axes.plot(places, worst, **{**look, "linestyle": ":", "marker": ""})
    held_out = {x: float(np.mean(seed_means(rates))) for x, rates in others.items()}
    axes.scatter(list(held_out), list(held_out.values()), marker="D", facecolor="none", edgecolor=look["color"], s=30)
