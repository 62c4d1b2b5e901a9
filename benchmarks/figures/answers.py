"""Success over the number of answers by which a test user is known."""

from __future__ import annotations

from matplotlib.figure import Figure

from pluralbench.benchmarks.figures.curves import draw_curves
from pluralbench.benchmarks.figures.suite import SuiteResults


def answers_figure(suite: SuiteResults) -> Figure | None:
    """A line for each method that reads answers: the mean over seeds and users, the seeds' range as a band."""
    figure = Figure(figsize=(4.2, 2.8))
    axes = figure.subplots()
    if not draw_curves(axes, suite, "answers"):
        return None
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel("answers of the test user")
    return figure
