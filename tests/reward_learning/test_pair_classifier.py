import math
from types import SimpleNamespace

import pytest
import torch

from pluralbench.features import InputFeatures
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.pair_classifier import PairClassifierSettings, fit_pair_classifier
from pluralbench.reward_learning.scaling import fit_scaling

SETTINGS = PairClassifierSettings(hidden_size=32, num_layers=2, num_updates=300, batch_users=32)


@pytest.fixture(scope="module")
def fitted(line):
    """A classifier whose latents are the goals themselves."""
    oracle = make_learner("oracle", task=line.task)
    classifier, history = fit_pair_classifier(oracle, line.preferences(100, 12), seed=0, settings=SETTINGS)
    return classifier, history


def test_both_orders_add_up_to_one(fitted):
    first, second, latents = torch.randn(3, 50, 2)
    latents = latents[:, :1]
    with torch.no_grad():
        one_way = fitted[0].preference_probability(first, second, latents)
        other_way = fitted[0].preference_probability(second, first, latents)
        same = fitted[0].preference_probability(first, first, latents)
    torch.testing.assert_close(one_way + other_way, torch.ones(50))
    torch.testing.assert_close(same, torch.full((50,), 0.5))
    assert (one_way - 0.5).abs().max() > 0.2


def test_it_learns_what_its_users_prefer_and_scales_accordingly(fitted):
    classifier, history = fitted
    assert next(row for row in history if row["kept"])["validation_accuracy"] > 0.95
    generator = torch.Generator().manual_seed(0)
    states = torch.rand(64, 2, generator=generator) * 2 - 1
    places = torch.stack([torch.linspace(-0.9, 0.9, 7), torch.zeros(7)], dim=1)
    goals = torch.tensor([[-1.0], [1.0]])
    # the classifier stands in for the model, which must not be asked
    scaled = fit_scaling("spo-pairs", None, goals, states, pair_classifier=classifier)
    left = scaled(places, torch.zeros(7, dtype=torch.long))
    right = scaled(places, torch.ones(7, dtype=torch.long))
    assert (left.diff() < 0).all()
    assert (right.diff() > 0).all()
    rank = torch.stack([(states[:, 0] < place).float().mean() for place in places[:, 0]])
    assert (right - rank).abs().max() < 0.1


def test_it_takes_segments_of_several_steps_and_users_without_latents(line):
    btl = make_learner("btl", {"num_updates": 5, "hidden_size": 8})
    preferences = line.preferences(30, 8, length=3)
    btl.fit(preferences, seed=0)
    settings = PairClassifierSettings(hidden_size=8, num_layers=1, num_updates=5)
    classifier, _ = fit_pair_classifier(btl, preferences, seed=0, settings=settings)
    assert classifier.preference_probability(torch.zeros(4, 2), torch.ones(4, 2), torch.zeros(4, 0)).shape == (4,)


def test_it_sees_what_the_learner_sees(line):
    """Formerly the raw observation alone, whatever the preset gave the learners."""
    features = InputFeatures(sinusoid_columns=(1,), wavelengths=(2.0, 1.0))
    model, preferences = make_learner("btl", {"num_updates": 1, "features": features}), line.preferences(20, 4)
    model.fit(preferences, seed=0)
    settings = PairClassifierSettings(hidden_size=8, num_layers=1, num_updates=1)
    classifier, _ = fit_pair_classifier(model, preferences, seed=0, settings=settings)
    assert classifier.features.features == features
    torch.testing.assert_close(classifier.features.mean, model.network.features.mean)
    assert classifier.score[0].in_features == 2 * (2 + 4)


@pytest.mark.parametrize("mistake_rate", [0.0, 0.2])
def test_it_expects_the_learners_mistakes_of_answers_and_none_of_preferences(mistake_rate, line, fitted):
    """No answer is surer than 1 - epsilon, however sure the preference behind it."""
    oracle = make_learner("oracle", task=line.task)
    oracle.settings = SimpleNamespace(mistake_rate=mistake_rate)
    classifier, history = fit_pair_classifier(oracle, line.preferences(100, 12), seed=0, settings=SETTINGS)
    best = min(row["validation_nll"] for row in history)
    assert (best >= -math.log(0.8)) == (mistake_rate == 0.2)
    far, latent = torch.tensor([[0.9, 0.0]]), torch.ones(1, 1)
    assert classifier.preference_probability(far, -far, latent) > 0.95
    if mistake_rate == 0:
        for one, other in zip(classifier.parameters(), fitted[0].parameters(), strict=True):
            assert torch.equal(one, other)
