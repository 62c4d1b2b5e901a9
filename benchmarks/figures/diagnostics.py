"""What a suite's reward models know of test users: accuracy by answers, calibration, and the numbers as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pluralbench.benchmarks.figures.looks import look_of
from pluralbench.benchmarks.figures.style import TITLE_SIZE, legend_beside
from pluralbench.benchmarks.figures.suite import SuiteResults, learner_of
from pluralbench.benchmarks.results import ResultsError

MEASURES = (
    ("accuracy", ("accuracy",)),
    ("on conflicting pairs", ("accuracy_conflicting",)),
    ("NLL", ("nll",)),
    ("ECE", ("calibration", "ece")),
    ("rank correlation", ("rank_correlation", "mean")),
    ("of the worst group", ("rank_correlation", "worst_group")),
    ("KL", ("latents", "kl")),
    ("active units", ("latents", "active_units")),
    ("probe", ("latents", "probe")),
    ("groups found", ("latents", "cluster_recovery")),
)
"""Columns of the table: title, and where summary.json's `reward_model` has the number."""


def learner_diagnostics(suite: SuiteResults) -> dict[str, list[Mapping[str, Any]]]:
    """The diagnostics of every learner, one per seed; methods that differ in scaling or policy alone share them."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for method in suite.methods:
        seeds = [summary["reward_model"] for summary in suite.summaries(method)]
        found[learner_of(method)] = found.get(learner_of(method)) or [seed for seed in seeds if seed]
    return {learner: seeds for learner, seeds in found.items() if seeds}


def diagnostics_figure(suite: SuiteResults) -> Figure | None:
    """Accuracy on further answers against the number of answers, and the reliability diagram, a line per learner."""
    diagnostics = learner_diagnostics(suite)
    if not diagnostics:
        return None
    figure = Figure(figsize=(8.0, 3.0))
    by_answers, reliability = figure.subplots(1, 2)
    for learner, seeds in diagnostics.items():
        look = look_of(learner, suite.methods)
        _accuracy_line(by_answers, seeds, look, learner)
        _reliability_line(reliability, seeds, look, learner)
    by_answers.set_xscale("log", base=2)
    by_answers.xaxis.set_major_formatter("{x:.0f}")
    by_answers.set_xlabel("answers of the test user")
    by_answers.set_ylabel("accuracy on further answers")
    by_answers.set_ylim(0.45, 1.02)
    by_answers.set_title(f"{suite.environment}: mean over seeds and test users", loc="left", fontsize=TITLE_SIZE)
    reliability.plot([0.5, 1], [0.5, 1], color="#9AA3AB", linewidth=0.8, zorder=0)
    reliability.set_xlabel("confidence")
    reliability.set_ylabel("accuracy")
    reliability.set_ylim(-0.02, 1.02)
    reliability.set_title("reliability; larger dots: more answers", loc="left", fontsize=TITLE_SIZE)
    legend_beside(reliability)
    figure.subplots_adjust(wspace=0.3)
    return figure


def _accuracy_line(axes: Axes, seeds: Sequence[Mapping[str, Any]], look: dict[str, Any], learner: str) -> None:
    """Over the numbers of answers at which the accuracy of every seed is known."""
    by_seed = [
        {int(size): value for size, value in seed["accuracy_by_answers"].items() if value is not None} for seed in seeds
    ]
    sizes = sorted(set.intersection(*map(set, by_seed)))
    means = [float(np.mean([own[size] for own in by_seed])) for size in sizes]
    axes.plot(sizes, means, label=learner, **look)


def _reliability_line(axes: Axes, seeds: Sequence[Mapping[str, Any]], look: dict[str, Any], learner: str) -> None:
    """Bins of all seeds together, each weighed by its answers."""
    bins = [seed["calibration"]["bins"] for seed in seeds]
    if len({len(own) for own in bins}) > 1:
        raise ResultsError(f"the seeds of {learner} have {sorted({len(own) for own in bins})} bins of calibration")
    counts, confidence, accuracy = (
        np.array([[bin_[key] or 0.0 for bin_ in own] for own in bins], dtype=np.float64)
        for key in ("count", "confidence", "accuracy")
    )
    total = counts.sum(0)
    kept = total > 0
    x, y = ((counts * part).sum(0)[kept] / total[kept] for part in (confidence, accuracy))
    axes.plot(x, y, label=learner, **{**look, "marker": ""})
    axes.scatter(x, y, s=4 + 40 * total[kept] / max(total.sum(), 1), color=look["color"])


def diagnostics_table(suite: SuiteResults) -> str:
    """`MEASURES` of every learner as a Markdown table, means over seeds; empty where nothing was diagnosed."""
    diagnostics = learner_diagnostics(suite)
    if not diagnostics:
        return ""
    rows = ([learner, *(_mean(seeds, path) for _, path in MEASURES)] for learner, seeds in diagnostics.items())
    return markdown_table(["learner", *(title for title, _ in MEASURES)], rows)


def markdown_table(titles: Collection[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; bars in its cells are escaped."""
    head, *body = ("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in (titles, *rows))
    return "\n".join([head, "|---" * len(titles) + "|", *body]) + "\n"


def _mean(seeds: Sequence[Mapping[str, Any]], path: Sequence[str]) -> str:
    values = []
    for seed in seeds:
        value: Any = seed
        for key in path:
            value = (value or {}).get(key)
        if value is not None:
            values.append(float(value))
    return f"{np.mean(values):.3g}" if values else ""
