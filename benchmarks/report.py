"""The table that a person reads at the end, on the terminal and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pluralbench.benchmarks import aggregate, results
from pluralbench.benchmarks.comparisons import ASK_NOBODY, SIGNIFICANT, Comparison, compare_methods, unfit
from pluralbench.benchmarks.figures import FIGURES
from pluralbench.benchmarks.figures.diagnostics import diagnostics_table, markdown_table
from pluralbench.benchmarks.figures.suite import (
    NOT_WHOLE,
    SuiteResults,
    group_means,
    of_method,
    read_suite,
    read_suites,
    seed_means,
    success_intervals,
)
from pluralbench.benchmarks.reporter import FILE_WIDTH

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
    reached: float  # mean success rate by the papers' rule: reached at any time
    reward_right: float | None  # share of users whose learned reward is right (`stages.blame`); None if unknown
    policy_right: float | None  # mean success rate of those users
    planned: float | None  # success of the best paths for the learned reward; None where nothing can be planned
    accuracy: float | None  # share of test users' further answers that the reward model predicts; None without a model
    held_out: float | None  # mean success rate of groups that taught nothing; None where there are none
    is_whole: bool = True  # none of its runs is missing, not finished or damaged


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
        reward_right, policy_right, planned = _blame(suite, method, {rate.group for rate in rates})
        rows.append(
            MethodRow(
                method,
                intervals.mean,
                aggregate.interquartile_mean([rate.success_rate for rate in rates]),
                intervals.worst,
                intervals.worst_group,
                intervals.gap,
                float(np.mean(seed_means(rates, reached=True))),
                reward_right,
                policy_right,
                planned,
                _accuracy(suite, method),
                float(np.mean(list(group_means(others).values()))) if others else None,
                method not in suite.runs.not_whole,
            )
        )
    return rows


def _accuracy(suite: SuiteResults, method: str) -> float | None:
    models = [summary["reward_model"] or {} for summary in suite.summaries(method)]
    values = [float(model["accuracy"]) for model in models if model.get("accuracy") is not None]
    return float(np.mean(values)) if values else None


def _blame(suite: SuiteResults, method: str, groups: Collection[str]) -> list[float | None]:
    """`reward_right`, `policy_right` and `planned_success`: means over seeds of the users of some groups."""
    summaries = [summary["users"] for summary in suite.summaries(method)]
    found: list[float | None] = []
    for name in ("reward_right", "policy_right", "planned_success"):
        by_seed = [[user.get(name) for user in users if user["group"] in groups] for users in summaries]
        known = [[float(value) for value in own if value is not None] for own in by_seed]
        means = [np.mean(own) for own in known if own]
        found.append(float(np.mean(means)) if means else None)
    return found


MEAN, INTERVAL, WORST_GROUP, GAP = "mean", "95 % interval", "worst group", "gap"
REACHED, REWARD_RIGHT, POLICY_RIGHT, PLANNED = "reached", "reward right", "policy right", "planned"
ACCURACY, HELD_OUT, IQM = "reward accuracy", "held-out groups", "IQM"
COLUMNS: dict[str, Callable[[MethodRow], str]] = {
    "method": lambda row: row.method if row.is_whole else f"{row.method} {NOT_WHOLE}",
    MEAN: lambda row: f"{row.mean.estimate:.2f}",
    INTERVAL: lambda row: " to ".join(_ends(row.mean)),
    REACHED: lambda row: f"{row.reached:.2f}",
    IQM: lambda row: f"{row.interquartile_mean:.2f}",
    WORST_GROUP: lambda row: f"{with_interval(row.worst)}, {row.worst_group}",
    GAP: lambda row: "" if row.gap is None else with_interval(row.gap),
    REWARD_RIGHT: lambda row: _or_blank(row.reward_right, 2),
    POLICY_RIGHT: lambda row: _or_blank(row.policy_right, 2),
    PLANNED: lambda row: _or_blank(row.planned, 2),
    ACCURACY: lambda row: _or_blank(row.accuracy, 3),
    HELD_OUT: lambda row: _or_blank(row.held_out, 2),
}
"""Title and text of each column; left out are those that are blank in every row, and `reached` where it is the mean."""
MARKDOWN_ONLY = (IQM, PLANNED, ACCURACY)
"""The terminal's table has no room for these."""

LEGEND = (
    "Success rates are of test users: a user is served where things are as the user wants them when the episode ends. "
    "Users are the sample of the interquartile mean (IQM) and of the 95 % intervals: seeds, users within groups and "
    "episodes are resampled, and intervals widened by how seeds differ and where few users failed or few succeeded."
)
NOTES = {
    REACHED: "success by the papers' rule, at any time in the episode",
    REWARD_RIGHT: "share of users whose best states under the learned reward are success states",
    POLICY_RIGHT: "success rate of those users",
    PLANNED: "success of the best path for the learned reward, planned exactly",
    ACCURACY: "share of a user's further answers that the reward model predicts",
}
"""What a column means, told where it is shown."""
TEST = (
    f"learners with one another and with {', '.join(ASK_NOBODY)}; the same users of the same seeds, sign-flip test, "
    f"Holm-corrected p < {SIGNIFICANT}"
)


def _or_blank(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _ends(interval: aggregate.Interval) -> tuple[str, str]:
    """Both ends with two decimals, or as many as tell them apart."""
    for decimals in range(2, 7):
        low, high = (f"{round(end, decimals) + 0.0:.{decimals}f}" for end in (interval.low, interval.high))
        if low != high:
            break
    return low, high


def with_interval(interval: aggregate.Interval, sign: str = "") -> str:
    """`0.99 [0.94, 1.00]`."""
    return f"{interval.estimate:{sign}.2f} [{', '.join(_ends(interval))}]"


def _columns(rows: list[MethodRow]) -> dict[str, list[str]]:
    columns = {title: [text(row) for row in rows] for title, text in COLUMNS.items()}
    if columns[REACHED] == columns[MEAN]:
        del columns[REACHED]
    return {title: cells for title, cells in columns.items() if any(cells)}


def _legend(columns: Collection[str]) -> str:
    notes = [f"`{title}`: {note}." for title, note in NOTES.items() if title in columns]
    return " ".join([LEGEND, *notes])


def environments_of(suite_folder: Path) -> list[str]:
    """The environments that a suite's folder has results of."""
    return results.environments_in(suite_folder)


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
    columns = {name: cells for name, cells in _columns(rows).items() if name not in MARKDOWN_ONLY}
    for name in columns:
        gives_way = name in (INTERVAL, WORST_GROUP, GAP)  # a narrow terminal breaks these into lines
        table.add_column(Text("\n".join(name.rsplit(" ", 1))), no_wrap=not gives_way)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*(Text(cell) for cell in cells))
    return table


def compare_lines(suite_folder: Path, environment: str) -> list[str]:
    """What stands under the terminal's table: runs that are missing or damaged, who beats whom, whether that counts.

    Nothing where all runs are whole, no pair is tested (`compare_methods`) and the oracle is fit or missing.

    Raises:
        ResultsError: the folder holds no results of the environment.
    """
    suite = read_suite(suite_folder, environment)
    lines = [f"{NOT_WHOLE} {line}" for line in suite.runs.lines]
    lines += [line] if (line := unfit(suite)) else []
    if comparisons := compare_methods(suite):
        lines.append(
            f"who beats whom ({TEST}, 95 % interval over seeds above 0): {_beaten_in_words(suite, comparisons)}"
        )
    return lines


def run_lines(suite_folder: Path) -> list[str]:
    """A line for whatever runs are missing or damaged, of every environment that can be read at all.

    Raises:
        ResultsError: the folder holds no results, or success_rates.csv is damaged.
    """
    lines = []
    for environment in environments_of(suite_folder):
        try:
            lines += [f"{environment}: {line}" for line in read_suite(suite_folder, environment).runs.lines]
        except results.ResultsError as error:
            lines.append(str(error))
    return lines


def _beaten_in_words(suite: SuiteResults, comparisons: Iterable[Comparison]) -> str:
    """`a, b > c, d; c > d`: methods that beat the same others over seeds stand together."""
    beaten: dict[str, set[str]] = {method: set() for method in suite.methods}
    for comparison in comparisons:
        if comparison.holds_over_seeds:
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
    claims = sorted((one for one in comparisons if one.holds), key=lambda one: not one.holds_over_seeds)
    lines += [f"- {_beats(one)}" for one in claims]
    others = [f"`{one.better}` and `{one.worse}`" for one in comparisons if not one.holds]
    if others:
        lines.append(f"- no difference that holds: {', '.join(others)}")
    return "\n".join(lines)


def _beats(comparison: Comparison) -> str:
    p = "p < 0.0001" if comparison.p < 1e-4 else f"p = {comparison.p:.4f}"
    difference = with_interval(comparison.difference, "+")
    seeds = "" if comparison.holds_over_seeds else " (of these models: over seeds the interval reaches 0)"
    return f"`{comparison.better}` beats `{comparison.worse}`: {difference}, {p}{seeds}"


def picture_names(environment: str) -> list[str]:
    """The pictures of one environment that a suite's folder may hold."""
    return [f"{environment}-{name}.png" for name in (*FIGURES, ROLLOUTS)]


def markdown_report(suite_folder: Path) -> str:
    """Every environment's table, who beats whom, its figures and what made them; `report.md` of a suite."""
    parts = [f"# {suite_folder.name}\n"]
    for suite in read_suites(suite_folder):
        columns = _columns(_rows(suite))
        table = markdown_table(columns, zip(*columns.values(), strict=True))
        parts.append(f"## {suite.environment}\n\n{table}")
        not_whole = "\n".join(f"- {NOT_WHOLE} {_escaped(line)}" for line in suite.runs.lines)
        parts += [f"{part}\n" for part in (not_whole, unfit(suite), _legend(columns), _who_beats_whom(suite)) if part]
        if table := diagnostics_table(suite):
            parts.append(f"What the reward models know of test users:\n\n{table}")
        parts += _made_by(suite)
        for name in picture_names(suite.environment):
            if (suite_folder / name).exists():
                parts.append(f"![{name.removesuffix('.png')}]({name})\n")
    return "\n".join(parts)


def _made_by(suite: SuiteResults) -> list[str]:
    """What made the numbers, and the files that hold every setting."""
    runs, files = set(), []
    for method in suite.methods:
        configs = suite.configs(method)
        paths = [results.seed_folder(suite.folder, suite.environment, method, seed) / "config.json" for seed in configs]
        files += [f"`{path.relative_to(suite.folder)}`" for path in paths[:1]]
        runs |= {_run_in_words(config) for config in configs.values()}
    return [f"Made by {'; '.join(sorted(runs))}. Every setting: {', '.join(files)}.\n"] if files else []


def _run_in_words(config: Mapping[str, Any]) -> str:
    commit, changed, _ = str(config["commit"]).partition("+changes")
    command, torch = " ".join(config["command"].split()), config["packages"].get("torch")
    return f"`{command}`, commit {commit[:12]}{changed}, torch {torch}, {config['machine']}, {config['device']}"


def _escaped(line: str) -> str:
    """A line as Markdown shows it, stars and brackets and all."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", line)
