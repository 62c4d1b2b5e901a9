"""What a person reads of a sweep: a table over its points, and where the report of each of these is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from pluralbench.benchmarks import results
from pluralbench.benchmarks.figures.diagnostics import markdown_table
from pluralbench.benchmarks.figures.suite import NOT_WHOLE, SuiteResults, success_intervals
from pluralbench.benchmarks.figures.sweep import missing_points, read_points, sweep_name
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
        titles, rows = _cells(folder, sweep)
        linked = [[f"[{label}]({sweep['points'][label]}/report.md)", *cells] for label, *cells in rows]
        parts.append(f"## {sweep['environment']}, {sweep['sweep']}\n")
        parts.append(markdown_table(titles, linked))
        parts += [f"{line}\n" for line in missing_lines(folder, sweep)]
        parts.append(f"{LEGEND}\n")
        parts.append(f"![{sweep_name(sweep)}]({sweep_name(sweep)}.png)\n")
    return "\n".join(parts)


def terminal_sweep(folder: Path, sweep: Mapping[str, Any]) -> Table:
    """The same table for the terminal; raises as `markdown_sweeps`."""
    title = Text(f"{sweep['environment']}, {sweep['sweep']}: success rate of test users; of the worst-off group")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    titles, rows = _cells(folder, sweep)
    for name in titles:
        table.add_column(Text(name))
    for cells in rows:
        table.add_row(*(Text(cell.replace("; ", ";\n")) for cell in cells))
    return table


def missing_lines(folder: Path, sweep: Mapping[str, Any]) -> list[str]:
    """A line that names the points that have not been run; none where all have."""
    missing = missing_points(folder, sweep)
    return [f"{sweep['environment']}, {sweep['sweep']}: not run: {', '.join(missing)}"] if missing else []


def _cells(folder: Path, sweep: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Titles, and a row for each point that has been run: its label and a cell for each method."""
    points = read_points(folder, sweep)
    methods = dict.fromkeys(method for suite in points.values() for method in suite.methods)
    rows = [[label, *(_at_point(suite, method) for method in methods)] for label, suite in points.items()]
    return [sweep["x_label"], *methods], rows


def _at_point(suite: SuiteResults, method: str) -> str:
    """A method's cell in the table of a sweep; empty where the point was run without it."""
    if method not in suite.methods:
        return ""
    intervals = success_intervals(suite.table_rates(method))
    mark = f" {NOT_WHOLE}" if method in suite.runs.not_whole else ""
    return f"{with_interval(intervals.mean)}; {with_interval(intervals.worst)}{mark}"
