"""Users who sort things by their attributes: by one attribute, or by a weighted mixture of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.multigoal import MultiGoalTask
from preference_oracles.group_populations import (
    HELD_OUT_IDS_FROM,
    check_shares,
    draw_groups,
    expressed_goals,
    group_names,
    held_out_generator,
    held_out_index,
    stacked_teacher,
    user_ids,
)
from preference_oracles.teachers import RATIONAL, Teacher
from preference_oracles.users import PopulationError, Users

ATTRIBUTES = ("function", "material", "colour", "size", "fragility")
"""What Habitat-Tidy's objects differ in; a goal is one weight for each."""


@dataclass(frozen=True)
class AttributeGroup:
    """Users whose weights lie around the same ones.

    Attributes:
        name: their name.
        weights: (A,) what each attribute counts; a negative weight sorts the other way round. Only proportions matter.
        share: their share of the train users; 0 in a held-out group.
        concentration: of the Dirichlet distribution from which a user's own proportions are drawn, whose mean is the
            group's; infinite where all have the group's weights.
        teacher: how they answer.
    """

    name: str
    weights: tuple[float, ...]
    share: float = 0.0
    concentration: float = np.inf
    teacher: Teacher = RATIONAL

    def __post_init__(self) -> None:
        if not np.isfinite(self.weights).all() or not np.any(self.weights):
            raise PopulationError(f"group {self.name!r}: weights must be finite and not all zero, are {self.weights}")
        if not self.concentration > 0:
            raise PopulationError(f"group {self.name!r}: the concentration must be above 0, is {self.concentration}")

    def draw(self, num_users: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Weights (num_users, A) whose absolute values sum to one."""
        centre = np.asarray(self.weights, dtype=np.float64)
        centre = centre / np.abs(centre).sum()
        if np.isinf(self.concentration):
            return np.tile(centre, (num_users, 1))
        parts = generator.standard_gamma(self.concentration * np.abs(centre), size=(num_users, len(centre)))
        return np.sign(centre) * parts / parts.sum(-1, keepdims=True)


@dataclass(frozen=True)
class AttributePopulation:
    """Groups of users who weigh attributes alike; shares are realised by drawing.

    Attributes:
        name: its name on the command line.
        description: one line: who they are, their shares, what is held out.
        groups: the train groups; their shares sum to one.
        held_out_groups: groups of held-out users only.
    """

    name: str
    description: str
    groups: tuple[AttributeGroup, ...]
    held_out_groups: tuple[AttributeGroup, ...] = ()

    def __post_init__(self) -> None:
        check_shares(self.name, [g.share for g in self.groups], [g.share for g in self.held_out_groups])
        if len({len(group.weights) for group in (*self.groups, *self.held_out_groups)}) > 1:
            raise PopulationError(f"population {self.name!r}: all groups must weigh the same number of attributes")

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users, each of a group drawn by the shares and with weights drawn around its own."""
        index = draw_groups([group.share for group in self.groups], num_users, generator)
        return self._users(task, self.groups, index, 0, generator)

    def held_out_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """`users_per_group` new users of every group, with newly drawn weights."""
        everyone = (*self.groups, *self.held_out_groups)
        index = held_out_index(len(everyone), users_per_group)
        return self._users(task, everyone, index, HELD_OUT_IDS_FROM, held_out_generator(generator))

    def _users(
        self,
        task: MultiGoalTask,
        everyone: tuple[AttributeGroup, ...],
        index: NDArray[np.int64],
        first_id: int,
        generator: np.random.Generator,
    ) -> Users:
        weights = np.empty((len(index), len(everyone[0].weights)))
        for i, group in enumerate(everyone):
            rows = np.flatnonzero(index == i)
            weights[rows] = group.draw(len(rows), generator)
        names = [group.name for group in everyone]
        return Users(
            ids=user_ids(first_id, len(index)),
            group_names=group_names(self.name, names, len(self.groups)),
            group_index=index,
            goals=expressed_goals(task, weights, self.name),
            teacher=stacked_teacher([group.teacher for group in everyone], index),
        )


def sorters(attributes: Sequence[str]) -> tuple[AttributeGroup, ...]:
    """One group of equal share for each attribute, who look at nothing else."""
    return tuple(
        AttributeGroup(f"by {name}", tuple(float(name == other) for other in ATTRIBUTES), 1 / len(attributes))
        for name in attributes
    )


def leaning_groups(concentration: float) -> tuple[AttributeGroup, ...]:
    """One group of equal share for each attribute, who look at it most and at the others too, each in their own way."""
    return tuple(
        AttributeGroup(
            f"mostly by {name}",
            tuple(0.6 if name == other else 0.1 for other in ATTRIBUTES),
            1 / len(ATTRIBUTES),
            concentration,
        )
        for name in ATTRIBUTES
    )
