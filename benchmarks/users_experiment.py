"""`python -m benchmarks users`: success against the number of different users, the paper's scaling experiment (A.3).

Habitat-Rearrange with 5 to 100 rankings of the places, everything else as in the preset.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from benchmarks import results
from benchmarks.pipeline import run_experiment
from benchmarks.progress import Reporter
from benchmarks.style import PALETTE, STYLE, save
from benchmarks.suites import experiment_for

POPULATIONS = {5: "five-rankings", 10: "10-rankings", 20: "20-rankings", 50: "50-rankings", 100: "hundred-rankings"}
METHODS = ("oracle", "btl", "vpl", "vpl+spo")
USERS_PER_RANKING = 20
"""Train users of each ranking: more rankings need more people to be heard of."""
LEAST_EVALUATED = 20
"""New users, over all rankings, for whom policies act: one user says little about five rankings."""


def run_users(preset: str, out: Path, device: str, data_dir: Path | None, resume: bool, reporter: Reporter) -> Path:
    """Runs the benchmark once for each number of rankings and draws the figure; returns the figure."""
    preset_of = experiment_for("habitat-rearrange", preset)
    folders = {}
    for num, population in POPULATIONS.items():
        preferences = replace(
            preset_of.preferences, num_users=max(preset_of.preferences.num_users, USERS_PER_RANKING * num)
        )
        experiment = replace(
            preset_of,
            suite=f"users-{preset}/{population}",
            population=population,
            methods=METHODS,
            preferences=preferences,
            evaluation=replace(preset_of.evaluation, users_per_group=max(1, LEAST_EVALUATED // num)),
        )
        folders[num] = run_experiment(experiment, out, device, data_dir, resume, reporter)
    return draw_users(folders, out / f"users-{preset}" / "users")


def draw_users(folders: dict[int, Path], stem: Path) -> Path:
    """Success of new users of known rankings as lines, of held-out ones as diamonds; the seeds' range as bands."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(4.6, 3.0))
        for position, method in enumerate(METHODS):
            known, held_out = [], {}
            for num, folder in folders.items():
                rates = [rate for rate in results.read_success_rates(folder) if rate.method == method]
                known.append(_by_seed([rate for rate in rates if not rate.of_held_out_group]))
                if any(rate.of_held_out_group for rate in rates):
                    held_out[num] = float(np.mean(_by_seed([rate for rate in rates if rate.of_held_out_group])))
            colour = PALETTE[position]
            axes.plot(list(folders), [np.mean(seeds) for seeds in known], color=colour, marker="o", label=method)
            low, high = [min(seeds) for seeds in known], [max(seeds) for seeds in known]
            axes.fill_between(list(folders), low, high, color=colour, alpha=0.15, linewidth=0)
            axes.scatter(list(held_out), list(held_out.values()), marker="D", facecolor="none", edgecolor=colour, s=30)
        axes.set_xscale("log")
        axes.set_xticks(list(folders), [str(num) for num in folders])
        axes.minorticks_off()
        axes.set_xlabel("different rankings among the users")
        axes.set_ylabel("success rate")
        axes.set_ylim(-0.02, 1.04)
        axes.set_title("habitat-rearrange; diamonds: held-out rankings", loc="left", fontsize=8.5)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
        return save(figure, stem)


def _by_seed(rates: list[results.SuccessRate]) -> list[float]:
    return [
        float(np.mean([rate.success_rate for rate in rates if rate.seed == seed]))
        for seed in sorted({rate.seed for rate in rates})
    ]
