"""Final success of each method, and of each group of users."""

from __future__ import annotations

from collections.abc import Collection

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pluralbench.benchmarks.figures.style import PALETTE, TITLE_SIZE, legend_beside, success_axis
from pluralbench.benchmarks.figures.suite import (
    SuiteResults,
    group_means,
    is_reference_row,
    mean_success,
    of_method,
)


def success_figure(suite: SuiteResults) -> Figure:
    """Mean success of each method with a 95 % interval, and each group's as a dot, held-out groups' hollow.

    A dotted line stands between reference rows and learners.
    """
    figure = Figure(figsize=(1.6 + 0.85 * len(suite.methods), 3.0))
    axes = figure.subplots()
    groups = {rate.group: rate.held_out for rate in suite.rates}
    labelled: set[str] = set()
    for x, method in enumerate(suite.methods):
        interval = mean_success(suite.table_rates(method))
        axes.bar(x, interval.estimate, width=0.62, color="#D9DEE4", edgecolor="#5B6670", linewidth=0.8, zorder=1)
        error = [[max(0.0, interval.estimate - interval.low)], [max(0.0, interval.high - interval.estimate)]]
        axes.errorbar(x, interval.estimate, yerr=error, color="#30363C", capsize=3, linewidth=1.2, zorder=2)
        for name, score in group_means(of_method(suite.rates, method)).items():
            _group_dot(axes, x, score, name, groups, name not in labelled)
            labelled.add(name)
    num_references = sum(map(is_reference_row, suite.methods))
    if 0 < num_references < len(suite.methods):
        axes.axvline(num_references - 0.5, color="#9AA3AB", linewidth=0.8, linestyle=":")
    few, titles = len(suite.methods) < 6, [suite.title_of(method) for method in suite.methods]
    axes.set_xticks(
        range(len(titles)), titles, rotation=0 if few else 30, ha="center" if few else "right", rotation_mode="anchor",
    )  # fmt: skip
    success_axis(axes, "success rate for the user's own goal")
    axes.set_title(_title(suite), loc="left", fontsize=TITLE_SIZE)
    legend_beside(axes, "group of users", size=7)
    return figure


def _title(suite: SuiteResults) -> str:
    rates = [suite.table_rates(method) for method in suite.methods]
    seeds = _span({len({rate.seed for rate in own}) for own in rates})
    users = _span({len({(rate.seed, rate.user) for rate in own}) for own in rates})
    episodes = _span({rate.episodes for rate in suite.rates})
    counts = f"{seeds} seed{'' if seeds == '1' else 's'}, {users} test users, {episodes} episodes each"
    return "\n".join(filter(None, (f"{suite.environment}, {suite.rates[0].population}: {counts}", suite.marks)))


def _span(numbers: Collection[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _group_dot(axes: Axes, x: float, score: float, name: str, groups: dict[str, bool], labelled: bool) -> None:
    place = list(groups).index(name)
    offset = 0.0 if len(groups) == 1 else 0.44 * (place / (len(groups) - 1) - 0.5)
    colour = PALETTE[place % len(PALETTE)]
    held_out = groups[name]
    marker = "D" if held_out else "os^"[place // len(PALETTE) % 3]
    axes.scatter(
        x + offset, score, s=22, zorder=3, marker=marker, linewidth=1.0 if held_out else 0.5,
        facecolor="none" if held_out else colour, edgecolor=colour if held_out else "white",
        label=(f"{name} (held out)" if held_out else name) if labelled else None,
    )  # fmt: skip
