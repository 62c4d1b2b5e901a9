"""The populations by name.

A population of your own is fifteen lines in a file outside this repository, `--population path/to/file.py:Name`: a
`GroupPopulation`, a function that returns one, or any class with the methods of `users.Population`.
"""

from __future__ import annotations

from typing import Any

from pluralbench.preference_oracles.attribute_populations import ATTRIBUTES, AttributeGroup, leaning_groups, sorters
from pluralbench.preference_oracles.goal_populations import (
    ContinuousGoalsPopulation,
    NamedGoals,
    WellKnownGoalsPopulation,
)
from pluralbench.preference_oracles.group_populations import GroupPopulation
from pluralbench.preference_oracles.ranking_populations import RankingGroup, ordered_rankings, ranking_population
from pluralbench.preference_oracles.teacher_populations import PopulationWithTeachers, mixed_teachers
from pluralbench.preference_oracles.users import Population, PopulationError
from pluralbench.registry import Registry

RATIOS = (6, 10)
"""Users of the majority for each one of the minority, in the populations with a minority."""


def _check(thing: object) -> None:
    if not isinstance(thing, Population) and not callable(thing):
        raise TypeError(f"expected a population, or a class or function that makes one, got a {type(thing).__name__}")


populations: Registry[Any] = Registry("population", "pluralbench.populations", _check)


def get_population(specification: str) -> Population:
    """The population of this name, or at `path/to/file.py:Name`.

    `Name` is a population, or a class or function that gives one when called without arguments.

    Raises:
        UnknownNameError: nothing goes by this name; the message offers the nearest.
        PopulationError: what goes by it is no population.
    """
    thing = populations.get(specification)
    if not isinstance(thing, type) and isinstance(thing, Population):
        return thing
    try:
        made = thing()
    except TypeError as error:
        raise PopulationError(f"{specification} cannot be made without arguments: {error}") from error
    if isinstance(made, type) or not isinstance(made, Population):
        missing = [n for n in ("name", "description", "train_users", "test_users") if not hasattr(made, n)]
        raise PopulationError(f"{specification} is no population: a {type(made).__name__} has no {', '.join(missing)}")
    return made


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
