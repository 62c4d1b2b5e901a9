"""Time against workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from pluralbench.benchmarks.figures.style import line_style, save, style

HOUR = 3600.0


def draw_forecast(seconds: Mapping[str, Mapping[int, float]], title: str, stem: Path) -> Path:
    """Draws `forecast_figure` into `stem`.png and .pdf; returns the former."""
    with style():
        return save(forecast_figure(seconds, title), stem)


def forecast_figure(seconds: Mapping[str, Mapping[int, float]], title: str) -> Figure:
    """Hours until all is done by the number of workers, a line each; dotted, what one worker takes shared evenly."""
    figure = Figure(figsize=(4.6, 3.2))
    axes = figure.subplots()
    workers: Sequence[int] = list(next(iter(seconds.values())))
    for position, (label, own) in enumerate(seconds.items()):
        axes.plot(workers, [own[num] / HOUR for num in workers], marker="o", markersize=4, label=label,
                  **line_style(position))  # fmt: skip
    most = max(own[workers[0]] for own in seconds.values()) * workers[0] / HOUR
    axes.plot(workers, [most / num for num in workers], color="0.5", linestyle=":", linewidth=1, label="evenly shared")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(workers, [str(num) for num in workers])
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("workers")
    axes.set_ylabel("hours")
    axes.set_title(title, loc="left", fontsize=8.5)
    axes.legend(fontsize=8)
    return figure
