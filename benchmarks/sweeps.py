"""`python -m benchmarks users | noise | minority`: success of the household's users as one thing varies.

Everything else is as in the preset. The household's policies are one greedy step, so that a point takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pluralbench.benchmarks.experiment import Experiment
from pluralbench.benchmarks.suites import experiment_for

RANKINGS = {
    "5": "five-rankings", "10": "10-rankings", "20": "20-rankings", "50": "50-rankings", "100": "hundred-rankings"
}  # fmt: skip
USERS_PER_RANKING = 20
"""Train users of each ranking: more rankings need more people to be heard of."""
LEAST_EVALUATED = 20
"""New users, over all rankings, for whom policies act: one user says little about five rankings."""
MISTAKES = (0.0, 0.1, 0.25, 0.4, 0.5)
MINORITIES = {"1:1": "function-or-material", "1:6": "function-or-material-1-6", "1:10": "function-or-material-1-10"}


@dataclass(frozen=True)
class Sweep:
    """One thing that varies.

    Attributes:
        description: one line for the command's help.
        x_label: what varies.
        experiments: the experiment at each point, by its label on the axis, for a preset.
        worst_group: also draw the success of the worst-off group.
    """

    description: str
    x_label: str
    experiments: Callable[[str], dict[str, Experiment]]
    worst_group: bool = False


def _users(preset: str) -> dict[str, Experiment]:
    """Habitat-Rearrange with 5 to 100 rankings: the paper's experiment A.3."""
    base = replace(experiment_for("habitat-rearrange", preset), methods=("oracle", "btl", "vpl", "vpl+spo"))
    return {
        label: replace(
            base,
            population=population,
            preferences=replace(
                base.preferences, num_users=max(base.preferences.num_users, USERS_PER_RANKING * int(label))
            ),
            evaluation=replace(base.evaluation, users_per_group=max(1, LEAST_EVALUATED // int(label))),
        )
        for label, population in RANKINGS.items()
    }


def _noise(preset: str) -> dict[str, Experiment]:
    """Habitat-Tidy with more and more answers exchanged, the new users' as well: at one half they say nothing."""
    base = replace(experiment_for("habitat-tidy", preset), methods=("btl", "vpl"))
    return {
        f"{rate:g}": replace(base, preferences=replace(base.preferences, teacher=f"mistake_rate={rate:g}"))
        for rate in MISTAKES
    }


def _minority(preset: str) -> dict[str, Experiment]:
    """Habitat-Tidy with fewer and fewer users who sort by function: MaxMin-RLHF's ratios."""
    base = replace(experiment_for("habitat-tidy", preset), methods=("oracle", "btl", "maxmin", "vpl"))
    return {label: replace(base, population=population) for label, population in MINORITIES.items()}


SWEEPS = {
    "users": Sweep("success against the number of different users, 5 to 100", "different rankings", _users),
    "noise": Sweep("success against the share of mistaken answers", "share of mistaken answers", _noise),
    "minority": Sweep(
        "success of a minority of one in two to one in eleven", "users by function : by material", _minority, True
    ),
}
