"""`pluralbench list`: everything that the command line can be given by name."""

from __future__ import annotations

import argparse

from pluralbench.benchmarks.experiments.methods import policies
from pluralbench.benchmarks.experiments.presets import PRESETS
from pluralbench.benchmarks.experiments.sweeps import SWEEPS
from pluralbench.envs import environments
from pluralbench.envs.foreign_data import data_formats
from pluralbench.preference_oracles.populations import get_population, populations
from pluralbench.preference_oracles.teachers import teachers
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.scalings import SCALINGS


def show(options: argparse.Namespace) -> None:
    """Prints names by kind, with a description where one line says more than the name."""
    own = {}
    for environment in (environments.get(name) for name in environments):
        simulators = f" (--simulator {', '.join(environment.simulators)})" if environment.simulators else ""
        own[environment.name] = f"{environment.gym_id}{simulators}"
    lines = []
    for title, described in (
        ("environments", own),
        ("populations", {name: get_population(name).description for name in populations}),
        ("policies", {name: policies.descriptions.get(name, "") for name in policies}),
        ("sweeps", {name: sweep.description for name, sweep in SWEEPS.items()}),
        ("learners", {name: learners.descriptions.get(name, "") for name in learners.names()}),
        ("data formats (data convert --as)", {name: known.description for name, known in data_formats().items()}),
    ):
        width = max(22, *map(len, described))
        lines += [title, *(f"  {name:<{width}} {what}".rstrip() for name, what in described.items())]
    for title, names in (
        ("scalings", sorted(SCALINGS)),
        ("teachers", teachers.names()),
        ("presets", list(PRESETS)),
    ):
        lines += [title, "  " + " ".join(names)]
    lines.append("A method is learner[+scaling][@policy]; any of these may also be a thing in a file: file.py:Name.")
    print("\n".join(lines))
