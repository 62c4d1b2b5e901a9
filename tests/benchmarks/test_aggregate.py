"""Statistics against values worked out by hand."""

import numpy as np
import pytest

from pluralbench.benchmarks import aggregate

SCORES = np.array([[0.0, 1.0], [0.5, 0.9], [1.0, 0.8], [0.2, 0.4]])


def test_mean_worst_gap_and_optimality_gap_by_hand():
    assert aggregate.mean(SCORES) == pytest.approx(4.8 / 8)
    assert aggregate.worst_column(SCORES) == pytest.approx(1.7 / 4)
    assert aggregate.gap(SCORES) == pytest.approx((3.1 - 1.7) / 4)
    assert aggregate.optimality_gap(SCORES) == pytest.approx(1 - 4.8 / 8)


def test_interquartile_mean_keeps_the_middle_half():
    # sorted: 0 .2 | .4 .5 .8 .9 | 1 1
    assert aggregate.interquartile_mean(SCORES) == pytest.approx((0.4 + 0.5 + 0.8 + 0.9) / 4)


def test_probability_of_improvement_counts_ties_half():
    x, y = np.array([[0.5], [0.7]]), np.array([[0.5], [0.9]])
    # pairs: .5=.5 (half), .5<.9, .7>.5 (one), .7<.9
    assert aggregate.probability_of_improvement(x, y) == pytest.approx(1.5 / 4)
    assert aggregate.probability_of_improvement(y, x) == pytest.approx(1 - 1.5 / 4)


def test_performance_profile_is_the_share_above():
    np.testing.assert_allclose(aggregate.performance_profile(SCORES, [0.0, 0.45, 1.0]), [7 / 8, 5 / 8, 0.0])


def test_bootstrap_interval_matches_the_normal_approximation():
    scores = np.random.default_rng(0).normal(0.5, 0.1, size=(50, 4))
    interval = aggregate.stratified_bootstrap(scores, aggregate.mean, np.random.default_rng(1), 20_000)
    half = 1.96 * np.sqrt((scores.var(axis=0) / 50).mean() / 4)
    assert interval.estimate == pytest.approx(scores.mean())
    assert interval.high - interval.estimate == pytest.approx(half, rel=0.05)


def test_bootstrap_of_equal_seeds_has_no_width():
    interval = aggregate.stratified_bootstrap(
        np.full((3, 2), 0.7), aggregate.worst_column, np.random.default_rng(0), 100
    )
    assert interval == aggregate.Interval(pytest.approx(0.7), pytest.approx(0.7), pytest.approx(0.7))


def test_nested_bootstrap_widens_with_users_who_differ():
    same = [np.array([50, 50, 50, 50])] * 3
    apart = [np.array([0, 100, 0, 100])] * 3
    width = [
        (i := aggregate.nested_bootstrap(s, 100, np.random.default_rng(0), 4_000)).high - i.low for s in (same, apart)
    ]
    assert width[1] > 3 * width[0]
    assert aggregate.nested_bootstrap(apart, 100, np.random.default_rng(0), 100).estimate == 0.5


def test_wilson_interval_by_hand():
    # z = 1.959964, n = 10, p = 1: centre (1 + z^2 / 20) / (1 + z^2 / 10), low = 1 / (1 + z^2 / 10)
    interval = aggregate.wilson_interval(10, 10)
    assert interval.low == pytest.approx(1 / (1 + 1.959964**2 / 10), abs=1e-5)
    assert interval.high == pytest.approx(1.0)
