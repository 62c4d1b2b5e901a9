"""Runs the points of a sweep one after another and draws success over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from pluralbench.benchmarks import results
from pluralbench.benchmarks.figures import method_order
from pluralbench.benchmarks.pipeline import run_experiment
from pluralbench.benchmarks.progress import Reporter
from pluralbench.benchmarks.style import STYLE, line_style, save
from pluralbench.benchmarks.sweeps import SWEEPS, Sweep


def run_sweep(
    name: str, preset: str, out: Path, device: str, data_dir: Path | None, resume: bool, reporter: Reporter
) -> Path:
    """Runs the benchmark once for each point and draws the figure; returns the figure."""
    sweep = SWEEPS[name]
    folders = {}
    for label, experiment in sweep.experiments(preset).items():
        suite = f"{name}-{preset}/{label.replace(':', '-')}"
        reporter.say(f"{sweep.x_label}: {label}")
        folders[label] = run_experiment(replace(experiment, suite=suite), out, device, data_dir, resume, reporter)
    return draw_sweep(sweep, folders, out / f"{name}-{preset}" / name)


def draw_sweep(sweep: Sweep, folders: dict[str, Path], stem: Path) -> Path:
    """Success of new users as lines, the seeds' range as bands; held-out groups as diamonds, worst groups dotted."""
    rates = {label: results.read_success_rates(folder) for label, folder in folders.items()}
    folder, first = next(iter(folders.values())), next(iter(rates.values()))
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(4.6, 3.0))
        for position, method in enumerate(method_order(folder, first[0].environment, first)):
            own = [[rate for rate in point if rate.method == method] for point in rates.values()]
            draw_method(axes, own, method, position, sweep.worst_group)
        axes.set_xticks(range(len(folders)), list(folders))
        axes.set_xlabel(sweep.x_label)
        axes.set_ylabel("success rate")
        axes.set_ylim(-0.02, 1.04)
        notes = "; dotted: worst group" if sweep.worst_group else ""
        notes += "; diamonds: held-out groups" if any(r.of_held_out_group for p in rates.values() for r in p) else ""
        axes.set_title(f"{first[0].environment}{notes}", loc="left", fontsize=8.5)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
        return save(figure, stem)


def draw_method(
    axes: Axes, points: Sequence[Sequence[results.SuccessRate]], method: str, position: int, worst_group: bool
) -> None:
    """One method's lines over the points, each a list of its rates; held-out groups are never the worst one."""
    with_train_users = [[rate for rate in point if not rate.of_held_out_group] for point in points]
    known = [_by_seed(point) for point in with_train_users]
    style = line_style(position)
    x = range(len(points))
    axes.plot(x, [np.mean(seeds) for seeds in known], marker="o", markersize=4, label=method, **style)
    low, high = [min(seeds) for seeds in known], [max(seeds) for seeds in known]
    axes.fill_between(x, low, high, color=style["color"], alpha=0.15, linewidth=0)
    others = [[rate for rate in point if rate.of_held_out_group] for point in points]
    held_out = {place: float(np.mean(_by_seed(point))) for place, point in enumerate(others) if point}
    axes.scatter(list(held_out), list(held_out.values()), marker="D", facecolor="none", edgecolor=style["color"], s=30)
    if worst_group:
        axes.plot(x, [_worst(point) for point in with_train_users], **{**style, "linestyle": ":"})


def _worst(rates: Sequence[results.SuccessRate]) -> float:
    groups = {rate.group for rate in rates}
    return min(float(np.mean(_by_seed([rate for rate in rates if rate.group == group]))) for group in groups)


def _by_seed(rates: Sequence[results.SuccessRate]) -> list[float]:
    return [
        float(np.mean([rate.success_rate for rate in rates if rate.seed == seed]))
        for seed in sorted({rate.seed for rate in rates})
    ]
