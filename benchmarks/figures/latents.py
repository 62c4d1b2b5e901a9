"""Where the learners see the test users, from `<environment>-latents.npz` (`results.figure_arrays`)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pluralbench.benchmarks.figures.style import PALETTE, TITLE_SIZE, legend_beside
from pluralbench.benchmarks.figures.suite import SuiteResults
from pluralbench.benchmarks.results.figure_arrays import latents_path, load_latents


def latents_figure(suite: SuiteResults) -> Figure | None:
    """Posterior means of test users on their two principal axes, coloured by group."""
    stored = load_latents(latents_path(suite.folder, suite.environment))
    latents = {name: row for name, row in stored.items() if _tells_users_apart(row["means"], row["groups"])}
    if not latents:
        return None
    figure = Figure(figsize=(3.4 * len(latents), 3.0))
    panels = figure.subplots(1, len(latents), squeeze=False)[0]
    groups = list(dict.fromkeys(str(group) for row in latents.values() for group in row["groups"]))
    for axes, (name, row) in zip(panels, latents.items(), strict=True):
        plane, share = principal_plane(row["means"].astype(np.float64))
        for index, group in enumerate(groups):
            own = row["groups"] == group
            axes.scatter(*plane[own].T, s=16, color=PALETTE[index % len(PALETTE)], alpha=0.75, label=group,
                         marker="o^s"[index // len(PALETTE) % 3], linewidth=0)  # fmt: skip
        axes.set_title(
            f"{name}: latents of test users,\n{share:.0%} of their variance", loc="left", fontsize=TITLE_SIZE
        )
        axes.set_xlabel("first principal axis")
    panels[0].set_ylabel("second principal axis")
    legend_beside(panels[-1], "group", size=7)
    figure.subplots_adjust(wspace=0.3)
    return figure


def _tells_users_apart(means: NDArray[np.floating], groups: NDArray[np.str_]) -> bool:
    """False where all users of each group share one point: such a model was told their goals."""
    members = [means[groups == group] for group in np.unique(groups)]
    several = [own for own in members if len(own) > 1]
    return not several or any(np.ptp(own, axis=0).any() for own in several)


def principal_plane(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Points (U, Z) on their first two principal axes (U, 2), and the share of their variance that these show."""
    centred = points - points.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ directions[:2].T
    if plane.shape[1] == 1:
        plane = np.column_stack([plane, np.zeros(len(plane))])
    return plane, float((singular[:2] ** 2).sum() / max((singular**2).sum(), 1e-12))
