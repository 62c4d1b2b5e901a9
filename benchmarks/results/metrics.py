"""metrics.csv: what a run was like over its updates, long: stage, step, metric, value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pluralbench.benchmarks.results.names import ResultsError, check_text
from pluralbench.benchmarks.results.tables import read_table, write_table
from pluralbench.lines import shown

FILE = "metrics.csv"
COLUMNS = ("stage", "step", "metric", "value")
RATES = ("success", "answers")
"""Stages whose values are success rates: over updates, and over numbers of answers."""
STAGES = ("reward", "policy", *RATES)
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?|-?inf|nan")
"""As `write_metrics` writes them; a learner that diverged has metrics that are infinite or none at all."""
_MOST_STEPS = 1e15

Row = tuple[str, float, str, float]


def write_metrics(path: Path, rows: Sequence[Row]) -> None:
    """Writes (stage, step, metric, value) rows."""
    write_table(path, COLUMNS, ((stage, f"{step:.15g}", name, f"{value:.6g}") for stage, step, name, value in rows))


def read_metrics(path: Path) -> list[Row]:
    """Reads what `write_metrics` wrote.

    Raises:
        ResultsError: another or a damaged file; the message names the line.
    """
    rows: list[Row] = []
    seen: dict[tuple[str, float, str], int] = {}
    for line, cells in read_table(path, COLUMNS):
        try:
            row = _row(cells)
            before = seen.setdefault(row[:3], line)
            if before != line and row[0] in RATES:
                raise ResultsError(f"repeats line {before}")
        except ResultsError as error:
            raise ResultsError(f"{path}, line {line}: {error}") from error
        rows.append(row)
    return rows


def _row(cells: Sequence[str]) -> Row:
    stage, step_text, name, value_text = cells
    if stage not in STAGES:
        raise ResultsError(f"the stage must be one of {', '.join(STAGES)}, is {shown(stage)}")
    step, value = _number(step_text, "the step"), _number(value_text, "the value")
    if not 0 <= step <= _MOST_STEPS:
        raise ResultsError(f"the step must lie in 0 to {_MOST_STEPS:g}, is {shown(step_text)}")
    if stage in RATES and not 0 <= value <= 1:
        raise ResultsError(f"a success rate must lie in 0 to 1, is {shown(value_text)}")
    return stage, step, check_text(name, "the metric"), value


def _number(text: str, what: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ResultsError(f"{what} must be a number, is {shown(text)}")
    return float(text)
