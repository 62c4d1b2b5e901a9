"""The paired test and its correction against values worked out by hand."""

import numpy as np
import pytest

from pluralbench.benchmarks import significance


def flips(*differences):
    return significance.sign_flip_p([np.array(own) for own in differences], np.random.default_rng(0))


def test_the_sign_flip_test_is_exact_for_few_users():
    assert flips([1.0, 1.0, 1.0, 1.0]) == 2 / 16
    assert flips([0.5, 0.25, 0.25, -0.25]) == 8 / 16  # 1.25 once, 0.75 three times, and their opposites
    assert flips([-0.5, -0.25, -0.25, 0.25]) == 8 / 16  # two-sided
    assert flips([1.0, -1.0]) == 1.0
    assert flips([0.0, 0.0]) == 1.0
    assert flips([1.0, 0.0, 1.0, 0.0, 1.0]) == 2 / 8  # who does not differ does not count
    assert flips([1.0] * 13) == 2 / 2**13
    # seeds count alike: 1 and the mean of 1 and -1; 2, 1 and -1 give 4 once, 2 twice, 0 once, and their opposites
    assert flips([1.0], [1.0, -1.0]) == 6 / 8


def test_the_sign_flip_test_of_many_users_is_by_random_flips():
    assert flips([1.0] * 30) == 1 / 100_001
    # 100 users, 60 better and 40 worse: P(|Binomial(100, 1/2) - 50| >= 10) = 0.0569
    assert flips([0.2] * 60 + [-0.2] * 40) == pytest.approx(0.0569, abs=0.0025)
    assert flips([0.2] * 60 + [-0.2] * 40) == flips([0.2] * 60 + [-0.2] * 40)


def test_holm_by_hand():
    # sorted: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04, which may not be below 0.06
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert significance.holm([]).tolist() == []
