"""Users who rank places: fixed rankings, and rankings scattered around a few centres after Mallows.

A ranking of n places lists their indices, the favourite first: (2, 0, 1) prefers place 2 to 0 and 0 to 1.

Mallows' model (Biometrika, 1957) gives a ranking r the probability phi^d(r, centre) / Z, with phi = exp(-dispersion)
and d Kendall's distance, the number of pairs of places that the two order differently.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.multigoal import GoalError, MultiGoalTask
from pluralbench.preference_oracles.group_populations import GroupPopulation, expressed_goals
from pluralbench.preference_oracles.teachers import RATIONAL, Teacher
from pluralbench.preference_oracles.users import PopulationError

Int = NDArray[np.int64]

NUM_PLACES = 5
"""Places that a user ranks; 120 rankings."""
_ORDER_SEED = 13
"""The order of the rankings; with this one three of the first five rank place 0 (the desk) first, as in the paper."""


def mallows_rankings(centre: Sequence[int], dispersion: float, num: int, generator: np.random.Generator) -> Int:
    """Rankings (num, n) drawn from Mallows' model by repeated insertion.

    Args:
        centre: the most likely ranking, places by falling preference.
        dispersion: -log(phi) >= 0; 0 makes all rankings equally likely, infinity leaves only the centre.
        num: how many rankings.
        generator: what draws them.
    """
    places = np.asarray(centre, dtype=np.int64)
    rank = np.zeros((num, len(places)), dtype=np.int64)  # of the centre's i-th place
    for i in range(1, len(places)):
        # the i-th place passes `passed` of the places before it, with probability in proportion to phi^passed
        weights = np.exp(-dispersion * np.arange(i + 1)) if np.isfinite(dispersion) else np.eye(1, i + 1)[0]
        edges = np.cumsum(weights / weights.sum())[:-1]
        passed = np.searchsorted(edges, generator.random(num), side="right")
        rank[:, i] = i - passed
        rank[:, :i] += rank[:, :i] >= rank[:, i : i + 1]
    rankings = np.empty_like(rank)
    np.put_along_axis(rankings, rank, np.broadcast_to(places, rank.shape), axis=1)
    return rankings


@dataclass(frozen=True)
class RankingGroup:
    """Users whose rankings lie around one."""

    centre: tuple[int, ...]
    """The group's ranking, places by falling preference."""
    share: float = 0.0
    """Their share of the train users; 0 in a held-out group."""
    dispersion: float = np.inf
    """Of Mallows' model; infinite where all have the centre's ranking."""
    name: str = ""
    """Empty to call them by the environment's name of the centre."""
    teacher: Teacher = RATIONAL
    """How they answer."""

    def __post_init__(self) -> None:
        if sorted(self.centre) != list(range(len(self.centre))):
            raise PopulationError(f"a ranking lists every place from 0 to n - 1 once, got {self.centre}")
        if not self.dispersion >= 0:
            raise PopulationError(f"Mallows' dispersion must be 0 or more, is {self.dispersion}")

    def title(self, task: MultiGoalTask) -> str:
        """Its name, or the environment's name of the centre."""
        centre = task.goal_name(task.goal(self.centre))
        return self.name or (centre if np.isinf(self.dispersion) else f"around {centre}")

    def draw(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Rankings (num_users, n) from Mallows' model."""
        check_ranks_places(task, len(self.centre))
        return expressed_goals(task, mallows_rankings(self.centre, self.dispersion, num_users, generator))


def check_ranks_places(task: MultiGoalTask, num_places: int) -> None:
    """Raises GoalError where the task's goals are not rankings.

    Numbers that are a ranking may well be a goal of another kind, weights for instance. A task of rankings is known by
    refusing what ranks the same place everywhere.
    """
    try:
        task.goal([1] * num_places)
    except GoalError:
        return
    raise GoalError(f"its users rank places, and a goal there is any {num_places} numbers")


def ordered_rankings(num_places: int = NUM_PLACES) -> list[tuple[int, ...]]:
    """All rankings of so many places in one random order, the same in every run."""
    rankings = list(itertools.permutations(range(num_places)))
    order = np.random.default_rng(_ORDER_SEED).permutation(len(rankings))
    return [rankings[i] for i in order]


def ranking_population(num_rankings: int, num_held_out: int = 0) -> GroupPopulation:
    """Groups of equal share, one for each of the first `num_rankings` rankings of five places in one random order.

    Smaller populations are parts of larger ones, and the last `num_held_out` of the 120 rankings are held out, so that
    success can be compared over the number of rankings, for example from 5 to 100.
    """
    rankings = ordered_rankings()
    if not 1 <= num_rankings <= len(rankings) - num_held_out:
        raise PopulationError(f"of {len(rankings)} rankings, {num_held_out} held out, {num_rankings} cannot be taken")
    words = f"{num_rankings} random rankings of five places, of equal share"
    if num_held_out:
        words += f"; {num_held_out} further rankings are held out"
    name = {5: "five", 100: "hundred"}.get(num_rankings, str(num_rankings))
    return GroupPopulation(
        f"{name}-rankings",
        words,
        tuple(RankingGroup(ranking, 1 / num_rankings) for ranking in rankings[:num_rankings]),
        tuple(RankingGroup(ranking) for ranking in rankings[len(rankings) - num_held_out :]),
    )
