"""What a person reads of a sweep: a table over its points, and where the report of each of these is."""

from __future__ import annotations

from pathlib import Path

from pluralbench.benchmarks import results
from pluralbench.benchmarks.figures.diagnostics import markdown_table
from pluralbench.benchmarks.figures.suite import NOT_WHOLE, SuiteResults, success_intervals
from pluralbench.benchmarks.figures.sweep import read_points, sweep_name
from pluralbench.benchmarks.report import with_interval

LEGEND = (
    "Mean success rate of the test users and, behind it, that of the worst-off group, with 95 % intervals. All columns "
    "and what made the numbers stand in the points' own reports."
)


def markdown_sweeps(folder: Path) -> str:
    """A table over the points of every sweep in a folder, its figure, and where the points' reports are.

    Raises:
        ResultsError: the folder is no sweep's, no point has been run, or something of it is damaged.
    """
    parts = [f"# {folder.name}\n"]
    for sweep in results.read_sweeps(folder):
        points = read_points(folder, sweep)
        methods = dict.fromkeys(method for suite in points.values() for method in suite.methods)
        rows = [
            [f"[{label}]({sweep['points'][label]}/report.md)", *(_at_point(suite, method) for method in methods)]
            for label, suite in points.items()
        ]
        parts.append(f"## {sweep['environment']}, {sweep['sweep']}\n")
        parts.append(markdown_table([sweep["x_label"], *methods], rows))
        parts.append(f"{LEGEND}\n")
        parts.append(f"![{sweep_name(sweep)}]({sweep_name(sweep)}.png)\n")
    return "\n".join(parts)


def _at_point(suite: SuiteResults, method: str) -> str:
    """A method's cell in the table of a sweep; empty where the point was run without it."""
    if method not in suite.methods:
        return ""
    intervals = success_intervals(suite.table_rates(method))
    mark = f" {NOT_WHOLE}" if method in suite.runs.not_whole else ""
    return f"{with_interval(intervals.mean)}; {with_interval(intervals.worst)}{mark}"
