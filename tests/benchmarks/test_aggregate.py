"""Statistics against values worked out by hand."""

import numpy as np
import pytest

from pluralbench.benchmarks import aggregate
from pluralbench.benchmarks.aggregate import SeedUsers

Z2 = 1.959963984540054**2
"""The squared normal quantile: Wilson's lower end for n of n is n / (n + Z2)."""


def seed_users(episodes=10, **successes):
    """The users of one seed: successes of each by group."""
    groups = tuple(name for name, counts in successes.items() for _ in counts)
    counts = np.concatenate([np.array(own) for own in successes.values()])
    return SeedUsers(groups, counts, np.broadcast_to(episodes, counts.shape))


def intervals(*seeds, seed=0, **settings):
    return aggregate.success_intervals(seeds, np.random.default_rng(seed), **{"num_resamples": 1_000, **settings})


def difference(first, second):
    return aggregate.paired_difference(first, second, np.random.default_rng(0), num_resamples=1_000)


def test_wilsons_interval_by_hand():
    low, high = aggregate.wilson([1.0, 0.0, 0.5], [8, 8, 10])
    assert low == pytest.approx([8 / (8 + Z2), 0.0, 0.2366], abs=5e-5)
    assert high == pytest.approx([1.0, Z2 / (8 + Z2), 0.7634], abs=5e-5)
    assert low[0] == pytest.approx(0.6756, abs=5e-5)


def test_few_are_fewer_than_five_expected_users_at_either_end():
    assert aggregate.few([1.0, 0.75, 0.75, 0.2, 0.5], [1000, 20, 19, 25, 9]).tolist() == [
        True, False, True, False, True,
    ]  # fmt: skip


def test_each_user_is_divided_by_its_own_episodes():
    # 4 episodes with the first seed, 7 with the second: 1/4, 1/4, 1/4, 1/4 and 2/7, 3/7, 3/7, 2/7
    mean = intervals(seed_users(4, g=[1, 1, 1, 1]), seed_users(7, g=[2, 3, 3, 2])).mean
    assert mean.estimate == pytest.approx((0.25 + 2.5 / 7) / 2)
    assert mean.estimate == pytest.approx(0.3036, abs=1e-4)
    assert 0 <= mean.low < mean.estimate < mean.high <= 1
    # within one seed: 1/2 and 10/10
    assert intervals(seed_users([2, 10], g=[1, 10])).mean.estimate == 0.75


@pytest.mark.parametrize("episodes", [1, 100])
def test_eight_users_who_all_succeed_are_eight_observations(episodes):
    served = intervals(seed_users(episodes, a=[episodes] * 4), seed_users(episodes, b=[episodes] * 4))
    assert served.mean == aggregate.Interval(1.0, pytest.approx(8 / (8 + Z2)), 1.0)
    assert served.worst == aggregate.Interval(1.0, pytest.approx(4 / (4 + Z2)), 1.0)  # of its own four
    assert served.gap == aggregate.Interval(0.0, 0.0, pytest.approx(Z2 / (4 + Z2)))
    none = intervals(seed_users(episodes, a=[0] * 8))
    assert (none.mean.low, none.mean.high) == (0.0, pytest.approx(Z2 / (8 + Z2)))
    assert none.gap is None  # a group alone has none


def test_groups_are_strata():
    """Half of the users at 0 and half at 1, by group: nothing but Wilson's ends of the two is left, in quadrature."""
    mean = intervals(seed_users(a=[0] * 200, b=[10] * 200)).mean
    reach = Z2 / (200 + Z2) / 2  # one group could only be higher, the other only lower
    assert (mean.estimate, mean.low, mean.high) == (0.5, pytest.approx(0.5 - reach), pytest.approx(0.5 + reach))
    assert reach == pytest.approx(0.0094, abs=5e-5)
    mixed = intervals(seed_users(a=[0] * 200 + [10] * 200)).mean
    assert (mixed.low, mixed.high) == pytest.approx((0.451, 0.549), abs=0.006)  # 0.5 +- 1.96 sqrt(0.25 / 400)


def test_the_bootstrap_of_many_users_is_the_normal_interval():
    """One seed, 400 users at 0 or 1 with rate 0.8: 0.8 +- 1.96 sqrt(0.16 / 400)."""
    mean = intervals(seed_users(g=[10] * 320 + [0] * 80), num_resamples=20_000).mean
    assert (mean.low, mean.high) == pytest.approx((0.8 - 0.0392, 0.8 + 0.0392), abs=0.003)
    # users at one rate differ by their episodes alone: 0.8 +- 1.96 sqrt(0.16 / 4000)
    mean = intervals(seed_users(g=[8] * 400), num_resamples=20_000).mean
    assert (mean.low, mean.high) == pytest.approx((0.8 - 0.0124, 0.8 + 0.0124), abs=0.002)


def test_seeds_that_differ_widen_the_interval():
    mean = intervals(*(seed_users(g=[successes] * 40) for successes in (2, 8))).mean
    assert mean.low < 0.25  # a quarter of the resamples are of the first seed alone
    assert mean.high > 0.75


def test_students_interval_of_seeds_by_hand():
    # mean 0.4, deviation 0.2, t of 4 degrees of freedom 2.7764
    seeds = [0.2, 0.4, 0.6, 0.2, 0.6, np.nan]
    none = (np.inf, -np.inf)
    expected = pytest.approx((0.4 - 2.7764 * 0.2 / 5**0.5, 0.4 + 2.7764 * 0.2 / 5**0.5), abs=1e-4)
    assert aggregate.seed_ends(seeds, [0.0] * 6) == expected
    assert aggregate.seed_ends(seeds, [0.08, 0.0, 0.06, 0.0, 0.05, np.nan]) == expected  # 0.038 of 0.04
    assert aggregate.seed_ends(seeds, [0.08, 0.0, 0.06, 0.0, 0.07, np.nan]) == none  # users explain all of 0.04
    assert aggregate.seed_ends([0.5, 0.5], [0.0, 0.0]) == none
    assert aggregate.seed_ends([0.5, np.nan], [0.0, 0.0]) == none  # one seed widens nothing


def test_users_who_differ_are_no_seeds_that_do():
    """10 of 20 and 12 of 20 users, 0.55 +- 1.96 sqrt(0.25 / 40) or so, and not Student's of two, 0 to 1."""
    mean = intervals(*(seed_users(g=[10] * num + [0] * (20 - num)) for num in (10, 12))).mean
    assert (mean.low, mean.high) == pytest.approx((0.395, 0.705), abs=0.03)


def test_intervals_hold_what_another_training_may_give():
    """Four groups at the same rate in each seed: 2, 4, 6, 2 and 6 of 10, Student's 0.4 +- 0.248."""
    groups = dict.fromkeys("abcd", 100)
    seeds = [seed_users(**{name: [hits] * num for name, num in groups.items()}) for hits in (2, 4, 6, 2, 6)]
    served = intervals(*seeds)
    assert (served.mean.low, served.mean.high) == pytest.approx((0.152, 0.648), abs=1e-3)
    assert (served.worst.low, served.worst.high) == pytest.approx((0.152, 0.648), abs=1e-3)
    other = [seed_users(**{name: [1] * num for name, num in groups.items()})] * 5
    found = difference(seeds, other)
    assert (found.low, found.estimate, found.high) == pytest.approx((0.052, 0.3, 0.548), abs=1e-3)
    # best and worst are 0.2, 0.4 and 0.6 apart, as often
    apart = intervals(*(seed_users(best=[9] * 100, worst=[9 - gap] * 100) for gap in (2, 4, 6, 2, 6)))
    assert (apart.gap.low, apart.gap.high) == pytest.approx((0.152, 0.648), abs=1e-3)


def test_intervals_cover_a_seeds_own_effect():
    """Seeds whose users' rate is 0.6 +- 0.15 by seed: the share of 95 % intervals that hold 0.6."""
    generator, held = np.random.default_rng(0), 0
    for _ in range(200):
        rates = generator.normal(0.6, 0.15, size=3).clip(0, 1)
        seeds = [seed_users(1, g=(generator.random(40) < rate).astype(int)) for rate in rates]
        mean = intervals(*seeds, num_resamples=200).mean
        held += mean.low <= 0.6 <= mean.high
    assert 0.91 <= held / 200 <= 0.99  # 0.83 by resamples alone


def test_the_interval_widens_with_users_who_differ():
    same, apart = (intervals(*[seed_users(100, g=row)] * 3).mean for row in ([50, 50, 50, 50], [0, 100, 0, 100]))
    assert apart.high - apart.low > 3 * (same.high - same.low)
    assert apart.estimate == 0.5


def test_worst_group_and_gap_by_hand():
    served = intervals(seed_users(north=[9, 9], south=[4, 4], east=[3, 5]), seed_users(north=[9], south=[4], west=[6]))
    assert served.worst_group == "south"  # the first of two
    assert (served.worst.estimate, served.gap.estimate) == (pytest.approx(0.4), pytest.approx(0.5))
    # north always, south never, 4 users each: Newcombe's difference of both Wilson intervals
    gap = intervals(seed_users(north=[10] * 4, south=[0] * 4)).gap
    assert (gap.estimate, gap.low, gap.high) == (1.0, pytest.approx(1 - 2**0.5 * Z2 / (4 + Z2)), 1.0)


def test_a_small_group_may_be_the_worst_although_it_was_not():
    served = intervals(seed_users(most=[10] * 78 + [0] * 2, minority=[10] * 4))
    assert served.worst_group == "most"
    assert served.worst.low == pytest.approx(4 / (4 + Z2))
    assert served.gap.high > Z2 / (4 + Z2) - 0.03


def test_worst_group_and_gap_of_equal_groups_hold_what_is_so():
    """The least of ten equal groups lies too low by chance: 0.75 each and no gap, and both stay inside."""
    groups = {
        f"g{i}": [10] * hits + [0] * (20 - hits) for i, hits in enumerate([12, 13, 14, 15, 15, 15, 15, 16, 17, 18])
    }
    served = intervals(seed_users(**groups))
    assert (served.worst.estimate, served.gap.estimate) == (0.6, pytest.approx(0.3))
    assert served.worst.low < 0.6 < 0.75 < served.worst.high
    assert served.gap.low < 0.03


SUITES = {
    "one user": [{"a": [10]}],
    "one who fails": [{"a": [0]}],
    "groups that exclude each other": [{"a": [10] * 20, "b": [0] * 20}] * 5,
    "seeds that exclude each other": [{"a": [10] * 20, "b": [0] * 20}, {"a": [0] * 20, "b": [10] * 20}],
    "a hundred groups of one": [{f"g{i}": [10 * (i % 2)] for i in range(100)}],
    "a thousand who succeed": [{"a": [10] * 1000}],
    "groups of some seeds only": [{"a": [10]}, {"b": [10], "a": [10]}, {"c": [10]}],
}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_no_interval_has_zero_width(suite):
    seeds = [seed_users(**groups) for groups in suite]
    served = intervals(*seeds)
    found = [served.mean, served.worst, difference(seeds, seeds)]
    found += [served.gap] if served.gap else []
    for interval in found:
        assert interval.low <= interval.estimate <= interval.high
        assert interval.high - interval.low > 1e-3


def test_pairs_stay_together():
    """Users at 1 and 1/2 against the same at 1/2 and 0, one user but for: nearly no width, though the users differ."""
    first = [seed_users(g=[10] * 50 + [5] * 50)]
    second = [seed_users(g=[5] * 50 + [0] * 49 + [1])]
    found = difference(first, second)
    assert found.estimate == pytest.approx(0.5 - 0.1 / 100)
    assert 0.495 < found.low < found.high < 0.501
    back = difference(second, first)
    assert (back.estimate, back.low, back.high) == pytest.approx((-found.estimate, -found.high, -found.low), abs=1e-3)


def test_differences_by_hand():
    always, never = [seed_users(g=[10] * 8)], [seed_users(g=[0] * 8)]
    found = difference(always, never)
    assert (found.estimate, found.low, found.high) == (1.0, pytest.approx(1 - 2**0.5 * Z2 / (8 + Z2)), 1.0)
    equal = difference(always, always)
    assert (equal.low, equal.estimate, equal.high) == pytest.approx((-Z2 / (8 + Z2), 0.0, Z2 / (8 + Z2)))
    # seeds count alike, whatever their users and episodes: (1 + 1/4) / 2
    first, second = [seed_users(g=[10]), seed_users(4, g=[2, 2])], [seed_users(g=[0]), seed_users(8, g=[4, 0])]
    assert difference(first, second).estimate == pytest.approx((1 + 0.25) / 2)


def test_users_of_another_group_do_not_widen_a_difference():
    """100 users with difference 1 and 100 with none, by group: quadrature of Newcombe's ends, not a mixed sample."""
    first = [seed_users(a=[10] * 100, b=[0] * 100)]
    found = difference(first, [seed_users(a=[0] * 100, b=[0] * 100)])
    reach = Z2 / (100 + Z2)  # of each rate at an end
    assert found.low == pytest.approx(0.5 - 0.5 * (2 * reach**2 + reach**2) ** 0.5)
    assert found.high == pytest.approx(0.5 + 0.5 * reach)


def test_interquartile_mean_keeps_the_middle_half():
    # sorted: 0 .2 | .4 .5 .8 .9 | 1 1
    assert aggregate.interquartile_mean([0.0, 1.0, 0.5, 0.9, 1.0, 0.8, 0.2, 0.4]) == pytest.approx(2.6 / 4)
    assert aggregate.interquartile_mean([0.3]) == 0.3


def test_the_same_generator_gives_the_same_numbers_and_users_need_a_group():
    assert intervals(seed_users(g=[3, 8, 5, 9] * 5)) == intervals(seed_users(g=[3, 8, 5, 9] * 5))
    with pytest.raises(ValueError, match="at least one user"):
        SeedUsers((), np.array([]), np.array([]))
    with pytest.raises(ValueError, match="of each user"):
        SeedUsers(("a",), np.array([1, 2]), np.array([3, 3]))
