import dataclasses
import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from pluralbench.reward_learning.answering import answer_probabilities
from pluralbench.reward_learning.diagnostic_measures import (
    active_units,
    calibration,
    cluster_recovery,
    probe_accuracy,
    rank_correlation,
)
from pluralbench.reward_learning.diagnostics import diagnose
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.reward_model import Posterior, RewardModel


def test_calibration_by_hand():
    probability = np.array([0.95, 0.95, 0.05, 0.62, 0.62])
    labels = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    result = calibration(probability, labels, num_bins=5)
    # confidence 0.95 three times, right twice; confidence 0.62 twice, right twice
    assert result["ece"] == pytest.approx(3 / 5 * abs(0.95 - 2 / 3) + 2 / 5 * abs(0.62 - 1.0))
    assert [row["count"] for row in result["bins"]] == [0, 2, 0, 0, 3]
    assert result["bins"][4]["accuracy"] == pytest.approx(2 / 3)
    assert result["bins"][0]["confidence"] is None


def test_a_model_that_knows_its_doubts_is_calibrated():
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=40_000)
    labels = (rng.uniform(size=40_000) < probability).astype(float)
    assert calibration(probability, labels)["ece"] < 0.01
    assert calibration(np.round(probability), labels)["ece"] == pytest.approx(0.25, abs=0.01)


def test_rank_correlation_is_spearmans_with_ties():
    rng = np.random.default_rng(0)
    learned, true = rng.normal(size=(3, 50)), rng.integers(5, size=(3, 50)).astype(float)
    expected = [spearmanr(first, second).statistic for first, second in zip(learned, true, strict=True)]
    np.testing.assert_allclose(rank_correlation(learned, true), expected)
    np.testing.assert_allclose(rank_correlation(np.exp(true), true), 1.0)
    assert np.isnan(rank_correlation(np.ones((1, 4)), np.arange(4.0)[None])).all()


def test_active_units_count_what_varies():
    means = np.zeros((100, 3))
    means[::2, 1] = 1.0
    means[::2, 2] = 0.01
    assert active_units(means) == 1


def test_the_probe_reads_separate_groups_and_nothing_from_noise():
    rng = np.random.default_rng(0)
    groups = np.repeat([3, 5, 8], 40)
    centres = np.array([[0, 0], [4, 0], [0, 4]])[np.unique(groups, return_inverse=True)[1]]
    assert probe_accuracy(centres + 0.3 * rng.normal(size=(120, 2)), groups) == 1.0
    assert probe_accuracy(rng.normal(size=(120, 2)), groups) < 0.5
    # a latent per user that no other user shares must not be learned by heart
    assert probe_accuracy(np.eye(120), groups) < 0.5
    assert probe_accuracy(centres, np.zeros(120, dtype=int)) is None
    assert probe_accuracy(np.zeros((120, 0)), groups) is None


def test_cluster_recovery_is_free_to_name_the_clusters():
    groups = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    assert cluster_recovery(np.array([7, 7, 7, 2, 2, 2, 4, 4]), groups) == 1.0
    assert cluster_recovery(np.array([1, 1, 1, 1, 1, 0, 2, 2]), groups) == pytest.approx(6 / 8)
    assert cluster_recovery(np.zeros(8, dtype=int), groups) == pytest.approx(3 / 8)


class Half(RewardModel):
    """Is told where all users want to be, and knows it of the first group only; KL and clusters in closed form."""

    name = "half"
    has_prior = True
    latent_size = 2

    def fit(self, preferences, seed, progress=None):
        return []

    def infer(self, context):
        mean = torch.tensor([[-1.0, 0.0]]).expand(len(context.user_ids), 2).clone()
        mean[:, 1] = torch.tensor(context.num_comparisons)
        return Posterior(mean, torch.zeros_like(mean))

    def prior(self, num_users):
        return Posterior(torch.zeros(num_users, 2), torch.zeros(num_users, 2))

    def reward(self, observations, latents):
        return 100 * latents[..., 0] * observations[..., 0]

    def assign(self, preferences):
        return torch.as_tensor(preferences.group_index)


def split(preferences, at):
    return preferences.take_queries(slice(0, at)), preferences.take_queries(slice(at, None))


def test_every_number_of_a_model_that_is_right_for_half_of_the_users(line):
    context, targets = split(line.preferences(40, 28), 8)
    report = diagnose(Half(), context, targets, line.task)
    json.dumps(report, allow_nan=False)
    assert report["accuracy_by_group"] == {"-1.0": 1.0, "1.0": 0.0}
    assert report["accuracy"] == report["accuracy_conflicting"] == 0.5
    assert report["conflicting_share"] == 1.0
    assert list(report["accuracy_by_answers"]) == ["1", "2", "4", "8"]
    assert report["rank_correlation"]["by_group"]["-1.0"] == pytest.approx(1.0)
    assert report["rank_correlation"]["worst_group"] == pytest.approx(-1.0)
    assert report["calibration"]["ece"] > 0.4
    assert report["latents"]["kl"] == pytest.approx(0.5 * (1 + 64))
    assert report["latents"]["cluster_recovery"] == 1.0
    assert report["latents"]["active_units"] == 0
    assert report["nll"] > 5


def test_the_oracle_is_right_about_everything(line):
    context, targets = split(line.preferences(20, 24, length=3), 8)
    report = diagnose(make_learner("oracle", task=line.task), context, targets, line.task)
    assert report["accuracy"] == report["rank_correlation"]["mean"] == report["latents"]["probe"] == 1.0
    assert report["calibration"]["ece"] == 0.0
    assert report["latents"]["kl"] is None


def test_users_who_agree_have_no_conflicting_pairs(line):
    context, targets = split(line.preferences(20, 16, goals=(1.0,)), 8)
    report = diagnose(make_learner("oracle", task=line.task), context, targets, line.task)
    assert report["conflicting_share"] == 0.0
    assert report["accuracy_conflicting"] is None


def test_skipped_and_tied_answers_are_not_judged(line):
    context, targets = split(line.preferences(20, 28), 8)
    labels, mask = targets.labels.copy(), targets.mask.copy()
    wrong = answer_probabilities(Half(), targets, Half().infer(context).mean) > 0.5
    wrong = wrong != (labels > 0.5)
    mask[wrong & (np.arange(20) % 2 == 0)] = False
    labels[wrong & mask] = 0.5
    report = diagnose(Half(), context, dataclasses.replace(targets, labels=labels, mask=mask), line.task)
    assert report["accuracy"] == 1.0


def test_what_does_not_fit_is_refused(line):
    context, targets = split(line.preferences(20, 16), 8)
    with pytest.raises(LearnerError, match="the same users"):
        diagnose(Half(), context, targets.take_users(slice(0, 5)), line.task)
    with pytest.raises(LearnerError, match="9 answers asked for, the context has 8"):
        diagnose(Half(), context, targets, line.task, num_answers=9)
