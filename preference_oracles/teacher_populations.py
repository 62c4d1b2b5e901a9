"""The same people answering differently: a population with other teachers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.preference_oracles.teachers import Teacher, TeacherError, get_teacher
from pluralbench.preference_oracles.users import Population, Users


@dataclass(frozen=True)
class PopulationWithTeachers:
    """The users of another population with teachers of their own."""

    population: Population
    """Who they are and what they want."""
    draw_teacher: Callable[[int, np.random.Generator], Teacher]
    """Gives, for a number of users and a generator, the Teacher for that many users."""
    name: str
    """Its name on the command line."""
    description: str
    """One line."""

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """The other population's train users, the same ones for the same generator, with new teachers."""
        users = self.population.train_users(task, num_users, generator)
        return replace(users, teacher=self.draw_teacher(len(users), generator))

    def test_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """The other population's test users with new teachers."""
        users = self.population.test_users(task, users_per_group, generator)
        return replace(users, teacher=self.draw_teacher(len(users), generator))


def with_teacher(population: Population, teacher: Teacher | str) -> Population:
    """The population with this teacher, or the one of this name, in place of its own.

    Raises:
        UnknownNameError: no teacher of that name.
        TeacherError: the teacher is one for a certain number of users.
    """
    one = get_teacher(teacher) if isinstance(teacher, str) else teacher
    if one.num_users is not None:
        raise TeacherError(f"a teacher for all users needs plain numbers; this one is for {one.num_users} users")
    said = teacher if isinstance(teacher, str) else "given"
    return PopulationWithTeachers(
        population,
        lambda num_users, generator: one,
        name=population.name,
        description=f"{population.description}; all with the {said} teacher",
    )


def mixed_teachers(num_users: int, generator: np.random.Generator) -> Teacher:
    """A teacher with U different ways of answering.

    | field | distribution over users |
    |---|---|
    | rationality | log-uniform from 1 to 100 per unit of summed utility |
    | discount | uniform from 0.9 to 1 |
    | skip_fraction | uniform from 0 to 0.1 |
    | equal_fraction | uniform from 0 to 0.1 |
    | mistake_rate | uniform from 0 to 0.2 |
    """
    return Teacher(
        rationality=np.exp(generator.uniform(0.0, np.log(100.0), num_users)),
        discount=generator.uniform(0.9, 1.0, num_users),
        skip_fraction=generator.uniform(0.0, 0.1, num_users),
        equal_fraction=generator.uniform(0.0, 0.1, num_users),
        mistake_rate=generator.uniform(0.0, 0.2, num_users),
    )
