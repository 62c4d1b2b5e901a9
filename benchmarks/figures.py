"""The figures, drawn from the files of a suite's folder alone: any can be drawn again without running anything."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pluralbench.benchmarks import aggregate, results
from pluralbench.benchmarks.diagnostics_figure import diagnostics_figure
from pluralbench.benchmarks.reward_maps import load_arrays
from pluralbench.benchmarks.style import PALETTE, STYLE, line_style, save


def draw_all(suite_folder: Path) -> list[Path]:
    """Draws every figure for which the folder has the numbers; returns the PNG files."""
    rates = results.read_success_rates(suite_folder)
    written: list[Path] = []
    with mpl.rc_context(STYLE):
        for environment in dict.fromkeys(rate.environment for rate in rates):
            own = [rate for rate in rates if rate.environment == environment]
            order = method_order(suite_folder, environment, own)
            figures = {
                "success": success_figure(own, order),
                "curves": curves_figure(suite_folder, environment, order, sorted({rate.seed for rate in own})),
                "diagnostics": diagnostics_figure(suite_folder, environment, order),
                "answers": answers_figure(suite_folder, environment, order, sorted({rate.seed for rate in own})),
                "reward-maps": reward_maps_figure(suite_folder / f"{environment}-reward-maps.npz"),
                "latents": latents_figure(suite_folder / f"{environment}-latents.npz"),
            }
            written += [save(f, suite_folder / f"{environment}-{name}") for name, f in figures.items() if f is not None]
    return written


def method_order(suite_folder: Path, environment: str, rates: Sequence[results.SuccessRate]) -> list[str]:
    """The methods in the order of the experiment, those of other runs after them."""
    found = sorted({rate.method for rate in rates})
    path = suite_folder / environment / "experiment.json"
    if not path.exists():
        return found
    named = [method.removesuffix("@none").replace("+none", "") for method in results.read_json(path).get("methods", [])]
    return [m for m in named if m in found] + [m for m in found if m not in named]


def group_scores(rates: Sequence[results.SuccessRate], method: str) -> tuple[NDArray[np.float64], list[str]]:
    """(R, C) success of each seed and group of one method, its users averaged; and the groups' names."""
    own = [rate for rate in rates if rate.method == method]
    groups = list(dict.fromkeys(rate.group for rate in own))
    seeds = sorted({rate.seed for rate in own})
    scores = [
        [np.mean([r.success_rate for r in own if r.seed == seed and r.group == group]) for group in groups]
        for seed in seeds
    ]
    return np.asarray(scores, dtype=np.float64), groups


def success_by_user(rates: Sequence[results.SuccessRate], method: str) -> tuple[list[NDArray[np.int64]], int]:
    """For every seed the successes of each user, and how many episodes each had."""
    own = [rate for rate in rates if rate.method == method]
    seeds = sorted({rate.seed for rate in own})
    return [np.array([r.successes for r in own if r.seed == seed]) for seed in seeds], own[0].episodes


def success_figure(rates: Sequence[results.SuccessRate], methods: Sequence[str]) -> Figure:
    """Mean success of each method with a 95 % interval, and each group's as a dot, held-out groups' hollow."""
    known = [rate for rate in rates if not rate.of_held_out_group] or list(rates)
    figure, axes = plt.subplots(figsize=(1.6 + 0.85 * len(methods), 3.0))
    groups = list(dict.fromkeys(rate.group for rate in rates))
    for x, method in enumerate(methods):
        successes, episodes = success_by_user(known, method)
        interval = aggregate.nested_bootstrap(successes, episodes, np.random.default_rng(0))
        axes.bar(x, interval.estimate, width=0.62, color="#D9DEE4", edgecolor="#5B6670", linewidth=0.8, zorder=1)
        error = [[max(0.0, interval.estimate - interval.low)], [max(0.0, interval.high - interval.estimate)]]
        axes.errorbar(x, interval.estimate, yerr=error, color="#30363C", capsize=3, linewidth=1.2, zorder=2)
        scores, names = group_scores(rates, method)
        for score, name in zip(scores.mean(axis=0), names, strict=True):
            _group_dot(axes, x, float(score), name, groups, labelled=x == 0)
    few = len(methods) < 6
    axes.set_xticks(range(len(methods)), methods, rotation=0 if few else 30, ha="center" if few else "right")
    axes.set_ylim(-0.02, 1.04)
    axes.set_ylabel("success rate for the user's own goal")
    seeds = len({rate.seed for rate in rates})
    users = len({(rate.seed, rate.user) for rate in known})
    seeds_in_words = f"{seeds} seed{'s' if seeds > 1 else ''}"
    title = f"{rates[0].environment}, {rates[0].population}: {seeds_in_words}, {users} new users"
    axes.set_title(f"{title}, {rates[0].episodes} episodes each", loc="left", fontsize=8.5)
    if len(groups) <= 20:
        axes.legend(title="group of users", loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, title_fontsize=8)
    return figure


def _group_dot(axes: Axes, x: float, score: float, name: str, groups: Sequence[str], labelled: bool) -> None:
    place = groups.index(name)
    offset = 0.0 if len(groups) == 1 else 0.44 * (place / (len(groups) - 1) - 0.5)
    colour = PALETTE[place % len(PALETTE)]
    hollow = name.startswith("held-out")
    marker = "D" if hollow else "os^"[place // len(PALETTE) % 3]
    axes.scatter(
        x + offset, score, s=22, zorder=3, marker=marker, linewidth=1.0 if hollow else 0.5,
        facecolor="none" if hollow else colour, edgecolor=colour if hollow else "white",
        label=name if labelled else None,
    )  # fmt: skip


def curves_figure(suite_folder: Path, environment: str, methods: Sequence[str], seeds: Sequence[int]) -> Figure | None:
    """Success over training: the mean over seeds and users as a line, the seeds' range as a band."""
    figure, axes = plt.subplots(figsize=(5.2, 3.0))
    if not _draw_curves(axes, suite_folder, environment, methods, seeds, "success"):
        plt.close(figure)
        return None
    axes.set_xlabel("updates of the policy")
    axes.set_xlim(left=0)
    axes.set_title(f"{environment}: mean over users, band from lowest to highest seed", loc="left", fontsize=8.5)
    return figure


def answers_figure(suite_folder: Path, environment: str, methods: Sequence[str], seeds: Sequence[int]) -> Figure | None:
    """Success against the number of answers by which a new user is known, for the methods that read them."""
    figure, axes = plt.subplots(figsize=(4.2, 2.8))
    if not _draw_curves(axes, suite_folder, environment, methods, seeds, "answers"):
        plt.close(figure)
        return None
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel("answers of the new user")
    axes.set_title(f"{environment}: mean over users, band from lowest to highest seed", loc="left", fontsize=8.5)
    return figure


def _draw_curves(
    axes: Axes, suite_folder: Path, environment: str, methods: Sequence[str], seeds: Sequence[int], stage: str
) -> bool:
    """A line per method of the metric `mean` of `stage`; False where no method has at least two points."""
    drawn = False
    for position, method in enumerate(methods):
        by_seed = []
        for seed in seeds:
            path = results.seed_folder(suite_folder, environment, method, seed) / "metrics.csv"
            if path.exists():
                rows = results.read_metrics(path)
                by_seed.append({step: value for where, step, name, value in rows if (where, name) == (stage, "mean")})
        steps = sorted(set.intersection(*(set(curve) for curve in by_seed))) if by_seed else []
        if len(steps) < 2:
            continue
        values = np.array([[curve[step] for step in steps] for curve in by_seed])
        style = line_style(position)
        axes.plot(steps, values.mean(0), label=method, marker="o", markersize=3, **style)
        axes.fill_between(steps, values.min(0), values.max(0), color=style["color"], alpha=0.15, linewidth=0)
        drawn = True
    axes.set_ylabel("success rate")
    axes.set_ylim(-0.02, 1.04)
    if drawn:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, handlelength=3.5)
    return drawn


def reward_maps_figure(path: Path) -> Figure | None:
    """Reward of each place, one panel per method and user, the true utility in the first row; seed 0."""
    maps = load_arrays(path)
    if not maps:
        return None
    first = next(iter(maps.values()))
    users = [str(user) for user in first["users"]][:5]
    panels = {"true utility": first["true"], **{name: arrays["learned"] for name, arrays in maps.items()}}
    height, width = first["true"].shape[1:]
    named = first["rows"].size > 0
    if len(users) == 1:
        return _tables_figure(panels, first["rows"], first["columns"])
    across = 2.6 if named else 1.9
    down = 0.16 * height + 0.2 if named else across * height / width
    figure, axes = plt.subplots(
        len(panels), len(users), squeeze=False, figsize=(1.0 + across * len(users), 0.5 + (down + 0.1) * len(panels))
    )
    for row, (name, values) in enumerate(panels.items()):
        for column, user in enumerate(users):
            panel = axes[row, column]
            _map_panel(panel, values[column].astype(np.float64), "auto" if named else "equal")
            if row == 0:
                panel.set_title(f"wants {user}" if user != "each user" else user, fontsize=8.5)
            if named and column == 0:
                panel.set_yticks(range(height), first["rows"], fontsize=6)
            if named and row == len(panels) - 1:
                panel.set_xticks(range(width), first["columns"], fontsize=6, rotation=20)
        axes[row, 0].set_ylabel(_in_lines(name), fontsize=8.5)
    figure.suptitle("reward of each place (dark low, bright high, each panel on its own scale)", fontsize=8.5, y=1.0)
    figure.tight_layout(pad=0.4)
    return figure


def _tables_figure(panels: dict[str, NDArray[Any]], rows: NDArray[Any], columns: NDArray[Any]) -> Figure:
    """All users in one table per method, the methods side by side."""
    size = (1.4 + 1.25 * len(panels), 0.9 + 0.18 * len(rows))
    figure, axes = plt.subplots(1, len(panels), squeeze=False, figsize=size)
    for position, (name, values) in enumerate(panels.items()):
        panel = axes[0, position]
        _map_panel(panel, values[0].astype(np.float64), "auto")
        panel.set_title(_in_lines(name), fontsize=8)
        panel.set_xticks(range(len(columns)), columns, fontsize=6, rotation=60, ha="right")
        if position == 0:
            panel.set_yticks(range(len(rows)), rows, fontsize=6)
    figure.suptitle(
        "reward of each place (columns) for each user (rows), each panel on its own scale", fontsize=8, y=1.1
    )
    return figure


def _in_lines(name: str) -> str:
    """The name of a reward, broken at a space where it is too long for its panel."""
    return textwrap.fill(name, 18, break_long_words=False, break_on_hyphens=False)


def _map_panel(axes: Axes, values: NDArray[np.float64], aspect: Literal["equal", "auto"]) -> None:
    colours = mpl.colormaps["viridis"].with_extremes(bad="#E8E8E8")
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, interpolation="nearest", aspect=aspect)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def latents_figure(path: Path) -> Figure | None:
    """Posterior means of held-out users on their two principal axes, coloured by group; seed 0."""
    latents = {name: row for name, row in load_arrays(path).items() if name != "oracle"}
    if not latents:
        return None
    figure, axes = plt.subplots(1, len(latents), squeeze=False, figsize=(3.4 * len(latents), 3.0))
    for position, (name, row) in enumerate(latents.items()):
        centred = row["means"].astype(np.float64) - row["means"].mean(axis=0)
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        plane = centred @ directions[:2].T
        if plane.shape[1] == 1:
            plane = np.column_stack([plane, np.zeros(len(plane))])
        share = (singular[:2] ** 2).sum() / max((singular**2).sum(), 1e-12)
        groups = list(dict.fromkeys(row["groups"].tolist()))
        for index, group in enumerate(groups):
            own = row["groups"] == group
            marker = "o" if index < len(PALETTE) else "^"
            axes[0, position].scatter(*plane[own].T, s=16, color=PALETTE[index % len(PALETTE)], alpha=0.75, label=group,
                                      marker=marker, linewidth=0)  # fmt: skip
        axes[0, position].set_title(f"{name}: new users' latents, {share:.0%} of variance", loc="left", fontsize=8.5)
        axes[0, position].set_xlabel("first principal axis")
        axes[0, position].set_ylabel("second principal axis")
    if len(groups) <= 20:
        axes[0, -1].legend(title="group", loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, title_fontsize=8)
    figure.subplots_adjust(wspace=0.35)
    return figure
