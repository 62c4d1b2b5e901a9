"""The populations by name, and the one from which most of them are made: groups of users who want the same.

Your own population is fifteen lines in a file of yours, `--population path/to/file.py:Name`: a `GroupPopulation`, a
function that returns one, or any class with the methods of `users.Population`.
"""

from __future__ import annotations

from typing import Any

from envs.registry import Registry
from preference_oracles.group_populations import GroupPopulation, equal_shares, held_out, majority_and_minority
from preference_oracles.users import Population, PopulationError


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


def register_population(population: Population) -> Population:
    """Makes a population known by its name."""
    populations.register(population.name, population)
    return population


TWO_CELLS = ((7, 1), (7, 10))
TEN_CELLS = ((7, 1), (7, 10), (1, 1), (1, 10), (3, 8), (5, 4), (1, 4), (5, 10), (4, 1), (5, 7))
HELD_OUT_CELLS = ((3, 10), (7, 4), (1, 6), (3, 1), (7, 8))
"""Cells (row, column) of the large maze, as in VPL's released code."""


register_population(
    GroupPopulation(
        "two-goals", "two groups of equal share who want the cells (7, 1) and (7, 10)", equal_shares(TWO_CELLS)
    )
)
for _minority in (6, 10):
    register_population(
        GroupPopulation(
            f"two-goals-1-{_minority}",
            f"the groups of two-goals in the ratio 1:{_minority}; (7, 1) is the minority",
            majority_and_minority(TWO_CELLS, (1, _minority)),
        )
    )
register_population(
    GroupPopulation(
        "ten-goals",
        "ten groups of equal share, one for each of ten cells; five further cells are wanted by held-out users only",
        equal_shares(TEN_CELLS),
        held_out(HELD_OUT_CELLS),
    )
)
