"""Populations made of groups: all users of a group want the same, or nearly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.multigoal import GoalError, MultiGoalTask
from pluralbench.preference_oracles.teachers import RATIONAL, Teacher
from pluralbench.preference_oracles.users import PopulationError, Users, joined_teacher

TEST_IDS_FROM = 1_000_000_000
"""Train users count from 0, test users from here, so that no user is both."""


class UserGroup(Protocol):
    """A group of users: what its members want, each drawn around what the group has in common."""

    @property
    def share(self) -> float:
        """Their share of the train users; 0 in a held-out group."""

    @property
    def teacher(self) -> Teacher:
        """How they answer."""

    def title(self, task: MultiGoalTask) -> str:
        """What to call the group in this environment."""

    def draw(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """What new members want, (num_users, G); GoalError where the environment does not know such a goal."""


@dataclass(frozen=True)
class Group:
    """Users who want the same."""

    goal: ArrayLike
    """What they want, as the environment's `task.goal` takes it, for example (7, 1)."""
    share: float = 0.0
    """Their share of the train users; 0 in a held-out group."""
    name: str = ""
    """Empty to call them by the environment's name of the goal."""
    teacher: Teacher = RATIONAL
    """How they answer."""

    def title(self, task: MultiGoalTask) -> str:
        """Its name, or the environment's name of the goal."""
        return self.name or task.goal_name(task.goal(self.goal))

    def draw(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """The group's goal (num_users, G), over and over."""
        return np.tile(np.asarray(task.goal(self.goal), dtype=np.float64), (num_users, 1))


@dataclass(frozen=True)
class GroupPopulation:
    """Groups with fixed shares, and held-out groups, which only test users belong to.

    Each train user is drawn into a group with the shares as probabilities, so that counts vary as in a sample of
    people. Test users come in equal numbers from every group, since success is measured for each group by itself.
    """

    name: str
    """Its name on the command line."""
    description: str
    """One line: who they are, their shares, what is held out."""
    groups: tuple[UserGroup, ...]
    """The train groups; their shares sum to one."""
    held_out_groups: tuple[UserGroup, ...] = ()
    """Groups of test users only; their names differ from those of the train groups."""

    def __post_init__(self) -> None:
        check_shares(self.name, [g.share for g in self.groups], [g.share for g in self.held_out_groups])

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users, each of a group drawn by the shares."""
        check_num_users(num_users)
        edges = np.cumsum([group.share for group in self.groups])[:-1]
        index = np.searchsorted(edges, generator.random(num_users), side="right").astype(np.int64)
        return self._users(task, self.groups, index, 0, generator)

    def test_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """`users_per_group` new users of every train group, then of every held-out group."""
        check_num_users(users_per_group)
        groups = (*self.groups, *self.held_out_groups)
        index = np.repeat(np.arange(len(groups)), users_per_group)
        return self._users(task, groups, index, TEST_IDS_FROM, generator_for_test_users(generator))

    def _users(
        self,
        task: MultiGoalTask,
        groups: tuple[UserGroup, ...],
        index: NDArray[np.int64],
        first_id: int,
        generator: np.random.Generator,
    ) -> Users:
        goals = np.empty((len(index), task.goal_size))
        try:
            for i, group in enumerate(groups):
                rows = np.flatnonzero(index == i)
                goals[rows] = group.draw(task, len(rows), generator)
            names = tuple(group.title(task) for group in groups)
        except GoalError as error:
            raise unsuitable(self.name, task, error) from error
        for name in names:
            if names.count(name) > 1:
                raise PopulationError(f"population {self.name!r} has several groups called {name!r}: give them names")
        for name, group in zip(names, groups, strict=True):
            if isinstance(group.teacher, str):
                raise PopulationError(
                    f"population {self.name!r}, group {name!r}: the teacher is a Teacher, not its name: "
                    f"get_teacher({group.teacher!r}) gives it"
                )
            if group.teacher.num_users is not None:
                raise PopulationError("a group's teacher needs plain numbers, not one for each user")
        return Users(
            ids=first_id + np.arange(len(index)),
            group_names=names,
            group_index=index,
            goals=goals,
            teacher=joined_teacher([(group.teacher, 1) for group in groups]).take(index),
            taught=tuple(i < len(self.groups) for i in range(len(groups))),
        )


def check_shares(name: str, shares: Sequence[float], held_out_shares: Sequence[float] = ()) -> None:
    """Raises PopulationError unless the train groups' shares are positive and sum to one and the others' are zero."""
    if not shares:
        raise PopulationError(f"population {name!r} has no train groups")
    if not all(np.isfinite(share) and share > 0 for share in shares):
        raise PopulationError(f"population {name!r}: every train group needs a share above 0, has {list(shares)}")
    if abs(sum(shares) - 1) > 1e-6:
        raise PopulationError(f"population {name!r}: shares must sum to 1, sum to {sum(shares):.6g}")
    if any(held_out_shares):
        raise PopulationError(f"population {name!r}: a held-out group has no share of the train users")


def check_num_users(num_users: int) -> None:
    """Raises PopulationError unless at least one user is asked for, and not so many that ids run out."""
    if not 1 <= num_users <= TEST_IDS_FROM:
        raise PopulationError(f"the number of users must be from 1 to {TEST_IDS_FROM}, is {num_users}")


def expressed_goals(task: MultiGoalTask, values: NDArray[Any]) -> NDArray[np.float64]:
    """The environment's goals (U, G) for `values` (U, ...), each different one expressed once."""
    different, index = np.unique(values, axis=0, return_inverse=True)
    goals = [np.asarray(task.goal(value.tolist()), dtype=np.float64) for value in different]
    return np.stack(goals)[index.reshape(-1)] if goals else np.empty((0, task.goal_size))


def unsuitable(population: str, task: MultiGoalTask, reason: object) -> PopulationError:
    """The error that names both the population and the environment that it does not suit, in one line."""
    text = " ".join(str(reason).split())
    return PopulationError(f"population {population!r} does not suit environment {task.name!r}: {text}")


def generator_for_test_users(generator: np.random.Generator) -> np.random.Generator:
    """A stream of its own for test users: those who give the same seed for both still get other people."""
    return np.random.default_rng([int(generator.integers(2**62)), TEST_IDS_FROM])
