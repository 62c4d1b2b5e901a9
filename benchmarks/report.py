"""The table that a person reads at the end, on the terminal and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from pluralbench.benchmarks import aggregate
from pluralbench.benchmarks.figures import FIGURES
from pluralbench.benchmarks.figures.diagnostics import diagnostics_table
from pluralbench.benchmarks.figures.suite import (
    SuiteResults,
    group_means,
    mean_success,
    of_method,
    read_suite,
    read_suites,
)
from pluralbench.files import read_json

BASELINE = "btl"
"""The method that knows no user from another; how often the others serve a user better is reported."""
ROLLOUTS = "rollouts"
"""What `figures.rollouts` draws is found under this name: `<environment>-rollouts.png`."""


@dataclass(frozen=True)
class MethodRow:
    """One method's line: test users of the groups that taught the reward, and apart from them those of other groups.

    Attributes:
        method: learner, scaling and policy.
        mean: success rate over users and seeds, with its 95 % interval.
        interquartile_mean: of the success rates of all users and seeds.
        worst: success rate of the worst-off group.
        worst_group: its name.
        gap: best minus worst group.
        better: probability that a user is served better than by `BASELINE`, ties counted half; None without it.
        accuracy: share of test users' further answers that the reward model predicts; None without a reward model.
        held_out: mean success rate of groups that taught nothing; None where there are none.
    """

    method: str
    mean: aggregate.Interval
    interquartile_mean: float
    worst: float
    worst_group: str
    gap: float
    better: float | None
    accuracy: float | None
    held_out: float | None


def method_rows(suite_folder: Path, environment: str) -> list[MethodRow]:
    """A row per method of one environment, in the experiment's order.

    Raises:
        ResultsError: the folder holds no results of it.
    """
    return _rows(read_suite(suite_folder, environment))


def _rows(suite: SuiteResults) -> list[MethodRow]:
    rows = []
    for method in suite.methods:
        rates = of_method(suite.taught, method) or of_method(suite.rates, method)
        others = of_method(suite.held_out, method)
        groups = group_means(rates)
        worst = aggregate.worst_group(groups)
        rows.append(
            MethodRow(
                method,
                mean_success(rates),
                aggregate.interquartile_mean([rate.success_rate for rate in rates]),
                groups[worst],
                worst,
                aggregate.gap(groups),
                _better(suite, method),
                _accuracy(suite, method),
                float(np.mean(list(group_means(others).values()))) if others else None,
            )
        )
    return rows


def _better(suite: SuiteResults, method: str) -> float | None:
    """P(better than `BASELINE`) over the users of the same seeds; None where the two share none."""
    own, baseline = (
        {(rate.seed, rate.user): rate.success_rate for rate in of_method(suite.taught, name)}
        for name in (method, BASELINE)
    )
    shared = [key for key in own if key in baseline]
    if method == BASELINE or not shared:
        return None
    return aggregate.probability_of_improvement([own[key] for key in shared], [baseline[key] for key in shared])


def _accuracy(suite: SuiteResults, method: str) -> float | None:
    paths = [suite.seed_file(method, seed, "summary.json") for seed in suite.seeds]
    models = [read_json(path).get("reward_model") or {} for path in paths if path.exists()]
    values = [float(model["accuracy"]) for model in models if model.get("accuracy") is not None]
    return float(np.mean(values)) if values else None


WORST_GROUP = "worst group"
COLUMNS: dict[str, Callable[[MethodRow], str]] = {
    "method": lambda row: row.method,
    "mean": lambda row: f"{row.mean.estimate:.2f}",
    "95 % interval": lambda row: f"{row.mean.low:.2f} to {row.mean.high:.2f}",
    "IQM": lambda row: f"{row.interquartile_mean:.2f}",
    WORST_GROUP: lambda row: f"{row.worst:.2f}, {textwrap.shorten(row.worst_group, 28, placeholder=' ...')}",
    "gap": lambda row: f"{row.gap:.2f}",
    f"beats {BASELINE}": lambda row: _or_blank(row.better, 2),
    "reward accuracy": lambda row: _or_blank(row.accuracy, 3),
    "held-out groups": lambda row: _or_blank(row.held_out, 2),
}
"""Title and text of each column; columns that are blank in every row are left out."""

LEGEND = (
    "Success rates are of test users, the sample over which the interval and the interquartile mean (IQM) are taken; "
    f"`beats {BASELINE}`: probability that a user is served better than by `{BASELINE}`, ties counted half; `reward "
    "accuracy`: share of a user's further answers that the reward model predicts."
)


def _or_blank(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _columns(rows: list[MethodRow]) -> dict[str, list[str]]:
    columns = {title: [text(row) for row in rows] for title, text in COLUMNS.items()}
    return {title: cells for title, cells in columns.items() if any(cells)}


def environments_of(suite_folder: Path) -> list[str]:
    """The environments that a suite's folder has results of."""
    return [suite.environment for suite in read_suites(suite_folder)]


def terminal_table(suite_folder: Path, environment: str) -> Table:
    """The rows as a rich table; names are shown as they stand, brackets and all."""
    title = Text(f"{environment}: success rate of test users")
    columns = _columns(method_rows(suite_folder, environment))
    tight = len(columns) == len(COLUMNS)  # all of them fit 80 characters only just
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0 if tight else 1, 0, 0)
    )
    for name in columns:
        gives_way = name == WORST_GROUP  # a narrow terminal cuts the longest names
        table.add_column(Text(name if gives_way else _in_two_lines(name)), no_wrap=not gives_way)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
    return table


def _in_two_lines(title: str) -> str:
    first, _, last = title.rpartition(" ")
    return f"{first}\n{last}" if first else title


def _markdown_table(suite: SuiteResults) -> str:
    """The rows as a Markdown table."""
    columns = _columns(_rows(suite))
    lines = [_markdown_row(columns), "|---" * len(columns) + "|"]
    lines += [_markdown_row(cells) for cells in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def markdown_report(suite_folder: Path) -> str:
    """Every environment's table with its figures and what made them; `report.md` of a suite."""
    parts = [f"# {suite_folder.name}\n"]
    for suite in read_suites(suite_folder):
        parts.append(f"## {suite.environment}\n\n{_markdown_table(suite)}\n{LEGEND}\n")
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
        paths = [suite.seed_file(method, seed, "config.json") for seed in suite.seeds]
        paths = [path for path in paths if path.exists()]
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
