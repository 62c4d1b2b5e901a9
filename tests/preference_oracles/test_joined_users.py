"""Users of two draws together: each keeps goal, group and way of answering."""

from dataclasses import dataclass

import numpy as np
import pytest

from pluralbench.preference_oracles.teachers import Teacher
from pluralbench.preference_oracles.users import PopulationError, Users, joined_users


@dataclass(frozen=True)
class Leaning(Teacher):
    lean: float = 0.2


class Sleepy(Teacher):
    pass


def users(first_id, names, groups, teacher, taught=()):
    goals = np.array(groups, dtype=float)[:, None] + first_id
    return Users(first_id + np.arange(len(groups)), names, np.array(groups), goals, teacher, taught)


def test_train_users_and_users_of_a_held_out_group_stay_who_they_are():
    train = users(0, ("near", "far"), [0, 1, 0], Teacher(mistake_rate=np.array([0.0, 0.2, 0.0])))
    others = users(100, ("near", "far", "unseen"), [2, 2], Teacher(mistake_rate=0.1, discount=0.9), (True, True, False))
    both = joined_users(train, others)
    assert both.ids.tolist() == [0, 1, 2, 100, 101]
    assert both.group_index.tolist() == [0, 1, 0, 2, 2]
    assert both.goals[:, 0].tolist() == [0, 1, 0, 102, 102]
    assert both.taught == (True, True, False)
    for row, (own, place) in enumerate([(train, 0), (train, 1), (train, 2), (others, 0), (others, 1)]):
        assert both[row].teacher == own[place].teacher


def test_a_number_that_all_share_stays_one_number():
    same = Teacher(mistake_rate=0.1)
    both = joined_users(users(0, ("a",), [0, 0], same), users(9, ("a",), [0], same))
    assert both.teacher == same


def test_other_groups_or_rules_are_refused():
    train = users(0, ("near", "far"), [0, 1], Teacher())
    with pytest.raises(PopulationError, match="near, far do not begin far, near"):
        joined_users(train, users(9, ("far", "near"), [0, 1], Teacher()))
    with pytest.raises(PopulationError, match="same threshold_rule"):
        joined_users(train, users(9, ("near", "far"), [0, 1], Teacher(threshold_rule="quantile")))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (Leaning(), Teacher(), "all teachers of a population need the same class, found Leaning and Teacher"),
        (Teacher(), Sleepy(), "all teachers of a population need the same class, found Teacher and Sleepy"),
        (Leaning(), Leaning(lean=0.3), r"all teachers of a population need the same lean, found 0\.2 and 0\.3"),
    ],
)
def test_nobody_answers_by_the_rule_of_another(first, second, message):
    train = users(0, ("near", "far"), [0, 1], first)
    others = users(9, ("near", "far"), [0, 1], second)
    with pytest.raises(PopulationError, match=f"^{message}$"):
        joined_users(train, others)
    nobody = np.arange(0)  # whose teacher need not be of the same kind
    assert joined_users(train, others.take(nobody)).teacher == first
    assert joined_users(train.take(nobody), others).teacher == second


def test_a_rule_that_all_share_is_kept():
    train = users(0, ("near",), [0], Leaning(lean=0.3))
    both = joined_users(train, users(9, ("near",), [0, 0], Leaning(lean=0.3, mistake_rate=0.1)))
    assert [both[row].teacher for row in (0, 1)] == [Leaning(lean=0.3), Leaning(lean=0.3, mistake_rate=0.1)]
