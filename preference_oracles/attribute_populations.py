"""Users who sort things by their attributes: by one attribute, or by a weighted mixture of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.preference_oracles.group_populations import expressed_goals
from pluralbench.preference_oracles.teachers import RATIONAL, Teacher
from pluralbench.preference_oracles.users import PopulationError

ATTRIBUTES = ("function", "material", "colour", "size", "fragility")
"""What the things differ in that are sorted; a goal is one weight for each."""


@dataclass(frozen=True)
class AttributeGroup:
    """Users whose weights lie around the same ones."""

    name: str
    """Their name."""
    weights: tuple[float, ...]
    """(A,) what each attribute counts; a negative weight sorts the other way round. Only proportions matter."""
    share: float = 0.0
    """Their share of the train users; 0 in a held-out group."""
    concentration: float = np.inf
    """Of the Dirichlet distribution from which a user's own proportions are drawn, whose mean is the group's; infinite
    where all have the group's weights."""
    teacher: Teacher = RATIONAL
    """How they answer."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.weights).all() or not np.any(self.weights):
            raise PopulationError(f"group {self.name!r}: weights must be finite and not all zero, are {self.weights}")
        if not self.concentration > 0:
            raise PopulationError(f"group {self.name!r}: the concentration must be above 0, is {self.concentration}")

    def title(self, task: MultiGoalTask) -> str:
        """Its name."""
        return self.name

    def draw(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Weights (num_users, A) whose absolute values sum to one."""
        centre = np.asarray(self.weights, dtype=np.float64)
        centre = centre / np.abs(centre).sum()
        if np.isinf(self.concentration):
            return expressed_goals(task, np.tile(centre, (num_users, 1)))
        parts = generator.standard_gamma(self.concentration * np.abs(centre), size=(num_users, len(centre)))
        return expressed_goals(task, np.sign(centre) * parts / parts.sum(-1, keepdims=True))


def sorters(attributes: Sequence[str], ratio: Sequence[float] = ()) -> tuple[AttributeGroup, ...]:
    """One group for each attribute, who look at nothing else; of equal share, or in the given ratio."""
    parts = ratio or [1.0] * len(attributes)
    return tuple(
        AttributeGroup(f"by {name}", tuple(float(name == other) for other in ATTRIBUTES), part / sum(parts))
        for name, part in zip(attributes, parts, strict=True)
    )


def leaning_groups(concentration: float) -> tuple[AttributeGroup, ...]:
    """One group of equal share for each attribute, who look mainly at it, each in their own way."""
    groups = []
    for name in ATTRIBUTES:
        weights = tuple(0.6 if name == other else 0.1 for other in ATTRIBUTES)
        groups.append(AttributeGroup(f"mostly by {name}", weights, 1 / len(ATTRIBUTES), concentration))
    return tuple(groups)
