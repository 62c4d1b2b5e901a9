"""Who wants what: users, and populations of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.errors import InputError
from pluralbench.lines import shown
from pluralbench.plugins import name_of
from pluralbench.preference_oracles.teachers import NUMBERS, Teacher


class PopulationError(InputError):
    """A population that contradicts itself, or that this environment cannot express."""


@dataclass(frozen=True)
class User:
    """One person: what they want and how they answer."""

    id: int
    """A number that no other user of the population has."""
    group: str
    """The name of the group of like-minded users."""
    goal: NDArray[np.float64]
    """(G,) float64, in the environment's terms."""
    teacher: Teacher
    """How this user turns two utilities into an answer; scalar fields."""


@dataclass(frozen=True)
class Users:
    """U users as columns, so that a million of them label at array speed."""

    ids: NDArray[np.int64]
    """(U,) int64, unique."""
    group_names: tuple[str, ...]
    """The names of all groups, no two the same."""
    group_index: NDArray[np.int64]
    """(U,) int64 into `group_names`."""
    goals: NDArray[np.float64]
    """(U, G) float64."""
    teacher: Teacher
    """One Teacher whose fields are scalars or (U,) arrays."""
    taught: tuple[bool, ...] = ()
    """For each of `group_names`, whether train users of this group taught the reward model; False for a held-out group.
    All True where it is left out. The name of a group says nothing of it."""

    def __post_init__(self) -> None:
        num = len(self.ids)
        if self.group_index.shape != (num,) or self.goals.ndim != 2 or len(self.goals) != num:
            raise PopulationError(f"{num} ids need {num} groups and goals (U, G)")
        if num and (self.group_index.min() < 0 or self.group_index.max() >= len(self.group_names)):
            raise PopulationError("group_index points outside group_names")
        if len(set(self.group_names)) != len(self.group_names):
            raise PopulationError(f"group names repeat: {', '.join(self.group_names)}")
        if len(np.unique(self.ids)) != num:
            raise PopulationError("user ids repeat")
        if self.teacher.num_users not in (None, num):
            raise PopulationError(f"{num} users have a teacher for {self.teacher.num_users}")
        if not self.taught:
            object.__setattr__(self, "taught", (True,) * len(self.group_names))
        if len(self.taught) != len(self.group_names):
            raise PopulationError(f"{len(self.group_names)} groups need as many flags `taught`, got {self.taught}")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> User:
        group = self.group_names[self.group_index[row]]
        return User(int(self.ids[row]), group, self.goals[row], self.teacher.take(row))

    def take(self, rows: ArrayLike) -> Users:
        """The users of these rows, in this order; all groups stay listed."""
        index = np.asarray(rows)
        columns = {name: getattr(self, name)[index] for name in ("ids", "group_index", "goals")}
        return replace(self, **columns, teacher=self.teacher.take(index))


def joined_teacher(parts: Sequence[tuple[Teacher, int]]) -> Teacher:
    """One teacher for users of whom the first so many answer like the first, and so on; numbers where all agree.

    Raises:
        PopulationError: teachers of users who are there have different classes, or differ in what is no number.
    """
    present = [(teacher, num) for teacher, num in parts if num] or parts[:1]
    first = present[0][0]
    for teacher, _ in present:
        _check_same_rule(first, teacher)
    columns: dict[str, Any] = {}
    for name in NUMBERS:
        values = [np.broadcast_to(getattr(teacher, name), num) for teacher, num in present]
        joined = np.concatenate(values).astype(np.float64)
        columns[name] = joined if len(np.unique(joined)) > 1 else getattr(first.take(0), name)
    return replace(first, **columns)


def _check_same_rule(first: Teacher, second: Teacher) -> None:
    """PopulationError unless both answer by the same rule, and only its `NUMBERS` differ."""
    both = "all teachers of a population need the same"
    if type(first) is not type(second):
        raise PopulationError(f"{both} class, found {name_of(type(first))} and {name_of(type(second))}")
    for name in (field.name for field in fields(first) if field.name not in NUMBERS):
        one, other = getattr(first, name), getattr(second, name)
        if not np.array_equal(one, other):
            raise PopulationError(f"{both} {name}, found {shown(one)} and {shown(other)}")


def joined_users(first: Users, second: Users) -> Users:
    """The users of both; `second` names every group of `first`, at the same places, and may name more.

    Raises:
        PopulationError: other names of groups, or teachers of different kinds.
    """
    if second.group_names[: len(first.group_names)] != first.group_names:
        raise PopulationError(f"groups {', '.join(first.group_names)} do not begin {', '.join(second.group_names)}")
    return Users(
        np.concatenate([first.ids, second.ids]),
        second.group_names,
        np.concatenate([first.group_index, second.group_index]),
        np.concatenate([first.goals, second.goals]),
        joined_teacher([(first.teacher, len(first)), (second.teacher, len(second))]),
        second.taught,
    )


@runtime_checkable
class Population(Protocol):
    """A named distribution over users.

    Train users teach the reward model; test users are new ones, whom only their own few answers introduce. They come
    from the same groups, and from held-out groups, which no train user belongs to, where the population has some.
    """

    @property
    def name(self) -> str:
        """Its name on the command line; a plain attribute does."""

    @property
    def description(self) -> str:
        """One line: who they are, their shares, what is held out."""

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users drawn from the train groups; PopulationError where the task cannot express them."""

    def test_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """New users with ids that no train user has: `users_per_group` of every group, held-out groups included.

        Group names are those of `train_users` first, then the held-out groups', whose flag `Users.taught` is False.
        """
