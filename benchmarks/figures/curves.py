"""Success over training; and the lines that the figure of answers shares with it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pluralbench.benchmarks.figures.looks import look_of
from pluralbench.benchmarks.figures.style import TITLE_SIZE, legend_beside, success_axis
from pluralbench.benchmarks.figures.suite import SuiteResults


def curves_figure(suite: SuiteResults) -> Figure | None:
    """Success over training: the mean over seeds and users as a line, the seeds' range as a band."""
    figure = Figure(figsize=(5.2, 3.0))
    axes = figure.subplots()
    if not draw_curves(axes, suite, "success"):
        return None
    axes.set_xlabel("updates of the policy")
    axes.set_xlim(left=0)
    return figure


def draw_curves(axes: Axes, suite: SuiteResults, stage: str) -> bool:
    """A line per method of the metric `mean` of `stage`; False where no method has at least two points."""
    drawn = False
    for method in suite.methods:
        by_seed = [
            {step: value for where, step, name, value in rows if (where, name) == (stage, "mean")}
            for rows in suite.metrics(method)
        ]
        steps = sorted(set.intersection(*(set(curve) for curve in by_seed))) if by_seed else []
        if len(steps) < 2:
            continue
        values = np.array([[curve[step] for step in steps] for curve in by_seed])
        look = look_of(method, suite.methods)
        axes.plot(steps, values.mean(0), label=suite.title_of(method), **look)
        axes.fill_between(steps, values.min(0), values.max(0), color=look["color"], alpha=0.15, linewidth=0)
        drawn = True
    success_axis(axes)
    title = f"{suite.environment}: mean over users, band from lowest to highest seed"
    axes.set_title("\n".join(filter(None, (title, suite.marks))), loc="left", fontsize=TITLE_SIZE)
    legend_beside(axes)
    return drawn
