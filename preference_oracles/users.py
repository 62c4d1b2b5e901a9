"""Who wants what: users, and populations of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.errors import InputError
from pluralbench.preference_oracles.teachers import Teacher


class PopulationError(InputError):
    """A population that contradicts itself, or that this environment cannot express."""


@dataclass(frozen=True)
class User:
    """One person: what they want and how they answer.

    Attributes:
        id: a number that no other user of the population has.
        group: the name of the group of like-minded users.
        goal: (G,) float64, in the environment's terms.
        teacher: how this user turns two utilities into an answer; scalar fields.
    """

    id: int
    group: str
    goal: NDArray[np.float64]
    teacher: Teacher


@dataclass(frozen=True)
class Users:
    """U users as columns, so that a million of them label at array speed.

    Attributes:
        ids: (U,) int64, unique.
        group_names: the names of all groups, no two the same.
        group_index: (U,) int64 into `group_names`.
        goals: (U, G) float64.
        teacher: one Teacher whose fields are scalars or (U,) arrays.
        taught: for each of `group_names`, whether train users of this group taught the reward model; False for a
            held-out group. All True where it is left out. The name of a group says nothing of it.
    """

    ids: NDArray[np.int64]
    group_names: tuple[str, ...]
    group_index: NDArray[np.int64]
    goals: NDArray[np.float64]
    teacher: Teacher
    taught: tuple[bool, ...] = ()

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
        return User(
            id=int(self.ids[row]),
            group=self.group_names[self.group_index[row]],
            goal=self.goals[row],
            teacher=self.teacher.row(row),
        )

    def take(self, rows: ArrayLike) -> Users:
        """The users of these rows, in this order; all groups stay listed."""
        index = np.asarray(rows)
        return replace(
            self,
            ids=self.ids[index],
            group_index=self.group_index[index],
            goals=self.goals[index],
            teacher=self.teacher.take(index),
        )


@runtime_checkable
class Population(Protocol):
    """A named distribution over users.

    Train users teach the reward model; test users are new ones, whom only their own few answers introduce. They come
    from the same groups, and from held-out groups, which no train user belongs to, where the population has some.

    Attributes:
        name: its name on the command line.
        description: one line: who they are, their shares, what is held out.
    """

    @property
    def name(self) -> str:  # noqa: D102 -- a plain attribute does
        ...

    @property
    def description(self) -> str:  # noqa: D102
        ...

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users drawn from the train groups; PopulationError where the task cannot express them."""
        ...

    def test_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """New users with ids that no train user has: `users_per_group` of every group, held-out groups included.

        Group names are those of `train_users` first, then the held-out groups', whose flag `Users.taught` is False.
        """
        ...
