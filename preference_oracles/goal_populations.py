"""Populations that suit every environment: their goals are ones that the environment itself knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.maze.maps import TEN_GOALS
from pluralbench.envs.multigoal import GoalError, MultiGoalTask
from pluralbench.envs.ravens.task import ZONES
from pluralbench.preference_oracles.group_populations import (
    HELD_OUT_IDS_FROM,
    Group,
    GroupPopulation,
    check_num_users,
    equal_shares,
    held_out_generator,
    held_out_index,
    user_ids,
)
from pluralbench.preference_oracles.teachers import RATIONAL, Teacher
from pluralbench.preference_oracles.users import PopulationError, Users

FOUR_ZONES = tuple(ZONES["four-zones"].values())
"""Centres (x, y) in metres of the table's zones; the first two are VPL's."""

SORTERS = tuple(tuple(float(i == j) for j in range(5)) for i in range(5))
"""Weights of users who sort by function, by material, and so on, and look at nothing else."""

_DEFINITION_SEED = 0
"""Goals that are part of a population's definition are drawn with this seed: they are the same in every run."""
_NUM_REFERENCE_GOALS = 4096
_MAX_NAMED_GOALS = 16


def well_known_goals(task: MultiGoalTask, num_goals: int, population: str) -> list[NDArray[np.float64]]:
    """The first goals of the papers where the task has them, else different goals drawn once and for all.

    Raises:
        PopulationError: the task has fewer goals than that.
    """
    values: tuple[ArrayLike, ...]
    for values in (TEN_GOALS[:num_goals], FOUR_ZONES[:num_goals], SORTERS[:num_goals]):
        try:
            return [np.asarray(task.goal(value), dtype=np.float64) for value in values]
        except GoalError:
            continue
    drawn = task.sample_goals(_NUM_REFERENCE_GOALS, np.random.default_rng(_DEFINITION_SEED))
    _, first = np.unique(drawn, axis=0, return_index=True)
    if len(first) < num_goals:
        raise PopulationError(
            f"population {population!r} does not suit environment {task.name!r}: it needs {num_goals} different goals, "
            f"of which there are {len(first)}"
        )
    return list(np.asarray(drawn, dtype=np.float64)[np.sort(first)[:num_goals]])


@dataclass(frozen=True)
class WellKnownGoalsPopulation:
    """Groups of equal share who want the first well-known goals of whatever environment they are taken to.

    Attributes:
        name: its name on the command line.
        description: one line: who they are, their shares, what is held out.
        num_goals: how many goals.
        with_opposites: for each goal add a group whose utility is one minus that group's.
        teacher: how everybody answers.
    """

    name: str
    description: str
    num_goals: int
    with_opposites: bool = False
    teacher: Teacher = RATIONAL

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users, each of a group drawn with equal probabilities."""
        return self._groups(task).train_users(task, num_users, generator)

    def held_out_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """`users_per_group` new users of every group; no group is held out."""
        return self._groups(task).held_out_users(task, users_per_group, generator)

    def _groups(self, task: MultiGoalTask) -> GroupPopulation:
        goals = well_known_goals(task, self.num_goals, self.name)
        if self.with_opposites:
            try:
                goals += [np.asarray(task.opposite(goal), dtype=np.float64) for goal in goals]
            except GoalError as error:
                raise PopulationError(
                    f"population {self.name!r} does not suit environment {task.name!r}, "
                    f"whose goals have no opposites: {error}"
                ) from error
        groups: tuple[Group, ...] = equal_shares(goals, self.teacher)
        return GroupPopulation(self.name, self.description, groups)


@dataclass(frozen=True)
class ContinuousGoalsPopulation:
    """Everybody wants something of their own, drawn uniformly from everything that can be wanted.

    Nobody shares a goal, so success is reported by regions of the goals: each of the first two numbers of a goal below
    or above its median (four regions of the maze, about as many users in each). Where an environment has only a few
    goals, each is a group. Held-out users want things that no train user asked for, unless goals are so few.

    Attributes:
        name: its name on the command line.
        description: one line: who they are, their shares, what is held out.
        teacher: how everybody answers.
    """

    name: str
    description: str
    teacher: Teacher = RATIONAL

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users with a newly drawn goal each."""
        check_num_users(num_users)
        goals = np.asarray(task.sample_goals(num_users, generator), dtype=np.float64)
        regions = _Regions.of(task)
        return Users(user_ids(0, num_users), regions.names, regions.index(goals), goals, self.teacher)

    def held_out_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """`users_per_group` new users of every region, with newly drawn goals."""
        regions = _Regions.of(task)
        index = held_out_index(len(regions.names), users_per_group)
        generator = held_out_generator(generator)
        kept: list[list[NDArray[np.float64]]] = [[] for _ in regions.names]
        while any(len(goals) < users_per_group for goals in kept):
            drawn = np.asarray(task.sample_goals(8 * users_per_group * len(kept), generator), dtype=np.float64)
            for region, goal in zip(regions.index(drawn), drawn, strict=True):
                if len(kept[region]) < users_per_group:
                    kept[region].append(goal)
        goals = np.concatenate([np.stack(of_region) for of_region in kept])
        return Users(user_ids(HELD_OUT_IDS_FROM, len(index)), regions.names, index, goals, self.teacher)


@dataclass(frozen=True)
class _Regions:
    """Groups of goals: the goals themselves where they are few, else halves of their first two numbers."""

    names: tuple[str, ...]
    known: NDArray[np.float64] | None
    medians: NDArray[np.float64]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, task: MultiGoalTask) -> _Regions:
        drawn = task.sample_goals(_NUM_REFERENCE_GOALS, np.random.default_rng(_DEFINITION_SEED))
        reference = np.asarray(drawn, dtype=np.float64)
        different = np.unique(reference, axis=0)
        medians = np.asarray(np.median(reference[:, :2], axis=0), dtype=np.float64)
        if len(different) <= _MAX_NAMED_GOALS:
            return cls(tuple(task.goal_name(goal) for goal in different), different, medians, np.arange(0))
        codes = np.unique(_halves(reference, medians))
        names = tuple(
            "(" + ", ".join(f"{'>' if code >> i & 1 else '<='}{median:.3g}" for i, median in enumerate(medians)) + ")"
            for code in codes
        )
        return cls(names, None, medians, codes)

    def index(self, goals: NDArray[np.float64]) -> NDArray[np.int64]:
        """The region (U,) of each goal (U, G)."""
        if self.known is not None:
            return np.abs(goals[:, None] - self.known).sum(-1).argmin(-1)
        return np.searchsorted(self.codes, _halves(goals, self.medians)).clip(max=len(self.codes) - 1)


def _halves(goals: NDArray[np.float64], medians: NDArray[np.float64]) -> NDArray[np.int64]:
    """A number (U,) for each goal: bit i is set where its i-th number is above the median."""
    return ((goals[:, :2] > medians) * (1 << np.arange(len(medians)))).sum(-1).astype(np.int64)
