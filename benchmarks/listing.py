"""`python -m benchmarks list`: everything that the command line can be given by name."""

from __future__ import annotations

import pluralbench.envs  # noqa: F401 (registers the environments)
from pluralbench.benchmarks.experiment import METHOD_POLICIES
from pluralbench.benchmarks.suites import PRESETS, SUITES
from pluralbench.envs.environments import environments
from pluralbench.preference_oracles.populations import get_population, populations
from pluralbench.preference_oracles.teachers import teachers
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.scaling import SCALINGS


def listing() -> str:
    """Names by kind, populations and policies with their one-line descriptions."""
    lines = ["environments"]
    lines += [f"  {name:<22} {environments.get(name).gym_id}" for name in environments]
    lines.append("populations")
    lines += [f"  {name:<22} {get_population(name).description}" for name in populations]
    for title, names in [
        ("teachers", teachers.names()),
        ("learners", learners.names()),
        ("scalings", sorted(SCALINGS)),
        ("benchmarks", list(SUITES)),
        ("presets", list(PRESETS)),
    ]:
        lines.append(title)
        lines.append("  " + " ".join(names))
    lines.append("policies of a method, learner[+scaling][@policy]")
    lines += [f"  {name:<22} {description}" for name, description in METHOD_POLICIES.items()]
    return "\n".join(lines)
