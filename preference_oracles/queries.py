"""Which pairs of segments the users are shown.

A segment is T successive observations of one episode. Pairs are drawn

| strategy | how |
|---|---|
| random | both segments uniformly among all, never the same one twice in a pair |
| stratified | segments from two levels of utility, every level equally often, so that rare outcomes show |
| near-tie | of several random pairs the one whose utilities are closest without being equal |

The last two look at utilities. They use those of *reference goals*, one drawn for each pair from goals that are given,
never the goal of the user who will be asked: otherwise the choice of the question would give the user away before the
answer does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.preference_oracles.preferences import PreferenceError
from pluralbench.registry import unknown_name

Int = NDArray[np.int64]

STRATEGIES = ("random", "stratified", "near-tie")
NUM_STRATA = 10
"""Levels of utility, of equal width between the minimum and the maximum, that `stratified` draws from."""
NUM_TRIES = 8
"""Random pairs among which `near-tie` chooses one."""
MAX_CANDIDATES = 16_384
"""Segments, drawn at random, whose utilities `stratified` and `near-tie` compute."""


class QueryError(PreferenceError):
    """Queries that the data cannot give; the message says what it could."""


@dataclass(frozen=True)
class SegmentPool:
    """All segments of one length."""

    starts: Int
    """(M,) int64, the transition at which each segment begins."""
    segment_length: int
    """T."""

    def __len__(self) -> int:
        return len(self.starts)


def segment_pool(dataset: TransitionDataset, segment_length: int, episodes: ArrayLike | None = None) -> SegmentPool:
    """Every segment of `segment_length` steps that lies within one episode.

    Args:
        dataset: N transitions.
        segment_length: T >= 1.
        episodes: indices of the episodes to take them from (rows of `dataset.episode_bounds`); None for all.

    Raises:
        QueryError: T < 1, T longer than every episode, or no such episode.
    """
    if segment_length < 1:
        raise QueryError(f"a segment has at least 1 step, not {segment_length}")
    bounds = dataset.episode_bounds
    if episodes is not None:
        chosen = np.asarray(episodes)
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(bounds):
            found = f"{rows.min()} to {rows.max()}"
            raise QueryError(f"the data has {len(bounds)} episodes, from 0 on; got episodes {found}")
        bounds = bounds[rows]
    lengths = bounds[:, 1] - bounds[:, 0]
    counts = np.maximum(lengths - segment_length + 1, 0)
    if counts.sum() == 0:
        most = lengths.max(initial=0)
        raise QueryError(f"segments of {segment_length} steps are longer than every episode (the longest has {most})")
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    starts = np.arange(counts.sum()) - np.repeat(before - bounds[:, 0], counts)
    return SegmentPool(starts=starts, segment_length=segment_length)


@dataclass(frozen=True)
class RatedSegments:
    """Some segments with their summed utility for some reference goals."""

    starts: Int
    """(C,) int64."""
    utilities: NDArray[np.float64]
    """(M, C) float64, for each of M reference goals."""


def rate_segments(
    task: MultiGoalTask,
    dataset: TransitionDataset,
    pool: SegmentPool,
    goals: NDArray[np.floating],
    generator: np.random.Generator,
) -> RatedSegments:
    """Summed utilities, for the reference goals (M, G), of at most `MAX_CANDIDATES` segments drawn from the pool."""
    starts = pool.starts
    if len(starts) > MAX_CANDIDATES:
        starts = starts[generator.choice(len(starts), MAX_CANDIDATES, replace=False)]
    observations = segments_at(dataset, starts, pool.segment_length)  # (C, T, S)
    rows = [task.utility(observations, goal).sum(-1, dtype=np.float64) for goal in np.asarray(goals)]
    return RatedSegments(starts=starts, utilities=np.stack(rows))


def draw_pairs(
    pool: SegmentPool,
    num_queries: int,
    generator: np.random.Generator,
    strategy: str = "random",
    rated: RatedSegments | None = None,
) -> Int:
    """Starts (num_queries, 2) of pairs; `rated` is needed by the strategies that look at utilities."""
    if strategy not in STRATEGIES:
        raise QueryError(unknown_name("strategy", strategy, STRATEGIES))
    if strategy == "random":
        return pool.starts[_different_pairs(len(pool), (num_queries,), generator)]
    if rated is None:
        raise QueryError(f"the strategy {strategy} needs segments rated by reference goals")
    goals = generator.integers(len(rated.utilities), size=num_queries)
    choose = _stratified if strategy == "stratified" else _near_tie
    return rated.starts[choose(rated.utilities, goals, generator)]


def segments_at(dataset: TransitionDataset, starts: Int, segment_length: int) -> NDArray[np.float32]:
    """Observations (..., T, S) of the segments that begin at `starts` (...)."""
    if segment_length == 1:
        return dataset.observations[starts][..., None, :]
    return dataset.observations[starts[..., None] + np.arange(segment_length)]


def _different_pairs(num: int, shape: tuple[int, ...], generator: np.random.Generator) -> Int:
    """Indices (*shape, 2) below `num`, uniform among pairs of different ones (equal ones where num is 1)."""
    pairs = np.empty((*shape, 2), dtype=np.int64)
    pairs[..., 0] = generator.integers(num, size=shape)
    pairs[..., 1] = generator.integers(max(num - 1, 1), size=shape)
    if num > 1:
        pairs[..., 1] += pairs[..., 1] >= pairs[..., 0]
    return pairs


def _stratified(utilities: NDArray[np.float64], goals: Int, generator: np.random.Generator) -> Int:
    """Two different levels of utility for each query's goal, uniformly, then one segment of each."""
    pairs = np.empty((len(goals), 2), dtype=np.int64)
    for goal in np.unique(goals):
        values = utilities[goal]
        low, high = values.min(), values.max()
        width = (high - low) / NUM_STRATA or 1.0
        stratum = np.minimum(((values - low) / width).astype(np.int64), NUM_STRATA - 1)
        order = np.argsort(stratum, kind="stable")
        counts = np.bincount(stratum, minlength=NUM_STRATA)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        filled = np.flatnonzero(counts)
        rows = np.flatnonzero(goals == goal)
        chosen = filled[_different_pairs(len(filled), (len(rows),), generator)]  # (rows, 2)
        within = (generator.random(chosen.shape) * counts[chosen]).astype(np.int64)
        pairs[rows] = order[first[chosen] + within]
    return pairs


def _near_tie(utilities: NDArray[np.float64], goals: Int, generator: np.random.Generator) -> Int:
    """Of `NUM_TRIES` random pairs for each query the one with the smallest difference that is not zero."""
    tries = _different_pairs(utilities.shape[1], (len(goals), NUM_TRIES), generator)
    gap = np.abs(utilities[goals[:, None], tries[..., 0]] - utilities[goals[:, None], tries[..., 1]])
    best = np.argmin(np.where(gap > 0, gap, np.inf), axis=1)
    return tries[np.arange(len(goals)), best]
