"""The populations by name, and the one from which most of them are made: groups of users who want the same.

Your own population is fifteen lines in a file of yours, `--population path/to/file.py:Name`: a `GroupPopulation`, a
function that returns one, or any class with the methods of `users.Population`.
"""

from __future__ import annotations

from typing import Any

from pluralbench.envs.maze.maps import HELD_OUT_GOALS, TEN_GOALS, TWO_GOALS
from pluralbench.preference_oracles.attribute_populations import (
    ATTRIBUTES,
    AttributeGroup,
    leaning_groups,
    sorters,
)
from pluralbench.preference_oracles.goal_populations import (
    FOUR_ZONES,
    ContinuousGoalsPopulation,
    WellKnownGoalsPopulation,
)
from pluralbench.preference_oracles.group_populations import (
    GroupPopulation,
    equal_shares,
    held_out,
    majority_and_minority,
)
from pluralbench.preference_oracles.ranking_populations import (
    RankingGroup,
    ordered_rankings,
    ranking_population,
)
from pluralbench.preference_oracles.teacher_populations import TaughtPopulation, mixed_teachers
from pluralbench.preference_oracles.users import Population, PopulationError
from pluralbench.registry import Registry


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
    try:
        thing = populations.get(specification)
    except TypeError as error:
        raise PopulationError(str(error)) from error
    if not isinstance(thing, type) and isinstance(thing, Population):
        return thing
    try:
        made = thing()
    except TypeError as error:
        raise PopulationError(f"{specification} cannot be made without arguments: {error}") from error
    if isinstance(made, type) or not isinstance(made, Population):
        missing = [n for n in ("name", "description", "train_users", "held_out_users") if not hasattr(made, n)]
        raise PopulationError(f"{specification} is no population: a {type(made).__name__} has no {', '.join(missing)}")
    return made


def _register(*given: Population) -> None:
    for population in given:
        populations.register(population.name, population)


_ZONES = FOUR_ZONES[:2]

# the maze
_register(
    GroupPopulation(
        "two-goals", "two groups of equal share who want cells (7, 1) and (7, 10)", equal_shares(TWO_GOALS)
    ),
    GroupPopulation(
        "two-goals-1-6",
        "the groups of two-goals in the ratio 1:6; those who want (7, 1) are the minority",
        majority_and_minority(TWO_GOALS, (1, 6)),
    ),
    GroupPopulation(
        "two-goals-1-10",
        "the groups of two-goals in the ratio 1:10; those who want (7, 1) are the minority",
        majority_and_minority(TWO_GOALS, (1, 10)),
    ),
    GroupPopulation(
        "ten-goals",
        "ten groups of equal share, one for each of ten cells; five further cells are wanted by held-out users only",
        equal_shares(TEN_GOALS),
        held_out(HELD_OUT_GOALS),
    ),
)

# the table
_register(
    GroupPopulation("two-zones", "two groups of equal share who want the block left and right", equal_shares(_ZONES)),
    GroupPopulation(
        "two-zones-1-6",
        "the groups of two-zones in the ratio 1:6; those who want the block left are the minority",
        majority_and_minority(_ZONES, (1, 6)),
    ),
    GroupPopulation(
        "two-zones-1-10",
        "the groups of two-zones in the ratio 1:10; those who want the block left are the minority",
        majority_and_minority(_ZONES, (1, 10)),
    ),
    GroupPopulation("four-zones", "four groups of equal share, one for each of four zones", equal_shares(FOUR_ZONES)),
)

# the household
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
    GroupPopulation(
        "function-or-material",
        "two groups of equal share: one sorts by function, one by material",
        sorters(("function", "material")),
    ),
    *(
        GroupPopulation(
            f"function-or-material-1-{many}",
            f"the groups of function-or-material in the ratio 1:{many}; those who sort by function are the minority",
            sorters(("function", "material"), (1, many)),
        )
        for many in (6, 10)
    ),
    GroupPopulation(
        "five-attributes",
        "five groups of equal share, each sorting by one of function, material, colour, size and fragility",
        sorters(ATTRIBUTES),
    ),
    GroupPopulation(
        "weighted-attributes",
        "everybody weighs five attributes in their own way, each of five groups mostly one; held out: all about alike",
        leaning_groups(concentration=10.0),
        (AttributeGroup("by all alike", (0.2,) * len(ATTRIBUTES), concentration=50.0),),
    ),
)

# any environment
_register(
    WellKnownGoalsPopulation("agreeing", "one group: everybody wants the environment's first goal", num_goals=1),
    WellKnownGoalsPopulation(
        "conflicting-pairs",
        "two groups of equal share; the utility of one is one minus the utility of the other",
        num_goals=1,
        with_opposites=True,
    ),
    ContinuousGoalsPopulation(
        "continuous-goals",
        "everybody wants something of their own, drawn from all goals; grouped by region; held-out users draw anew",
    ),
    TaughtPopulation(
        WellKnownGoalsPopulation("two-well-known-goals", "", num_goals=2),
        mixed_teachers,
        "mixed-rationality",
        "two groups of equal share who want the environment's first two goals; everybody answers in their own way",
    ),
)
