"""The table that a person reads at the end, on the terminal and as Markdown."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from pluralbench.benchmarks import aggregate, results
from pluralbench.benchmarks.diagnostics_figure import diagnostics_table
from pluralbench.benchmarks.figures import group_scores, method_order, success_by_user

COLUMNS = ("method", "mean", "95 % interval", "IQM", "worst group", "gap", "held-out accuracy")
HELD_OUT_COLUMN = "held-out groups"


@dataclass(frozen=True)
class MethodRow:
    """One method's line: new users of the groups that taught the reward, and apart from them those of other groups.

    Attributes:
        method: learner, scaling and policy.
        mean: success rate over users and seeds, with its 95 % interval.
        interquartile_mean: over seeds and groups.
        worst: success rate of the worst-off group.
        worst_group: its name.
        gap: best minus worst group.
        held_out_groups: mean success rate of groups that no train user belongs to; None where there are none.
        accuracy: share of held-out users' answers that the reward model foresees.
    """

    method: str
    mean: aggregate.Interval
    interquartile_mean: float
    worst: float
    worst_group: str
    gap: float
    held_out_groups: float | None
    accuracy: float | None


def method_rows(suite_folder: Path, environment: str) -> list[MethodRow]:
    """A row per method of one environment, in the experiment's order."""
    every = [rate for rate in results.read_success_rates(suite_folder) if rate.environment == environment]
    rates = [rate for rate in every if not rate.of_held_out_group] or every
    others = [rate for rate in every if rate.of_held_out_group]
    rows = []
    for method in method_order(suite_folder, environment, every):
        scores, groups = group_scores(rates, method)
        successes, episodes = success_by_user(rates, method)
        by_group = scores.mean(axis=0)
        rows.append(
            MethodRow(
                method,
                aggregate.nested_bootstrap(successes, episodes, np.random.default_rng(0)),
                float(aggregate.interquartile_mean(scores)),
                float(aggregate.worst_column(scores)),
                groups[int(by_group.argmin())],
                float(aggregate.gap(scores)),
                float(group_scores(others, method)[0].mean()) if others else None,
                _accuracy(suite_folder, environment, method),
            )
        )
    return rows


def _accuracy(suite_folder: Path, environment: str, method: str) -> float | None:
    values = []
    for path in sorted((suite_folder / environment / method).glob("seed_*/summary.json")):
        value = results.read_json(path).get("reward_model", {}).get("accuracy")
        if value is not None:
            values.append(float(value))
    return float(np.mean(values)) if values else None


def environments_of(suite_folder: Path) -> list[str]:
    """The environments that a suite's folder has results of."""
    return list(dict.fromkeys(rate.environment for rate in results.read_success_rates(suite_folder)))


def terminal_table(suite_folder: Path, environment: str) -> Table:
    """The rows as a rich table."""
    table = Table(title=f"{environment}: success rate of new users", title_justify="left")
    rows = method_rows(suite_folder, environment)
    for column in _columns(rows):
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def markdown_table(suite_folder: Path, environment: str) -> str:
    """The rows as a Markdown table."""
    rows = method_rows(suite_folder, environment)
    columns = _columns(rows)
    header = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    return header + "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows)


def _columns(rows: list[MethodRow]) -> tuple[str, ...]:
    return COLUMNS if all(row.held_out_groups is None for row in rows) else (*COLUMNS, HELD_OUT_COLUMN)


def _cells(row: MethodRow) -> tuple[str, ...]:
    cells = (
        row.method,
        f"{row.mean.estimate:.2f}",
        f"{row.mean.low:.2f} to {row.mean.high:.2f}",
        f"{row.interquartile_mean:.2f}",
        f"{row.worst:.2f}, {textwrap.shorten(row.worst_group, 28, placeholder=' ...')}",
        f"{row.gap:.2f}",
        "" if row.accuracy is None else f"{row.accuracy:.3f}",
    )
    return cells if row.held_out_groups is None else (*cells, f"{row.held_out_groups:.2f}")


def markdown_report(suite_folder: Path) -> str:
    """Every environment's table with its figures and what made them; `report.md` of a suite."""
    parts = [f"# {suite_folder.name}\n"]
    for environment in environments_of(suite_folder):
        parts.append(f"## {environment}\n\n{markdown_table(suite_folder, environment)}")
        order = method_order(suite_folder, environment, results.read_success_rates(suite_folder))
        if table := diagnostics_table(suite_folder, environment, order):
            parts.append(f"What the reward models know of new users:\n\n{table}")
        configs = sorted((suite_folder / environment).glob("*/seed_*/config.json"))
        made_by = {
            f"`{config.get('command')}`, commit {str(config.get('commit'))[:12]}, torch "
            f"{(config.get('packages') or {}).get('torch')}, {config.get('machine')}, {config.get('device')}"
            for config in map(results.read_json, configs)
        }
        parts.append("Made by " + "; ".join(sorted(made_by)) + ".\n")
        for png in sorted(suite_folder.glob(f"{environment}-*.png")):
            parts.append(f"![{png.stem}]({png.name})\n")
    return "\n".join(parts)
