"""The figure of the didactic experiment: the four groups above, DPL's hidden context below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from numpy.typing import NDArray

from pluralbench.benchmarks.figures.style import PALETTE, save, style

Values = NDArray[np.float64]
Curves = dict[str, Values]

GREY = "0.55"
LINE = PALETTE[0]
SECOND = PALETTE[1]


def draw_didactic(gaussians: Curves, context: Curves, stem: Path, threshold: float = 0.8) -> Path:
    """Draws eight panels into `stem`.png and `stem`.pdf; returns the former.

    Args:
        gaussians: `points` (N,), `utilities` (4, N), `true_chance` (4, N), `btl` and `vpl` (4, N), `vpl_users` (U, N),
            `vpl_groups` (U,), `dpl_mean` and `dpl_std` (N,).
        context: `points`, `mean`, `std`, `borda`, `btl`, `dpl-meanvar_mean`, `dpl-meanvar_std`, each (N,), and `atoms`
            (N, A).
        stem: path without an ending.
        threshold: outcomes from here on are worth double or nothing.
    """
    with style():
        figure = Figure(figsize=(11.5, 5.0))
        axes = figure.subplots(2, 4)
        figure.set_layout_engine("constrained", wspace=0.04, hspace=0.08)
        _draw_gaussians(axes[0], gaussians)
        _draw_context(axes[1], context, threshold)
        for ax in axes.flat:
            ax.set_xlim(0, 1)
            ax.set_xticks([0, 0.5, 1])
        return save(figure, stem)


def _draw_gaussians(axes: NDArray[np.object_], curves: Curves) -> None:
    points = curves["points"]
    wanted, averaged, spread, personal = axes
    for group, row in enumerate(curves["utilities"]):
        wanted.plot(points, row, color=PALETTE[group], lw=2)
        wanted.text(points[row.argmax()], 1.03, f"{group + 1}", color=PALETTE[group], ha="center", weight="bold")
    _label(wanted, "Four groups want four places", "true utility", (0, 1.15))

    averaged.plot(points, curves["true_chance"].mean(0), color=GREY, lw=2, ls="--", label="average of all users")
    averaged.plot(points, curves["btl"][0], color=LINE, lw=2, label="btl")
    averaged.legend(loc="upper center", ncols=1)
    _label(averaged, "BTL: one average for all users", "chance of being preferred", (0, 1.15))

    _band(spread, points, curves["dpl_mean"], curves["dpl_std"], None)
    _label(spread, "DPL: the average, and its spread", "utility, mean ± std", None)

    for row, group in zip(curves["vpl_users"], curves["vpl_groups"].astype(int), strict=True):
        personal.plot(points, row, color=PALETTE[group], lw=0.6, alpha=0.35)
    for group, row in enumerate(curves["vpl"]):
        personal.plot(
            points, curves["true_chance"][group], color=GREY, lw=1.5, ls="--", label="truth" if not group else None
        )
        personal.plot(points, row, color=PALETTE[group], lw=2)
    personal.legend(loc="upper right", borderaxespad=0)
    _label(personal, "VPL: test users, 16 answers each", "chance of being preferred", (0, 1.15))


def _draw_context(axes: NDArray[np.object_], curves: Curves, threshold: float) -> None:
    points = curves["points"]
    worth, borda, spread, atoms = axes
    below, above = points < threshold, points >= threshold
    worth.plot(points[below], points[below], color=LINE, lw=2)
    worth.plot(points[above], 2 * points[above], color=LINE, lw=2)
    worth.plot(points[above], 0 * points[above], color=LINE, lw=2, clip_on=False)
    worth.plot(points, curves["mean"], color=GREY, lw=1.5, ls="--")
    worth.text(0.77, 1.75, "half the time", ha="right", va="center")
    worth.text(0.77, 0.1, "half the time", ha="right", va="center")
    worth.text(0.4, 0.55, "expected", ha="right", color="0.4")
    _label(worth, f"Above {threshold:g}: double or nothing", "true utility", (0, 2.1))

    borda.plot(points, curves["mean"], color=GREY, lw=1.5, ls="--", label="expected utility")
    borda.plot(points, curves["borda"], color=SECOND, lw=3, alpha=0.6, label="Borda count")
    borda.plot(points, curves["btl"], color=LINE, lw=1.5, label="btl")
    borda.legend(loc="upper left", borderaxespad=0)
    _label(borda, "BTL follows the Borda count", "chance of being preferred", (0, 1.15))

    _band(spread, points, curves["dpl-meanvar_mean"], curves["dpl-meanvar_std"], (-1, 2))
    _label(spread, "DPL, mean and variance", "utility, mean ± std", None)

    atoms.imshow(
        curves["atoms"].T, origin="lower", aspect="auto", extent=(0, 1, 0, 1), cmap="Blues", vmin=0, vmax=1,
        interpolation="nearest",
    )  # fmt: skip
    _label(atoms, "DPL, categorical", "utility, probability", (0, 1))


def _band(ax: Axes, points: Values, mean: Values, std: Values, ylim: tuple[float, float] | None) -> None:
    """Mean and one standard deviation to either side, in units of the mean's range; a band may leave the axes."""
    scale = np.ptp(mean)
    mean, std = (mean - mean.min()) / scale, std / scale
    ax.fill_between(points, mean - std, mean + std, color=LINE, alpha=0.2, lw=0)
    ax.plot(points, mean, color=LINE, lw=2)
    ax.yaxis.set_major_locator(MultipleLocator(1))
    if ylim is not None:
        ax.set_ylim(*ylim)


def _label(ax: Axes, title: str, ylabel: str, ylim: tuple[float, float] | None) -> None:
    ax.set_title(title, loc="left")
    ax.set_ylabel(ylabel)
    ax.set_xlabel("outcome")
    if ylim is not None:
        ax.set_ylim(*ylim)
