"""Users who rank places: fixed rankings, and rankings scattered around a few centres after Mallows.

A ranking of n places lists their indices, the favourite first: (2, 0, 1) likes place 2 best and place 1 least.

Mallows' model (Biometrika, 1957) gives a ranking r the probability phi^d(r, centre) / Z, with phi = exp(-dispersion)
and d Kendall's distance, the number of pairs of places that the two order differently.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.multigoal import GoalError, MultiGoalTask
from preference_oracles.group_populations import (
    HELD_OUT_IDS_FROM,
    check_shares,
    draw_groups,
    expressed_goals,
    group_names,
    held_out_generator,
    held_out_index,
    stacked_teacher,
    user_ids,
)
from preference_oracles.teachers import RATIONAL, Teacher
from preference_oracles.users import PopulationError, Users

Int = NDArray[np.int64]

NUM_PLACES = 5
"""Places that a user of Habitat-Rearrange ranks; 120 rankings."""
NUM_TRAIN_RANKINGS = 100
"""Of the 120; the other twenty are held out."""
_ORDER_SEED = 13
"""The order of the rankings; with this one three of the first five rank place 0 (the desk) first, as in the paper."""


def mallows_rankings(centre: Sequence[int], dispersion: float, num: int, generator: np.random.Generator) -> Int:
    """Rankings (num, n) drawn from Mallows' model by repeated insertion.

    Args:
        centre: the most likely ranking, places by falling preference.
        dispersion: -log(phi) >= 0; 0 makes all rankings equally likely, infinity leaves only the centre.
        num: how many.
        generator: source of randomness.
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


def kendall_distance(a: Int, b: Int) -> Int:
    """Number of pairs of places that rankings a and b (..., n) order differently."""
    ranks_a, ranks_b = np.argsort(a, axis=-1), np.argsort(b, axis=-1)
    i, j = np.triu_indices(ranks_a.shape[-1], k=1)
    differ = (ranks_a[..., i] < ranks_a[..., j]) != (ranks_b[..., i] < ranks_b[..., j])
    return differ.sum(-1)


@dataclass(frozen=True)
class RankingGroup:
    """Users whose rankings lie around one.

    Attributes:
        centre: the group's ranking, places by falling preference.
        share: their share of the train users; 0 in a held-out group.
        dispersion: of Mallows' model; infinite where all have the centre's ranking.
        name: empty to call them by the environment's name of the centre.
        teacher: how they answer.
    """

    centre: tuple[int, ...]
    share: float = 0.0
    dispersion: float = np.inf
    name: str = ""
    teacher: Teacher = RATIONAL

    def __post_init__(self) -> None:
        if sorted(self.centre) != list(range(len(self.centre))):
            raise PopulationError(f"a ranking lists every place from 0 to n - 1 once, got {self.centre}")
        if not self.dispersion >= 0:
            raise PopulationError(f"Mallows' dispersion must be 0 or more, is {self.dispersion}")

    def title(self, centre: str) -> str:
        """What to call the group when it has no name of its own."""
        return centre if np.isinf(self.dispersion) else f"around {centre}"


@dataclass(frozen=True)
class RankingPopulation:
    """Groups of users whose rankings scatter around the groups' centres; shares are realised by drawing.

    Attributes:
        name: its name on the command line.
        description: one line: who they are, their shares, what is held out.
        groups: the train groups; their shares sum to one.
        held_out_groups: groups of held-out users only.
    """

    name: str
    description: str
    groups: tuple[RankingGroup, ...]
    held_out_groups: tuple[RankingGroup, ...] = ()

    def __post_init__(self) -> None:
        check_shares(self.name, [g.share for g in self.groups], [g.share for g in self.held_out_groups])
        if len({len(group.centre) for group in (*self.groups, *self.held_out_groups)}) > 1:
            raise PopulationError(f"population {self.name!r}: all rankings must be of the same number of places")

    def train_users(self, task: MultiGoalTask, num_users: int, generator: np.random.Generator) -> Users:
        """`num_users` users, each of a group drawn by the shares and with a ranking drawn around its centre."""
        index = draw_groups([group.share for group in self.groups], num_users, generator)
        return self._users(task, self.groups, index, 0, generator)

    def held_out_users(self, task: MultiGoalTask, users_per_group: int, generator: np.random.Generator) -> Users:
        """`users_per_group` new users of every group, with newly drawn rankings."""
        everyone = (*self.groups, *self.held_out_groups)
        index = held_out_index(len(everyone), users_per_group)
        return self._users(task, everyone, index, HELD_OUT_IDS_FROM, held_out_generator(generator))

    def _users(
        self,
        task: MultiGoalTask,
        everyone: tuple[RankingGroup, ...],
        index: Int,
        first_id: int,
        generator: np.random.Generator,
    ) -> Users:
        check_ranks_places(task, self.name, len(self.groups[0].centre))
        rankings = np.empty((len(index), len(everyone[0].centre)), dtype=np.int64)
        for i, group in enumerate(everyone):
            rows = np.flatnonzero(index == i)
            rankings[rows] = mallows_rankings(group.centre, group.dispersion, len(rows), generator)
        centres = expressed_goals(task, np.array([group.centre for group in everyone]), self.name)
        names = [group.name or group.title(task.goal_name(goal)) for group, goal in zip(everyone, centres, strict=True)]
        return Users(
            ids=user_ids(first_id, len(index)),
            group_names=group_names(self.name, names, len(self.groups)),
            group_index=index,
            goals=expressed_goals(task, rankings, self.name),
            teacher=stacked_teacher([group.teacher for group in everyone], index),
        )


def check_ranks_places(task: MultiGoalTask, population: str, num_places: int) -> None:
    """Raises PopulationError where the task's goals are not rankings.

    Numbers that are a ranking may well be a goal of another kind, weights for instance. A task of rankings is known by
    refusing what ranks the same place everywhere.
    """
    try:
        task.goal([1] * num_places)
    except GoalError:
        return
    reason = f"its users rank places, and a goal there is any {num_places} numbers"
    raise PopulationError(f"population {population!r} does not suit environment {task.name!r}: {reason}")


def ordered_rankings(num_places: int = NUM_PLACES) -> list[tuple[int, ...]]:
    """All rankings of so many places in one random order, the same in every run."""
    rankings = list(itertools.permutations(range(num_places)))
    order = np.random.default_rng(_ORDER_SEED).permutation(len(rankings))
    return [rankings[i] for i in order]


def ranking_population(num_rankings: int, num_held_out: int = 0) -> RankingPopulation:
    """Groups of equal share, one for each of the first `num_rankings` rankings of five places in one random order.

    Smaller populations are parts of larger ones, and the last `num_held_out` of the 120 rankings are held out, so that
    success can be compared over the number of rankings (5 to 100, say).
    """
    rankings = ordered_rankings()
    if not 1 <= num_rankings <= len(rankings) - num_held_out:
        raise PopulationError(f"of {len(rankings)} rankings, {num_held_out} held out, {num_rankings} cannot be taken")
    words = f"{num_rankings} random rankings of five places, of equal share"
    if num_held_out:
        words += f"; {num_held_out} further rankings are held out"
    name = {5: "five", 100: "hundred"}.get(num_rankings, str(num_rankings))
    return RankingPopulation(
        f"{name}-rankings",
        words,
        tuple(RankingGroup(ranking, 1 / num_rankings) for ranking in rankings[:num_rankings]),
        tuple(RankingGroup(ranking) for ranking in rankings[len(rankings) - num_held_out :]),
    )
