"""Sweeps: success as one thing varies. What varies where is the environments' own (`Environment.sweeps`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.envs import environments
from pluralbench.envs.environments import Settings
from pluralbench.registry import unknown_name
from pluralbench.settings import leaves, sets


@dataclass(frozen=True)
class Sweep:
    """One thing that varies, whatever the environment."""

    description: str  # one line for the command's help
    x_label: str  # what varies
    worst_group: bool = False  # also draw the success of the worst-off group


SWEEPS = {
    "users": Sweep("success against the number of different users", "different users"),
    "noise": Sweep("success against the share of flipped labels", "share of flipped labels"),
    "minority": Sweep("success of a minority, one in two to one in eleven", "minority : majority", worst_group=True),
    "active": Sweep("success against the number of questions, chosen or random", "questions to the test user"),
}


def sweep_points(name: str, environment: str | None) -> tuple[str, dict[str, Settings]]:
    """The environment that a sweep runs in, and the settings of each of its points by the label on the axis.

    Args:
        name: one of `SWEEPS`.
        environment: its name or specification; None for the first one that has this sweep.

    Raises:
        ExperimentError: the environment has no such sweep.
    """
    having = [known for known in environments if name in environments.get(known).sweeps]
    if environment is None:
        environment = having[0]
    points = environments.get(environment).sweeps.get(name)
    if not points:
        raise ExperimentError(f"{name}: {unknown_name('environment with this sweep', environment, having)}")
    return environment, dict(points)


def check_changes(name: str, points: Iterable[Settings], changes: Settings) -> None:
    """Raises ExperimentError where `changes` set what a sweep varies: its points would be one and the same.

    What all points have in common is a default, as their `methods` are in any case.
    """
    settings = [dict(leaves(point)) for point in points]
    for path in dict.fromkeys(path for point in settings for path in point if path != ("methods",)):
        varies = any(path not in point or point[path] != settings[0].get(path) for point in settings)
        if varies and sets(changes, path):
            raise ExperimentError(f"{name} varies {'.'.join(path)}: leave it out")
