"""Exact Bayes against posteriors enumerated by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pluralbench.preference_oracles.labelling import collect_preferences
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.teachers import Teacher
from pluralbench.preference_oracles.users import Users
from pluralbench.reward_learning import bayes
from pluralbench.reward_learning.candidates import Candidates
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.learners import load_model, make_learner


def asked(positions, labels, mask=None, user_ids=None):
    """Questions (U, K) about pairs of positions on the line (U, K, 2), segments of one step."""
    places = np.asarray(positions, dtype=np.float32)
    num = len(places)
    segments = np.stack([places, np.zeros_like(places)], axis=-1)[:, :, :, None]
    labels = np.asarray(labels, dtype=np.float32)
    given = np.ones(labels.shape, dtype=bool) if mask is None else np.asarray(mask)
    ids = np.arange(num) if user_ids is None else np.asarray(user_ids)
    return PreferenceDataset(segments, labels, given, ids, ("?",), np.zeros(num, dtype=np.int64), np.zeros((num, 1)))


def people(goals, groups, **numbers):
    """Users with these goals in groups of these numbers, answering as the fields say."""
    group, num = np.asarray(groups), len(goals)
    fields = {name: np.asarray(value, dtype=float) for name, value in numbers.items()}
    names = tuple(f"group {i}" for i in range(group.max() + 1))
    return Users(np.arange(num), names, group, np.asarray(goals, dtype=float)[:, None], Teacher(**fields))


def knowing(line, users, **settings):
    model = make_learner("bayes", settings, task=line.task)
    model.meet(users)
    return model


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_posterior_over_goals_is_the_enumerated_one(line):
    # group 0 wants -1, all alike; group 1 wants 1, one of three careless; rationality 2
    users = people([-1, -1, 1, 1, 1], [0, 0, 1, 1, 1], rationality=[2] * 5, mistake_rate=[0, 0, 0, 0.25, 0])
    goals, probability = knowing(line, users).goal_posterior(asked([[[0.5, -0.5], [1.0, 0.5]]], [[1, 0]]))
    # for the goal -1 utilities are .25 .75, 0 .25; for 1 they are .75 .25, 1 .75
    p_minus = sigmoid(2 * -0.5) * (1 - sigmoid(2 * -0.25))
    careful = sigmoid(2 * 0.5) * (1 - sigmoid(2 * 0.25))
    first, second = sigmoid(2 * 0.5), sigmoid(2 * 0.25)
    careless = (0.75 * first + 0.25 * (1 - first)) * (0.75 * (1 - second) + 0.25 * second)
    joint = np.array([p_minus / 2, (2 / 3 * careful + 1 / 3 * careless) / 2])
    np.testing.assert_array_equal(goals, [[-1.0], [1.0]])
    np.testing.assert_allclose(probability, [joint / joint.sum()], rtol=1e-6)


def test_groups_weigh_alike_however_many_their_users_are(line):
    users = people([-1] * 9 + [1], [0] * 9 + [1])
    _, probability = knowing(line, users).goal_posterior(asked([[[0.0, 0.0]]], [[0.5]]))
    np.testing.assert_allclose(probability, [[0.5, 0.5]])


def test_a_goal_that_two_groups_want_has_the_weight_of_both():
    known = Candidates.among(people([-1, 1, 1], [0, 1, 2]))
    np.testing.assert_allclose(known.weights, [1 / 3, 2 / 3])
    assert known.teacher.num_users is None


def test_ties_and_skips_tell_what_they_tell(line):
    users = people([-1, 0, 1], [0, 1, 2])
    model = knowing(line, users)
    # equally far from 0 and from nobody else
    assert model.infer(asked([[[0.5, -0.5]]], [[0.5]])).mean.tolist() == [[0.0]]
    skipping = people([-1, 1], [0, 1], skip_fraction=[0.9, 0.9])
    model = knowing(line, skipping)
    model.fit(line.preferences(40, 16), seed=0)
    # two segments near -1 are nothing to those who want 1: only they skip
    near_minus_one = asked([[[-0.9, -1.0]]], [[0.5]], [[False]])
    assert model.infer(near_minus_one).mean.tolist() == [[1.0]]
    assert model.goal_posterior(near_minus_one)[1].max() > 0.999


def test_answers_that_nobody_gives_rule_nobody_out(line):
    model = knowing(line, people([-1, 1], [0, 1]))
    against_both = asked([[[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]]], [[1, 1, 1]])
    _, probability = model.goal_posterior(against_both)
    assert np.isfinite(probability).all()
    # one answer speaks for -1 and two for 1
    np.testing.assert_allclose(probability, [[1e-9, 1.0]], rtol=1e-6)


def test_equally_probable_goals_share_their_users_and_keep_them(line):
    users = people([-1, -0.5, 0.5, 1], range(4))
    model = knowing(line, users)
    context = asked(np.zeros((400, 1, 2)), np.full((400, 1), 0.5), user_ids=np.arange(400) - 200)
    found = model.infer(context).mean[:, 0].numpy()
    shares = np.array([(found == goal).mean() for goal in (-1, -0.5, 0.5, 1)])
    assert (np.abs(shares - 0.25) < 0.1).all()
    rows = np.random.default_rng(0).permutation(400)
    np.testing.assert_array_equal(model.infer(context.take_users(rows)).mean[:, 0].numpy(), found[rows])


def test_the_policy_is_trained_on_true_goals_exactly_as_the_oracles_is(line):
    context, users = line.preferences(6, 4), people([0.3, -1, 0.3], [0, 1, 0])
    generator = torch.Generator().manual_seed(0)
    oracle = make_learner("oracle", task=line.task)
    # held-out goals are among those met, and in no train user's context
    for expected, met in ((context.goals, None), (users.goals, users)):
        own = make_learner("bayes", task=line.task)
        for model in (oracle, own) if met else ():
            model.meet(met)
        posteriors = [model.posterior_for_policy(context, generator) for model in (oracle, own)]
        assert torch.equal(posteriors[0].mean, posteriors[1].mean)
        assert torch.equal(posteriors[0].log_var, posteriors[1].log_var)
        np.testing.assert_array_equal(posteriors[1].mean.numpy(), expected.astype(np.float32))


def test_blocks_of_users_and_candidates_change_nothing(line, monkeypatch):
    generator = np.random.default_rng(0)
    users = people(generator.choice([-1.0, 0.0, 0.5], 30), np.arange(30) % 3, rationality=generator.uniform(1, 9, 30))
    model, context = knowing(line, users), line.preferences(20, 6, length=3)
    whole = model.goal_posterior(context)[1]
    monkeypatch.setattr(bayes, "CHUNK_USERS", 7)
    monkeypatch.setattr(bayes, "CHUNK_UTILITIES", 4 * 7 * 6 * 2 * 3)
    np.testing.assert_allclose(model.goal_posterior(context)[1], whole, rtol=1e-12)


def test_so_many_users_are_thinned_alike_in_every_group():
    generator = np.random.default_rng(0)
    goals, groups = generator.uniform(-1, 1, 1000), np.where(np.arange(1000) < 20, 1, 0)
    few, all_of_them = Candidates.among(people(goals, groups), 100), Candidates.among(people(goals, groups), 1000)
    assert len(all_of_them.weights) == 1000
    assert len(few.weights) == 50 + 20
    minority = np.isin(few.goals[few.goal_index, 0], goals[:20])
    assert few.weights[minority].sum() == pytest.approx(0.5)
    again = Candidates.among(people(goals, groups), 100)
    np.testing.assert_array_equal(few.goals, again.goals)


def test_labels_of_the_labelling_are_possible_answers_of_their_own_users(line):
    users = line.users(20, goals=(-1.0, -0.3, 0.7), teacher=Teacher(discount=0.9, mistake_rate=0.3))
    for length in (1, 4):
        answers = collect_preferences(line.task, line.transitions(), users, 8, length, seed=0)
        _, probability = knowing(line, users).goal_posterior(answers)
        assert probability[np.arange(20), users.group_index].min() > 1e-4


def test_thresholds_are_resolved_on_the_questions_it_was_fitted_on_and_kept(line, tmp_path):
    users = line.users(200, teacher=Teacher(equal_fraction=0.3))
    answers = collect_preferences(line.task, line.transitions(), users, 16, 1, seed=0)
    model = knowing(line, users)
    with pytest.raises(LearnerError, match="bayes has seen no questions to resolve thresholds on: call fit or load"):
        model.infer(answers)
    model.fit(answers, seed=0)
    found = model.infer(answers).mean
    assert (found.numpy() == answers.goals).mean() > 0.99
    model.save(tmp_path)
    loaded = load_model(tmp_path, task=line.task)
    with pytest.raises(LearnerError, match="bayes has met nobody: call meet"):
        loaded.infer(answers)
    loaded.meet(users)
    assert torch.equal(loaded.infer(answers).mean, found)


def test_nobody_cannot_be_met(line):
    with pytest.raises(LearnerError, match="at least one user is needed"):
        make_learner("bayes", task=line.task).meet(line.users(2).take(np.arange(0)))


def test_what_is_met_last_counts(line):
    model = knowing(line, people([-1], [0]))
    context = replace(asked([[[1.0, -1.0]]], [[1]]))
    assert model.infer(context).mean.tolist() == [[-1.0]]
    model.meet(people([-1, 1], [0, 1]))
    assert model.infer(context).mean.tolist() == [[1.0]]
