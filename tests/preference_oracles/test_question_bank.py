"""The same questions for all users, each answered by the user's own utility."""

from __future__ import annotations

import numpy as np
from small_worlds import LineWorld, line_data

from pluralbench.preference_oracles import Teacher, get_population, with_teacher
from pluralbench.preference_oracles.question_bank import question_bank

TASK = LineWorld()
DATA = line_data(num_episodes=60, length=20)


def test_all_users_answer_the_same_questions_by_their_own_utility() -> None:
    people = with_teacher(get_population("two-goals"), "rational").train_users(TASK, 30, np.random.default_rng(0))
    bank = question_bank(TASK, DATA, people, 40, 3, seed=2)
    assert bank.segments.shape[:4] == (30, 40, 2, 3)
    assert (bank.segments == bank.segments[:1]).all()
    sums = TASK.utility(bank.segments, people.goals[:, None, None, None, :]).sum(-1)  # (U, C, 2)
    np.testing.assert_array_equal(bank.labels, 0.5 + 0.5 * np.sign(sums[..., 0] - sums[..., 1]))
    assert len(np.unique(bank.labels, axis=0)) > 1
    np.testing.assert_array_equal(bank.user_ids, people.ids)


def test_a_seed_decides_questions_and_answers_and_skips_are_masked() -> None:
    picky = with_teacher(get_population("two-goals"), Teacher(skip_fraction=0.8))
    people = picky.train_users(TASK, 30, np.random.default_rng(0))
    first, again, other = (question_bank(TASK, DATA, people, 40, 1, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.segments != other.segments).any()
    assert 0 < (~first.mask).mean() < 0.5


def test_questions_come_from_the_episodes_given() -> None:
    people = get_population("two-goals").train_users(TASK, 2, np.random.default_rng(0))
    bank = question_bank(TASK, DATA, people, 40, 1, seed=0, episodes=[3])
    begin, end = DATA.episode_bounds[3]
    known = {tuple(row) for row in DATA.observations[begin:end]}
    assert {tuple(row) for row in bank.segments.reshape(-1, bank.observation_size)} <= known
