"""The table that a person reads at the end, on the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pluralbench.benchmarks import aggregate
from pluralbench.benchmarks.comparisons import SIGNIFICANT, Comparison, compare_methods, unfit
from pluralbench.benchmarks.figures import FIGURES
from pluralbench.benchmarks.figures.diagnostics import diagnostics_table, markdown_table
from pluralbench.benchmarks.figures.suite import (
    SuiteResults,
    group_means,
    of_method,
    read_suite,
    read_suites,
    success_intervals,
)
from pluralbench.benchmarks.reporter import FILE_WIDTH
from pluralbench.files import read_json

SHORTEST_NAME = 10
"""Letters that a group's name keeps in the terminal's table."""
ROLLOUTS = "rollouts"
"""What `figures.rollouts` draws is found under this name: `<environment>-rollouts.png`."""


@dataclass(frozen=True)
class MethodRow:
    """One method's line: test users of the groups that taught the reward, and apart from them those of other groups."""

    method: str  # learner, scaling and policy
    mean: aggregate.Interval  # success rate over users and seeds, with its 95 % interval
    interquartile_mean: float  # of the success rates of all users and seeds
    worst: aggregate.Interval  # success rate of the worst-off group, with its 95 % interval
    worst_group: str  # its name
    gap: aggregate.Interval | None  # best minus worst group, with its 95 % interval; None where there is one group only
    accuracy: float | None  # share of test users' further answers that the reward model predicts; None without a model
    held_out: float | None  # mean success rate of groups that taught nothing; None where there are none


def method_rows(suite_folder: Path, environment: str) -> list[MethodRow]:
    """A row per method of one environment, in the experiment's order.

    Raises:
        ResultsError: the folder holds no results of it.
    """
    return _rows(read_suite(suite_folder, environment))


def _rows(suite: SuiteResults) -> list[MethodRow]:
    rows = []
    for method in suite.methods:
        rates, others = suite.table_rates(method), of_method(suite.held_out, method)
        intervals = success_intervals(rates)
        rows.append(
            MethodRow(
                method,
                intervals.mean,
                aggregate.interquartile_mean([rate.success_rate for rate in rates]),
                intervals.worst,
                intervals.worst_group,
                intervals.gap,
                _accuracy(suite, method),
                float(np.mean(list(group_means(others).values()))) if others else None,
            )
        )
    return rows


def _accuracy(suite: SuiteResults, method: str) -> float | None:
    models = [read_json(path).get("reward_model") or {} for path in suite.seed_files(method, "summary.json")]
    values = [float(model["accuracy"]) for model in models if model.get("accuracy") is not None]
    return float(np.mean(values)) if values else None


INTERVAL, WORST_GROUP, GAP = "95 % interval", "worst group", "gap"
COLUMNS: dict[str, Callable[[MethodRow], str]] = {
    "method": lambda row: row.method,
    "mean": lambda row: f"{row.mean.estimate:.2f}",
    INTERVAL: lambda row: " to ".join(_ends(row.mean)),
    "IQM": lambda row: f"{row.interquartile_mean:.2f}",
    WORST_GROUP: lambda row: f"{_with_interval(row.worst)}, {row.worst_group}",
    GAP: lambda row: "" if row.gap is None else _with_interval(row.gap),
    "reward accuracy": lambda row: _or_blank(row.accuracy, 3),
    "held-out groups": lambda row: _or_blank(row.held_out, 2),
}
"""Title and text of each column; columns that are blank in every row are left out."""

LEGEND = (
    "Success rates are of test users. They are the sample of the interquartile mean (IQM) and of the 95 % intervals: "
    "seeds, users within groups and episodes are resampled, and intervals widened where few users failed or few "
    "succeeded. `reward accuracy`: share of a user's further answers that the reward model predicts."
)
TEST = f"the same users of the same seeds, sign-flip test, Holm-corrected p < {SIGNIFICANT}"


def _or_blank(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _ends(interval: aggregate.Interval) -> tuple[str, str]:
    """Both ends with two decimals, or as many as tell them apart."""
    for decimals in range(2, 7):
        low, high = (f"{round(end, decimals) + 0.0:.{decimals}f}" for end in (interval.low, interval.high))
        if low != high:
            break
    return low, high


def _with_interval(interval: aggregate.Interval, sign: str = "") -> str:
    return f"{interval.estimate:{sign}.2f} [{', '.join(_ends(interval))}]"


def _columns(rows: list[MethodRow]) -> dict[str, list[str]]:
    columns = {title: [text(row) for row in rows] for title, text in COLUMNS.items()}
    return {title: cells for title, cells in columns.items() if any(cells)}


def environments_of(suite_folder: Path) -> list[str]:
    """The environments that a suite's folder has results of."""
    return [suite.environment for suite in read_suites(suite_folder)]


def terminal_table(suite_folder: Path, environment: str) -> Table:
    """The rows as a rich table of 120 columns at most, if need be with shortened names of groups.

    Names are shown as they stand, brackets and all.
    """
    rows = method_rows(suite_folder, environment)
    table = _table(environment, rows)
    excess = Console(width=10_000).measure(table).maximum - FILE_WIDTH
    if excess <= 0:
        return table
    names = [row.worst_group for row in rows]
    room = max(SHORTEST_NAME, max(map(len, names)) - excess)
    shortened = [name if len(name) <= room else f"{name[: room - 3].rstrip()}..." for name in names]
    return _table(environment, [replace(row, worst_group=name) for row, name in zip(rows, shortened, strict=True)])


def _table(environment: str, rows: list[MethodRow]) -> Table:
    title = Text(f"{environment}: success rate of test users")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    columns = _columns(rows)
    for name in columns:
        gives_way = name in (INTERVAL, WORST_GROUP, GAP)  # a narrow terminal breaks these into lines
        table.add_column(Text("\n".join(name.rsplit(" ", 1))), no_wrap=not gives_way)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*(Text(cell) for cell in cells))
    return table


def compare_lines(suite_folder: Path, environment: str) -> list[str]:
    """What stands under the terminal's table: which methods beat which, and whether they may be compared at all.

    Nothing where one method alone was run and the oracle is fit or missing.

    Raises:
        ResultsError: the folder holds no results of the environment.
    """
    suite = read_suite(suite_folder, environment)
    lines = [line] if (line := unfit(suite)) else []
    if comparisons := compare_methods(suite):
        lines.append(f"who beats whom ({TEST}): {_beaten_in_words(suite, comparisons)}")
    return lines


def _beaten_in_words(suite: SuiteResults, comparisons: Iterable[Comparison]) -> str:
    """`a, b > c, d; c > d`: methods that beat the same others stand together."""
    beaten: dict[str, set[str]] = {method: set() for method in suite.methods}
    for comparison in comparisons:
        if comparison.holds:
            beaten[comparison.better].add(comparison.worse)
    winners: dict[str, list[str]] = {}
    for method, others in beaten.items():
        if others:
            winners.setdefault(", ".join(name for name in suite.methods if name in others), []).append(method)
    return "; ".join(f"{', '.join(names)} > {others}" for others, names in winners.items()) or "no difference"


def _who_beats_whom(suite: SuiteResults) -> str:
    """The comparisons as a Markdown section; empty where there are none."""
    comparisons = compare_methods(suite)
    if not comparisons:
        return ""
    lines = [f"### Who beats whom\n\nBy the mean difference of success rates ({TEST} over {len(comparisons)} pairs):\n"]
    lines += [f"- {_beats(comparison)}" for comparison in comparisons if comparison.holds]
    others = [f"`{one.better}` and `{one.worse}`" for one in comparisons if not one.holds]
    if others:
        lines.append(f"- no difference that holds: {', '.join(others)}")
    return "\n".join(lines)


def _beats(comparison: Comparison) -> str:
    p = "p < 0.0001" if comparison.p < 1e-4 else f"p = {comparison.p:.4f}"
    difference = _with_interval(comparison.difference, "+")
    seeds = "" if comparison.difference.low > 0 else " (of these models: over seeds the interval reaches 0)"
    return f"`{comparison.better}` beats `{comparison.worse}`: {difference}, {p}{seeds}"


def markdown_report(suite_folder: Path) -> str:
    """Every environment's table, who beats whom, its figures and what made them; `report.md` of a suite."""
    parts = [f"# {suite_folder.name}\n"]
    for suite in read_suites(suite_folder):
        columns = _columns(_rows(suite))
        table = markdown_table(columns, zip(*columns.values(), strict=True))
        parts.append(f"## {suite.environment}\n\n{table}")
        parts += [f"{part}\n" for part in (unfit(suite), LEGEND, _who_beats_whom(suite)) if part]
        if table := diagnostics_table(suite):
            parts.append(f"What the reward models know of test users:\n\n{table}")
        parts += _made_by(suite)
        for name in (*FIGURES, ROLLOUTS):
            png = suite_folder / f"{suite.environment}-{name}.png"
            if png.exists():
                parts.append(f"![{png.stem}]({png.name})\n")
    return "\n".join(parts)


def _made_by(suite: SuiteResults) -> list[str]:
    """What made the numbers, and the files that hold every setting."""
    runs, files = set(), []
    for method in suite.methods:
        paths = suite.seed_files(method, "config.json")
        files += [f"`{path.relative_to(suite.folder)}`" for path in paths[:1]]
        runs |= {_run_in_words(path) for path in paths}
    return [f"Made by {'; '.join(sorted(runs))}. Every setting: {', '.join(files)}.\n"] if files else []


def _run_in_words(path: Path) -> str:
    config = read_json(path)
    commit, changed, _ = str(config.get("commit")).partition("+changes")
    packages = config.get("packages") or {}
    return (
        f"`{config.get('command')}`, commit {commit[:12]}{changed}, torch {packages.get('torch')}, "
        f"{config.get('machine')}, {config.get('device')}"
    )
