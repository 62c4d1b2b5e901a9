"""Teachers against formulas worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pluralbench.preference_oracles.teachers import AnswerProbabilities, Teacher, TeacherError, get_teacher
from pluralbench.preference_oracles.thresholds import Thresholds, quantile
from pluralbench.registry import UnknownNameError

NUM = 20_000


def utilities(seed: int, num_users: int = 1, length: int = 4, low: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, 1.0, size=(num_users, NUM // num_users, length)).astype(np.float32)


def rate_close(realised: float, nominal: float, num: int) -> bool:
    return abs(realised - nominal) <= 5 * np.sqrt(nominal * (1 - nominal) / num)


def test_boltzmann_is_the_logistic_of_the_difference_of_sums() -> None:
    a, b = np.array([[0.2, 0.4]]), np.array([[0.1, 0.9]])
    p = Teacher(rationality=3.0).preference_probability(a, b)
    assert p[0] == pytest.approx(1 / (1 + np.exp(-3.0 * (0.6 - 1.0))))


def test_myopic_weighs_late_steps_more() -> None:
    early, late = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 1.0]])
    assert Teacher().preference_probability(early, late)[0] == 0.5
    assert Teacher(discount=0.5).preference_probability(early, late)[0] == 0.0
    p = Teacher(rationality=2.0, discount=0.5).preference_probability(early, late)
    assert p[0] == pytest.approx(1 / (1 + np.exp(-2.0 * (0.25 - 1.0))))


def test_each_user_has_their_own_fields() -> None:
    a, b = utilities(0, 4), utilities(1, 4)
    whole = Teacher(
        rationality=np.array([np.inf, 1.0, 5.0, 0.0]),
        discount=np.array([1.0, 0.9, 0.5, 1.0]),
        mistake_rate=np.array([0.0, 0.3, 0.1, 1.0]),
    )
    p = whole.preference_probability(a, b)
    for row in range(4):
        one = whole.take(row)
        assert one.num_users is None
        np.testing.assert_allclose(one.preference_probability(a[row], b[row]), p[row], rtol=1e-12)
    taken = whole.take([3, 1])
    np.testing.assert_allclose(taken.preference_probability(a[[3, 1]], b[[3, 1]]), p[[3, 1]], rtol=1e-12)
    assert (p[3] == 0.5).all()


def test_ties_are_half_and_not_a_loss() -> None:
    a = utilities(0)
    for teacher in (Teacher(), Teacher(discount=0.9), Teacher(mistake_rate=0.5)):
        answers = teacher.answer(a, a, np.random.default_rng(0))
        assert (answers.labels == 0.5).all()
        assert answers.mask.all()
        assert not answers.flipped.any()


def test_a_finite_rationality_tosses_a_coin_over_a_tie() -> None:
    a = utilities(0)
    labels = Teacher(rationality=5.0).answer(a, a, np.random.default_rng(0)).labels
    assert set(np.unique(labels)) == {0.0, 1.0}
    assert rate_close(labels.mean(), 0.5, NUM)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 1.0])
def test_label_flips_happen_once_per_answer_at_their_rate(rate: float) -> None:
    a, b = utilities(0), utilities(1)
    meant = Teacher().answer(a, b, np.random.default_rng(7)).labels
    answers = Teacher(mistake_rate=rate).answer(a, b, np.random.default_rng(7))
    np.testing.assert_array_equal(answers.labels != meant, answers.flipped)
    assert rate_close(answers.flipped.mean(), rate, NUM)
    # single answers are exchanged, never whole rows of a user's
    rows = Teacher(mistake_rate=rate).answer(a.reshape(200, -1, 4), b.reshape(200, -1, 4), np.random.default_rng(7))
    assert np.abs(rows.flipped.mean(1) - rate).max() < 0.25


def test_each_answer_is_drawn_with_its_own_probability() -> None:
    a, b = np.array([[0.9, 0.1]]), np.array([[0.3, 0.4]])  # sums 1.0 and 0.7
    pair = np.broadcast_to(a, (NUM, 2)), np.broadcast_to(b, (NUM, 2))
    teacher = Teacher(rationality=2.0, discount=0.5, mistake_rate=0.2, skip_fraction=0.5, equal_fraction=0.5)
    given = Thresholds(skip=1.0, skip_at=0.25, equal=0.5)
    meant = 1 / (1 + np.exp(-2.0 * (0.45 + 0.1 - 0.15 - 0.4)))
    first = 0.8 * meant + 0.2 * (1 - meant)
    sure = Thresholds(skip=1.0, skip_at=0.25, equal=0.1)
    p = teacher.answer_probabilities(a, b, sure)
    np.testing.assert_allclose([p.first[0], p.second[0]], [0.75 * first, 0.75 * (1 - first)])
    np.testing.assert_allclose([p.equal[0], p.skip[0]], [0.0, 0.25])
    near = teacher.answer_probabilities(a, b, given)
    np.testing.assert_allclose([near.first[0], near.second[0], near.equal[0], near.skip[0]], [0, 0, 0.75, 0.25])
    drawn = teacher.answer(*pair, np.random.default_rng(0), sure)
    for label, nominal in ((1, p.first[0]), (0, p.second[0])):
        assert rate_close((drawn.labels[drawn.mask] == label).sum() / NUM, nominal, NUM)
    assert rate_close(1 - drawn.mask.mean(), 0.25, NUM)


def test_the_expected_label_is_that_of_the_four_answers() -> None:
    a, b = utilities(0), utilities(1)
    teacher = Teacher(rationality=2.0, discount=0.9, skip_fraction=0.6, equal_fraction=0.1, mistake_rate=0.1)
    thresholds = teacher.thresholds(a, b)
    p = teacher.answer_probabilities(a, b, thresholds)
    np.testing.assert_allclose(p.first + p.second + p.equal + p.skip, 1.0)
    answered = p.skip < 1
    assert 0 < answered.mean() < 1
    expected = (p.first + 0.5 * p.equal)[answered] / (1 - p.skip[answered])
    np.testing.assert_allclose(expected, teacher.preference_probability(a, b, thresholds)[answered])


def test_what_was_answered_picks_its_probability() -> None:
    p = AnswerProbabilities(*np.array([[0.1], [0.2], [0.3], [0.4]]))
    labels, mask = np.array([1.0, 0.0, 0.5, 0.5]), np.array([True, True, True, False])
    np.testing.assert_array_equal(p.of(labels, mask), [0.1, 0.2, 0.3, 0.4])


def test_return_thresholds_are_fractions_of_the_mean_sum() -> None:
    a = np.array([[[0.2, 0.2], [0.6, 0.6]]])
    b = np.array([[[0.4, 0.4], [0.0, 0.8]]])  # sums 0.4, 1.2; 0.8, 0.8: mean 0.8
    teacher = Teacher(skip_fraction=0.75, equal_fraction=0.25)
    thresholds = teacher.thresholds(a, b)
    assert np.asarray(thresholds.skip).item() == pytest.approx(0.6)
    assert np.asarray(thresholds.equal).item() == pytest.approx(0.2)
    first = np.array([[[0.29, 0.3], [0.29, 0.3], [0.5, 0.5], [0.5, 0.5]]])
    second = np.array([[[0.1, 0.1], [0.3, 0.31], [0.4, 0.41], [0.2, 0.5]]])
    answers = teacher.answer(first, second, np.random.default_rng(0), thresholds)
    np.testing.assert_array_equal(answers.mask, [[False, True, True, True]])
    np.testing.assert_array_equal(answers.labels, [[0.5, 0.5, 0.5, 1.0]])


def test_who_never_skips_does_not_skip_worthless_segments() -> None:
    nothing = np.zeros((1, 5, 2))
    teacher = Teacher(equal_fraction=0.1)
    thresholds = teacher.thresholds(nothing, nothing)
    assert teacher.answer(nothing, nothing, np.random.default_rng(0), thresholds).mask.all()


@pytest.mark.parametrize("low", [0.0, -3.0])
@pytest.mark.parametrize("rule", ["quantile", "auto"])
def test_quantile_thresholds_realise_the_fractions(low: float, rule: str) -> None:
    teacher = Teacher(skip_fraction=0.2, equal_fraction=0.15, threshold_rule=rule)
    thresholds = teacher.thresholds(utilities(0, low=low), utilities(1, low=low))
    a, b = utilities(2, low=low), utilities(3, low=low)
    skip = 1 - teacher.answer(a, b, np.random.default_rng(0), thresholds).mask.mean()
    only_equal = Teacher(equal_fraction=0.15, threshold_rule=rule)
    labels = only_equal.answer(a, b, np.random.default_rng(0), thresholds=only_equal.thresholds(a, b)).labels
    if rule == "auto" and low == 0.0:  # B-Pref's rule, whose fractions are of the mean return
        assert skip == pytest.approx(0.0, abs=0.01)
    else:
        assert rate_close(skip, 0.2, NUM // 2)
        assert rate_close((labels == 0.5).mean(), 0.15, NUM // 2)


def test_quantiles_of_few_values_realise_the_fraction_too() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.integers(3, size=(2, 1, NUM, 1)) / 2.0
    teacher = Teacher(skip_fraction=0.05, threshold_rule="quantile")  # a ninth of the pairs has a maximum of 0
    answers = teacher.answer(a, b, generator, teacher.thresholds(a, b))
    assert rate_close(1 - answers.mask.mean(), 0.05, NUM)
    assert (np.maximum(a, b)[..., 0][~answers.mask] == 0).all()


def test_quantile_by_hand() -> None:
    value, share = quantile(np.array([[3.0, 1.0, 2.0, 2.0, 5.0]]), 0.4)
    assert (value.item(), share.item()) == (2.0, 0.5)
    assert quantile(np.array([[1.0, 2.0]]), 0.0)[0].item() == -np.inf
    assert quantile(np.array([[1.0, 2.0]]), 1.0)[0].item() == np.inf


def test_thresholds_are_required_where_they_matter() -> None:
    a = utilities(0)
    with pytest.raises(TeacherError, match="needs thresholds"):
        Teacher(skip_fraction=0.1).answer(a, a, np.random.default_rng(0))
    assert Thresholds(skip=np.arange(3.0)[:, None]).take([2]).skip == np.array([[2.0]])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mistake_rate": 1.2}, r"mistake_rate must be within \[0, 1\]"),
        ({"mistake_rate": -0.1}, r"mistake_rate must be within \[0, 1\]"),
        ({"skip_fraction": np.nan}, r"skip_fraction must be within \[0, 1\)"),
        ({"skip_fraction": 1.0}, r"skip_fraction must be within \[0, 1\)"),
        ({"mistake_rate": "often"}, "mistake_rate must be .*, is 'often'"),
        ({"rationality": 10**400}, "rationality must be"),
        ({"equal_fraction": np.array([0.1, 1.0])}, r"equal_fraction must be within \[0, 1\)"),
        ({"discount": 0.0}, r"discount must be within \(0, 1\]"),
        ({"rationality": -1.0}, "rationality must be zero or more"),
        ({"rationality": np.ones((2, 2))}, "one number or one per user"),
        ({"rationality": np.ones(2), "discount": np.ones(3)}, "different numbers of users"),
        ({"threshold_rule": "mean"}, "none of auto, return, quantile"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(TeacherError, match=message):
        Teacher(**settings)


def test_teachers_by_name_and_by_path(tmp_path: Path) -> None:
    assert get_teacher("mistake").mistake_rate == 0.1
    with pytest.raises(UnknownNameError, match="did you mean 'boltzmann'"):
        get_teacher("boltzman")
    path = tmp_path / "mine.py"
    path.write_text(
        "from pluralbench.preference_oracles import Teacher\n"
        "HASTY = Teacher(mistake_rate=0.4)\n"
        "def sleepy():\n    return Teacher(skip_fraction=0.4)\n"
        "def wrong():\n    return 3\n"
        "NUMBER = 3\n"
    )
    assert get_teacher(f"{path}:HASTY").mistake_rate == 0.4
    assert get_teacher(f"{path}:sleepy").skip_fraction == 0.4
    with pytest.raises(TeacherError, match="is no teacher"):
        get_teacher(f"{path}:wrong")
    with pytest.raises(UnknownNameError, match="is no teacher"):
        get_teacher(f"{path}:NUMBER")


def test_summary_is_json_and_tells_ranges() -> None:
    summary = Teacher(mistake_rate=np.array([0.1, 0.3])).summary()
    assert summary["rationality"] == "inf"
    assert summary["mistake_rate"] == [0.1, 0.3]


def test_a_teacher_can_be_described_by_its_fields() -> None:
    assert get_teacher("mistake_rate=0.25, rationality=5") == Teacher(mistake_rate=0.25, rationality=5.0)
    with pytest.raises(UnknownNameError, match="did you mean 'mistake_rate'"):
        get_teacher("mistake_rat=0.25")
    with pytest.raises(TeacherError, match="mistake_rate is given twice"):
        get_teacher("mistake_rate=0.25,mistake_rate=0.3")
    with pytest.raises(TeacherError, match="is written mistake_rate=VALUE, a number; got 'mistake_rate=often'"):
        get_teacher("mistake_rate=often")
    with pytest.raises(TeacherError, match="mistake_rate must be"):
        get_teacher("mistake_rate=1.5")
