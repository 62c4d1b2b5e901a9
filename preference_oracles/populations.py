"""The populations by name.

A population of your own is fifteen lines in a file outside this repository, `--population path/to/file.py:Name`: a
`GroupPopulation`, a function that returns one, or any class with the methods of `users.Population`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from pluralbench.envs.multigoal import GoalError, MultiGoalTask
from pluralbench.lines import is_one_line, kind_of, shown
from pluralbench.plugins import fault, is_maker, made_by, name_of
from pluralbench.preference_oracles.attribute_populations import ATTRIBUTES, AttributeGroup, leaning_groups, sorters
from pluralbench.preference_oracles.goal_populations import (
    ContinuousGoalsPopulation,
    NamedGoals,
    WellKnownGoalsPopulation,
)
from pluralbench.preference_oracles.group_populations import GroupPopulation, unsuitable
from pluralbench.preference_oracles.ranking_populations import RankingGroup, ordered_rankings, ranking_population
from pluralbench.preference_oracles.teacher_populations import PopulationWithTeachers, mixed_teachers
from pluralbench.preference_oracles.teachers import TeacherError
from pluralbench.preference_oracles.users import Population, PopulationError, Users
from pluralbench.registry import Registry

RATIOS = (6, 10)
"""Users of the majority for each one of the minority, in the populations with a minority."""


def _check(thing: object) -> None:
    if not isinstance(thing, Population) and not callable(thing):
        raise TypeError(f"expected a population, or a class or function that makes one, got {kind_of(thing)}")


def _offers(thing: object) -> bool:
    if isinstance(thing, type):
        return all(hasattr(thing, name) for name in ("train_users", "test_users"))
    return isinstance(thing, Population) or is_maker(thing)


populations: Registry[Any] = Registry("population", "pluralbench.populations", _check, _offers)


def get_population(specification: str) -> Population:
    """The population of this name, or at `path/to/file.py:Name`.

    `Name` is a population, or a class or function that gives one when called without arguments.

    Raises:
        UnknownNameError: nothing goes by this name; the message offers the nearest.
        PopulationError: what goes by it is no population.
        PluginError: it cannot be made without arguments.
    """
    thing = populations.get(specification)
    if not isinstance(thing, type) and isinstance(thing, Population):
        return thing
    made = made_by(thing, specification)
    if isinstance(made, type) or not isinstance(made, Population):
        missing = [n for n in ("name", "description", "train_users", "test_users") if not hasattr(made, n)]
        raise PopulationError(f"{specification} is no population: {kind_of(made)} has no {', '.join(missing)}")
    return made


def draw_train_users(population: Population, task: MultiGoalTask, num_users: int, generator: Generator) -> Users:
    """The population's train users, once it is sure that they are what they should be.

    Raises:
        PopulationError: they are not, or the task cannot express them.
    """
    users = _drawn(population, task, num_users, generator, "train_users")
    if len(users) != num_users:
        raise PopulationError(f"{name_of(type(population))}.train_users gave {len(users)} users, not {num_users}")
    return users


def draw_test_users(population: Population, task: MultiGoalTask, users_per_group: int, generator: Generator) -> Users:
    """As `draw_train_users`, of the test users."""
    return _drawn(population, task, users_per_group, generator, "test_users")


def _drawn(population: Population, task: MultiGoalTask, number: int, generator: Generator, method: str) -> Users:
    try:
        users: object = getattr(population, method)(task, number, generator)
    except TeacherError as error:
        if (where := fault(error)) is None:
            raise
        raise PopulationError(f"population {population.name!r}: {where}") from error
    what = f"{name_of(type(population))}.{method} gave"
    if not isinstance(users, Users):
        raise PopulationError(f"{what} {kind_of(users)}, not pluralbench.preference_oracles.Users")
    if not len(users):
        raise PopulationError(f"{what} no users")
    if users.goals.shape[1] != task.goal_size or not np.isfinite(users.goals).all():
        found = f"goals of shape {users.goals.shape}" if np.isfinite(users.goals).all() else "goals that are no numbers"
        raise PopulationError(f"{what} {found}; {task.name} has goals of {task.goal_size} numbers")
    try:
        task.goals(np.unique(users.goals, axis=0))
    except GoalError as error:
        raise unsuitable(population.name, task, error) from error
    for kind, dtype in (("ids", users.ids.dtype), ("group_index", users.group_index.dtype)):
        if dtype != np.int64:
            raise PopulationError(f"{what} {kind} of type {dtype}, not int64")
    for name in users.group_names:
        if not isinstance(name, str) or not name.strip() or not is_one_line(name):
            raise PopulationError(f"{what} a group called {shown(name)}; a name is one line of text")
    return users


def _register(*given: Population) -> None:
    for population in given:
        populations.register(population.name, population)


# goals that the environment knows by name
for _set in ("two-goals", "two-zones"):
    _register(NamedGoals(_set, f"two groups of equal share, one for each goal of the set {_set}", _set))
    for _many in RATIOS:
        _words = f"the groups of {_set} in the ratio 1:{_many}; those who want the first goal are the minority"
        _register(NamedGoals(f"{_set}-1-{_many}", _words, _set, (1, _many)))
_register(
    NamedGoals(
        "ten-goals",
        "ten groups of equal share, one for each goal of the set ten-goals; held-out groups want the held-out goals",
        "ten-goals",
        held_out_set="held-out-goals",
    ),
    NamedGoals("four-zones", "four groups of equal share, one for each goal of the set four-zones", "four-zones"),
    WellKnownGoalsPopulation(
        "named-goals",
        "one group of equal share for each goal of the environment's first goal set, or for two goals if it has none",
    ),
)

# rankings of places
_register(
    *(ranking_population(num_rankings) for num_rankings in (5, 10, 20, 50)),
    ranking_population(100, num_held_out=20),
    GroupPopulation(
        "mallows-rankings",
        "rankings of five places around three centres with shares 0.6, 0.3 and 0.1 (Mallows, dispersion 1)",
        tuple(
            RankingGroup(centre, share, dispersion=1.0)
            for centre, share in zip(ordered_rankings()[:3], (0.6, 0.3, 0.1), strict=True)
        ),
    ),
)

# weights of attributes
_name, _both = "function-or-material", ("function", "material")
_words = "two groups of equal share: one sorts by function, one by material"
_register(GroupPopulation(_name, _words, sorters(_both)))
for _many in RATIOS:
    _words = f"the groups of {_name} in the ratio 1:{_many}; those who sort by function are the minority"
    _register(GroupPopulation(f"{_name}-1-{_many}", _words, sorters(_both, (1, _many))))
_register(
    GroupPopulation(
        "five-attributes",
        "five groups of equal share, each sorting by one of function, material, colour, size and fragility",
        sorters(ATTRIBUTES),
    ),
    GroupPopulation(
        "weighted-attributes",
        "all users weigh five attributes in their own way, each of five groups mainly one; held out: all about alike",
        leaning_groups(concentration=10.0),
        (AttributeGroup("by all alike", (0.2,) * len(ATTRIBUTES), concentration=50.0),),
    ),
)

# any goals
_register(
    WellKnownGoalsPopulation("agreeing", "one group: all users want the environment's first goal", num_goals=1),
    WellKnownGoalsPopulation(
        "conflicting-pairs",
        "two groups of equal share; the utility of one is one minus the utility of the other",
        num_goals=1,
        with_opposites=True,
    ),
    ContinuousGoalsPopulation(
        "continuous-goals",
        "all users want something of their own, drawn from all goals; grouped by region; test users draw anew",
    ),
    PopulationWithTeachers(
        WellKnownGoalsPopulation("two-well-known-goals", "", num_goals=2),
        mixed_teachers,
        "mixed-rationality",
        "two groups of equal share who want the environment's first two goals; all users answer in their own way",
    ),
)
