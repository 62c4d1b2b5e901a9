"""A learner in a file of its own, as it would be written outside this repository, goes through everything."""

import json

import numpy as np
import pytest
import torch

from pluralbench.registry import UnknownNameError
from pluralbench.reward_learning.active_queries import answer_table, best_next
from pluralbench.reward_learning.answering import answer_probabilities
from pluralbench.reward_learning.diagnostics import diagnose
from pluralbench.reward_learning.latent_draws import LATENT_DRAWS
from pluralbench.reward_learning.learners import learners, load_model, make_learner
from pluralbench.reward_learning.model_files import ModelDescription, ModelFileError, save_model_file
from pluralbench.reward_learning.pair_classifier import PairClassifierSettings, fit_pair_classifier
from pluralbench.reward_learning.relabelling import draw_comparison_states, draw_latents, relabel
from pluralbench.reward_learning.scalings import SCALINGS
from pluralbench.settings import SettingsError

OWN = '''
from dataclasses import dataclass

import torch

from pluralbench.reward_learning.reward_model import Posterior, RewardModel


@dataclass(frozen=True)
class CentroidSettings:
    """Settings of `centroid`; sharpness multiplies the reward."""

    sharpness: float = 1.0


class Centroid(RewardModel):
    """r(s, z) = sharpness z . (s - centre), with z the mean step from what was rejected to what was preferred."""

    name = "centroid"
    settings_type = CentroidSettings

    def fit(self, preferences, seed, progress=None):
        segments = torch.from_numpy(preferences.segments)
        self.centre = segments.flatten(0, -2).mean(0)
        self.latent_size = segments.shape[-1]
        return [{"users": float(preferences.num_users)}]

    def infer(self, context):
        first, second = torch.from_numpy(context.segments).mean(3).unbind(2)  # (U, K, S)
        weight = torch.from_numpy((2 * context.labels - 1) * context.mask)[..., None]
        mean = (weight * (first - second)).mean(1)
        return Posterior(mean, torch.full_like(mean, -4.0))

    def reward(self, observations, latents):
        return self.settings.sharpness * ((observations - self.centre) * latents).sum(-1)
'''


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my_learner.py"
    path.write_text(OWN)
    return f"{path}:Centroid"


def test_it_is_fitted_judged_asked_and_kept(own, line, tmp_path):
    model = make_learner(own, {"sharpness": "2.5"})
    assert model.fit(line.preferences(60, 12), seed=0) == [{"users": 60.0}]
    users = line.preferences(20, 24, seed=1)
    context, targets = users.take_queries(slice(0, 8)), users.take_queries(slice(8, None))
    report = diagnose(model, context, targets, line.task)
    json.dumps(report, allow_nan=False)
    assert report["accuracy"] > 0.8
    assert report["latents"]["kl"] is report["latents"]["cluster_recovery"] is None
    table = answer_table(model, torch.from_numpy(targets.segments[0]), model.infer(context).mean)
    assert table.shape == (20, 16)
    assert 0 <= best_next(table, torch.tensor([0])) < 16

    model.save(tmp_path / "model")
    loaded = load_model(tmp_path / "model", learner=own)
    assert loaded.settings == model.settings
    assert loaded.latent_size == 2
    latents = model.infer(context).mean
    expected = answer_probabilities(model, targets, latents)
    np.testing.assert_array_equal(answer_probabilities(loaded, targets, latents), expected)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_it_relabels_a_dataset_under_every_scaling(scaling, own, line):
    model, train, data = make_learner(own), line.preferences(60, 12), line.transitions()
    model.fit(train, seed=0)
    generator = torch.Generator().manual_seed(0)
    states = draw_comparison_states(data, 32, generator)
    posterior = LATENT_DRAWS["even"](model, train, states, generator)
    latents, index = draw_latents(posterior, data, generator, num_latents=9)
    classifier, _ = fit_pair_classifier(model, train, 0, PairClassifierSettings(num_updates=3, hidden_size=8))
    rewards = relabel(data, model, latents, index, scaling, states, pair_classifier=classifier)
    assert rewards.shape == (200,)
    assert np.isfinite(rewards).all()


def test_its_settings_are_checked_like_any_other(own):
    with pytest.raises(SettingsError, match=r"unknown setting 'centroid.sharpnes'; did you mean 'centroid.sharpness'"):
        make_learner(own, {"sharpnes": 1})


def test_its_file_is_loaded_only_by_naming_it(own, line, tmp_path):
    model = make_learner(own)
    model.fit(line.preferences(10), seed=0)
    model.save(tmp_path / "model")
    with pytest.raises(UnknownNameError, match="unknown learner 'centroid'"):
        load_model(tmp_path / "model")
    save_model_file(tmp_path / "other", ModelDescription("centroid", 1, 2, {}, {}), {"reward": torch.zeros(1)})
    with pytest.raises(ModelFileError, match="would replace the learner's own reward"):
        load_model(tmp_path / "other", learner=own)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Own = 3", "expected a subclass of RewardModel, got 3"),
        ("class Own:\n    name = 'own'", "expected a subclass of RewardModel"),
        (
            "from pluralbench.reward_learning.reward_model import RewardModel\n\n\nclass Own(RewardModel):\n"
            "    def fit(self, preferences, seed, progress=None):\n        return []",
            "Own lacks name, infer, reward",
        ),
    ],
)
def test_what_is_no_learner_is_refused_with_what_it_lacks(body, message, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text(body)
    with pytest.raises(UnknownNameError, match=message):
        learners.get(f"{path}:Own")
