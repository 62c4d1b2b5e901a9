"""Segments within episodes, and the three strategies."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike
from small_worlds import LineWorld, as_dataset, line_data

from pluralbench.envs.transitions import TransitionDataset
from pluralbench.preference_oracles.queries import NUM_STRATA, QueryError, draw_pairs, rate_segments, segment_pool

TASK = LineWorld()
DATA = line_data(num_episodes=7, length=20)
GOALS = np.stack([TASK.goal((0, 0)), TASK.goal((11, 9))])


def sample_queries(
    data: TransitionDataset,
    num_queries: int,
    length: int,
    generator: np.random.Generator,
    episodes: ArrayLike | None = None,
    strategy: str = "random",
    goals: np.ndarray | None = None,
) -> np.ndarray:
    pool = segment_pool(data, length, episodes)
    rated = None if goals is None else rate_segments(TASK, data, pool, goals, generator)
    return draw_pairs(pool, num_queries, generator, strategy, rated)


@pytest.mark.parametrize("length", [1, 2, 7, 20])
def test_the_pool_has_every_segment_within_an_episode_once(length: int) -> None:
    by_hand = [e * 20 + i for e in range(7) for i in range(20 - length + 1)]
    np.testing.assert_array_equal(segment_pool(DATA, length).starts, by_hand)
    some = segment_pool(DATA, length, episodes=[5, 2])
    assert {start // 20 for start in some.starts} == {5, 2}
    mask = np.zeros(7, bool)
    mask[3] = True
    assert {start // 20 for start in segment_pool(DATA, length, mask).starts} == {3}


def test_episodes_that_are_too_short_give_nothing() -> None:
    data = as_dataset(np.zeros((23, 3)), 10)  # two episodes of 10 and one of 3
    np.testing.assert_array_equal(segment_pool(data, 9).starts, [0, 1, 10, 11])
    assert 20 in segment_pool(data, 3).starts


@pytest.mark.parametrize("strategy", ["random", "stratified", "near-tie"])
@pytest.mark.parametrize("length", [1, 4])
def test_queries_stay_within_episodes(strategy: str, length: int) -> None:
    generator = np.random.default_rng(0)
    pairs = sample_queries(DATA, 500, length, generator, np.arange(3, 6), strategy, GOALS)
    assert pairs.shape == (500, 2)
    assert pairs.dtype == np.int64
    np.testing.assert_array_equal(pairs // 20, (pairs + length - 1) // 20)
    assert set(np.unique(pairs // 20)) <= {3, 4, 5}
    again = sample_queries(DATA, 500, length, np.random.default_rng(0), np.arange(3, 6), strategy, GOALS)
    np.testing.assert_array_equal(pairs, again)


def test_random_pairs_are_uniform_and_never_a_segment_with_itself() -> None:
    data = as_dataset(np.zeros((4, 3)), 4)
    pairs = sample_queries(data, 24_000, 1, np.random.default_rng(0))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    counts = np.bincount(pairs[:, 0] * 4 + pairs[:, 1], minlength=16).reshape(4, 4)
    expected = 24_000 / 12
    assert (np.abs(counts[~np.eye(4, dtype=bool)] - expected) < 5 * np.sqrt(expected)).all()


def test_a_single_segment_is_compared_with_itself() -> None:
    data = as_dataset(np.zeros((4, 3)), 4)
    np.testing.assert_array_equal(sample_queries(data, 2, 4, np.random.default_rng(0)), np.zeros((2, 2)))


def test_near_ties_are_nearer_and_no_ties() -> None:
    data = line_data(200)
    gaps = {}
    for strategy in ("random", "near-tie"):
        pairs = sample_queries(data, 2000, 1, np.random.default_rng(0), None, strategy, GOALS[:1])
        utilities = TASK.utility(data.observations[pairs], GOALS[0])
        gaps[strategy] = np.abs(utilities[:, 0] - utilities[:, 1])
    assert np.median(gaps["near-tie"]) < 0.2 * np.median(gaps["random"])
    assert (gaps["near-tie"] > 0).all()


def test_near_tie_avoids_exact_ties_where_others_exist() -> None:
    positions = np.zeros((1000, 3))
    positions[::2, 0] = 0.5  # half of the pairs tie exactly
    data = as_dataset(positions, 10)
    pairs = sample_queries(data, 1000, 1, np.random.default_rng(0), None, "near-tie", GOALS[:1])
    x = positions[pairs, 0]
    assert (x[:, 0] != x[:, 1]).mean() > 0.98


def test_strata_bring_rare_outcomes_forward() -> None:
    positions = np.zeros((10_000, 3))
    positions[:, 0] = np.random.default_rng(0).uniform(0, 0.1, 10_000)
    positions[:50, 0] = 0.95  # half a percent succeeds
    data = as_dataset(positions, 10)
    goal = TASK.goal((11, 4))[None]
    shares = {}
    for strategy in ("random", "stratified"):
        pairs = sample_queries(data, 4000, 1, np.random.default_rng(0), None, strategy, goal)
        shares[strategy] = (positions[pairs, 0] > 0.9).any(1).mean()
        if strategy == "stratified":
            utilities = TASK.utility(data.observations, goal[0])
            width = np.ptp(utilities) / NUM_STRATA
            level = np.minimum((utilities - utilities.min()) / width, NUM_STRATA - 1).astype(int)
            assert (level[pairs[:, 0]] != level[pairs[:, 1]]).all()
    assert shares["random"] < 0.03
    assert shares["stratified"] > 0.5


def test_what_cannot_be_asked_is_refused() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(QueryError, match=r"21 steps are longer than every episode \(the longest has 20\)"):
        sample_queries(DATA, 5, 21, generator)
    with pytest.raises(QueryError, match="at least 1 step, not 0"):
        sample_queries(DATA, 5, 0, generator)
    with pytest.raises(QueryError, match="longer than every episode"):
        sample_queries(DATA, 5, 1, generator, episodes=[])
    with pytest.raises(QueryError, match="has 7 episodes, from 0 on; got episodes 7 to 7"):
        sample_queries(DATA, 5, 1, generator, episodes=[7])
    with pytest.raises(QueryError, match=r"unknown strategy 'best' \(known: random"):
        sample_queries(DATA, 5, 1, generator, strategy="best")
    with pytest.raises(QueryError, match="near-tie needs segments rated by reference goals"):
        sample_queries(DATA, 5, 1, generator, strategy="near-tie")
