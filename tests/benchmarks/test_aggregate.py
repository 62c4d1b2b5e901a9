"""Statistics against values worked out by hand."""

import numpy as np
import pytest

from pluralbench.benchmarks import aggregate


def bootstrap(successes, episodes, seed=0, **settings):
    return aggregate.nested_bootstrap(
        [np.array(row) for row in successes],
        [np.broadcast_to(of_each, len(row)) for of_each, row in zip(episodes, successes, strict=True)],
        np.random.default_rng(seed),
        **settings,
    )


def test_each_user_is_divided_by_its_own_episodes():
    # 4 episodes with the first seed, 7 with the second: 1/4, 1/4, 1/4, 1/4 and 2/7, 3/7, 3/7, 2/7
    interval = bootstrap([[1, 1, 1, 1], [2, 3, 3, 2]], [4, 7], num_resamples=200)
    assert interval.estimate == pytest.approx((0.25 + 2.5 / 7) / 2)
    assert interval.estimate == pytest.approx(0.3036, abs=1e-4)
    assert 0 <= interval.low < interval.estimate < interval.high <= 1
    # within one seed: 1/2 and 10/10
    assert bootstrap([[1, 10]], [[2, 10]], num_resamples=10).estimate == 0.75


def test_always_succeeding_has_no_width_whatever_the_episodes():
    assert bootstrap([[4, 9], [7]], [[4, 9], [7]], num_resamples=100) == aggregate.Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("successes", "episodes", "seed", "num_resamples", "expected"),
    [
        ([[3, 0, 10, 7], [5, 9, 1, 2], [8, 8, 6, 4]], 10, 0, 10_000, (0.525, 0.3083333333333333, 0.7252083333333303)),
        ([[1, 50, 99], [20, 30, 77]], 100, 7, 500, (0.46166666666666667, 0.21395833333333342, 0.7392916666666666)),
    ],
)
def test_equal_episodes_give_the_numbers_they_always_gave(successes, episodes, seed, num_resamples, expected):
    """Those of the version that knew one number of episodes for all, bit for bit."""
    interval = bootstrap(successes, [episodes] * len(successes), seed, num_resamples=num_resamples)
    assert (interval.estimate, interval.low, interval.high) == expected


def test_the_interval_widens_with_users_who_differ():
    same, apart = ([row] * 3 for row in ([50, 50, 50, 50], [0, 100, 0, 100]))
    width = [(i := bootstrap(s, [100] * 3, num_resamples=4_000)).high - i.low for s in (same, apart)]
    assert width[1] > 3 * width[0]
    assert bootstrap(apart, [100] * 3, num_resamples=100).estimate == 0.5


def test_interquartile_mean_keeps_the_middle_half():
    # sorted: 0 .2 | .4 .5 .8 .9 | 1 1
    assert aggregate.interquartile_mean([0.0, 1.0, 0.5, 0.9, 1.0, 0.8, 0.2, 0.4]) == pytest.approx(2.6 / 4)
    assert aggregate.interquartile_mean([0.3]) == 0.3


def test_worst_group_and_gap_by_hand():
    groups = {"north": 0.9, "south": 0.4, "east": 0.4}
    assert aggregate.worst_group(groups) == "south"
    assert aggregate.gap(groups) == pytest.approx(0.5)


def test_probability_of_improvement_compares_each_user_with_itself_and_counts_ties_half():
    x, y = [0.5, 0.7, 0.2, 1.0], [0.5, 0.9, 0.1, 0.0]
    assert aggregate.probability_of_improvement(x, y) == pytest.approx(2.5 / 4)
    assert aggregate.probability_of_improvement(y, x) == pytest.approx(1.5 / 4)
