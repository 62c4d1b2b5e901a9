"""Populations whose goals are those that the environment itself knows: its goal sets, or all of its goals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.multigoal import GoalError, MultiGoalTask
from pluralbench.preference_oracles.group_populations import (
    TEST_IDS_FROM,
    Group,
    GroupPopulation,
    check_num_users,
    check_shares,
    generator_for_test_users,
    unsuitable,
)
from pluralbench.preference_oracles.teachers import RATIONAL, Teacher
from pluralbench.preference_oracles.users import Users

_DEFINITION_SEED = 0
_NUM_REFERENCE_GOALS = 4096
_MAX_NAMED_GOALS = 16
_NUM_GOALS_WITHOUT_SETS = 2


@dataclass(frozen=True)
class NamedGoals:
    """One group for each goal of one of the environment's goal sets (`task.goal_sets`)."""

    name: str
    """Its name on the command line."""
    description: str
    """One line: who they are, their shares, what is held out."""
    goal_set: str
    """The name of the set."""
    shares: tuple[float, ...] = ()
    """Of the train users, in the order of the set's goals; only proportions matter, so that (1, 6) makes a minority of
    one in seven. Empty for equal ones."""
    held_out_set: str | None = None
    """The name of a set whose goals are those of held-out groups."""
    teacher: Teacher = RATIONAL
    """How all users answer."""

    def __post_init__(self) -> None:
        if self.shares:
            total = sum(self.shares)
            check_shares(self.name, [share / total if total else 0.0 for share in self.shares])

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users, each of a group drawn by the shares."""
        return self._groups(task).train_users(task, num_users, generator)

    def test_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """`users_per_group` new users of every group, held-out groups last."""
        return self._groups(task).test_users(task, users_per_group, generator)

    def _groups(self, task: MultiGoalTask) -> GroupPopulation:
        sets = task.goal_sets
        if self.goal_set not in sets or (self.held_out_set or self.goal_set) not in sets:
            found = f"the goal sets {', '.join(sets)}" if sets else "no goal sets"
            wanted = self.goal_set if self.held_out_set is None else f"{self.goal_set} and {self.held_out_set}"
            raise unsuitable(self.name, task, f"it has {found}; {wanted} would be needed")
        goals = sets[self.goal_set]
        shares = self.shares or (1.0,) * len(goals)
        if len(shares) != len(goals):
            raise unsuitable(self.name, task, f"{len(shares)} shares for the {len(goals)} goals of {self.goal_set}")
        total, held_out = sum(shares), sets[self.held_out_set] if self.held_out_set else ()
        groups = (Group(goal, share / total, teacher=self.teacher) for goal, share in zip(goals, shares, strict=True))
        held_out_groups = (Group(goal, teacher=self.teacher) for goal in held_out)
        return GroupPopulation(self.name, self.description, tuple(groups), tuple(held_out_groups))


@dataclass(frozen=True)
class WellKnownGoalsPopulation:
    """Groups of equal share who want the first goals that stand for the environment, whichever environment it is.

    These are the goals of its first goal set. Where it has none, or fewer goals there than are needed, they are
    different goals drawn once and for all.
    """

    name: str
    """Its name on the command line."""
    description: str
    """One line: who they are, their shares, what is held out."""
    num_goals: int | None = None
    """How many goals; None for all of the set, two where there is no set."""
    with_opposites: bool = False
    """For each goal add a group whose utility is one minus that group's."""
    teacher: Teacher = RATIONAL
    """How all users answer."""

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users, each of a group drawn with equal probabilities."""
        return self._groups(task).train_users(task, num_users, generator)

    def test_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """`users_per_group` new users of every group; no group is held out."""
        return self._groups(task).test_users(task, users_per_group, generator)

    def _groups(self, task: MultiGoalTask) -> GroupPopulation:
        goals = self._goals(task)
        if self.with_opposites:
            try:
                goals += [np.asarray(task.opposite(goal), dtype=np.float64) for goal in goals]
            except GoalError as error:
                raise unsuitable(self.name, task, f"its goals have no opposites ({error})") from error
        groups = tuple(Group(goal, 1 / len(goals), teacher=self.teacher) for goal in goals)
        return GroupPopulation(self.name, self.description, groups)

    def _goals(self, task: MultiGoalTask) -> list[NDArray[np.float64]]:
        known = next(iter(task.goal_sets.values()), ())
        if len(known) >= (self.num_goals or 1):
            try:
                return [np.asarray(task.goal(value), dtype=np.float64) for value in known[: self.num_goals]]
            except GoalError as error:
                raise unsuitable(self.name, task, error) from error
        needed = self.num_goals or _NUM_GOALS_WITHOUT_SETS
        drawn = _reference_goals(task, self.name)
        _, first = np.unique(drawn, axis=0, return_index=True)
        if len(first) < needed:
            raise unsuitable(self.name, task, f"it needs {needed} different goals, of which there are {len(first)}")
        return list(drawn[np.sort(first)[:needed]])


def _reference_goals(task: MultiGoalTask, population: str) -> NDArray[np.float64]:
    """Goals (4096, G) that are the same in every run, since a population's definition rests on them."""
    return _sample_goals(task, _NUM_REFERENCE_GOALS, np.random.default_rng(_DEFINITION_SEED), population)


def _sample_goals(
    task: MultiGoalTask, num_goals: int, generator: np.random.Generator, population: str
) -> NDArray[np.float64]:
    """The task's sampled goals (num_goals, G); PopulationError where it has neither goal sets nor a way to sample."""
    try:
        return np.asarray(task.sample_goals(num_goals, generator), dtype=np.float64)
    except NotImplementedError as error:
        raise unsuitable(population, task, error) from error


@dataclass(frozen=True)
class ContinuousGoalsPopulation:
    """Every user wants something else, drawn uniformly from everything that can be wanted.

    No two users share a goal, so success is reported by regions of the goals: each of the first two numbers of a goal
    below or above its median (four regions, about as many users in each). Where an environment has only a few goals,
    each is a group. Test users want things that no train user asked for, unless goals are so few.
    """

    name: str
    """Its name on the command line."""
    description: str
    """One line: who they are, their shares, what is held out."""
    teacher: Teacher = RATIONAL
    """How all users answer."""

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users with a newly drawn goal each."""
        check_num_users(num_users)
        goals = _sample_goals(task, num_users, generator, self.name)
        regions = _Regions.of(task, self.name)
        return Users(np.arange(num_users), regions.names, regions.index(goals), goals, self.teacher)

    def test_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """`users_per_group` new users of every region, with newly drawn goals."""
        regions = _Regions.of(task, self.name)
        check_num_users(users_per_group)
        generator = generator_for_test_users(generator)
        kept = [np.empty((0, task.goal_size)) for _ in regions.names]
        while any(len(goals) < users_per_group for goals in kept):
            drawn = np.asarray(task.sample_goals(8 * users_per_group * len(kept), generator), dtype=np.float64)
            region = regions.index(drawn)
            kept = [np.concatenate([goals, drawn[region == i]])[:users_per_group] for i, goals in enumerate(kept)]
        index = np.repeat(np.arange(len(kept)), users_per_group)
        return Users(TEST_IDS_FROM + np.arange(len(index)), regions.names, index, np.concatenate(kept), self.teacher)


@dataclass(frozen=True)
class _Regions:
    """Groups of goals: the goals themselves where they are few, else halves of their first two numbers."""

    names: tuple[str, ...]
    known: NDArray[np.float64] | None
    medians: NDArray[np.float64]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, task: MultiGoalTask, population: str) -> _Regions:
        reference = _reference_goals(task, population)
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
