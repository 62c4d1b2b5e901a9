"""Every registered learner, through the promises of `RewardModel`."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from pluralbench.registry import UnknownNameError
from pluralbench.reward_learning.answering import answer_probabilities
from pluralbench.reward_learning.learners import learner_settings, learners, load_model, make_learner
from pluralbench.reward_learning.model_files import ModelFileError
from pluralbench.reward_learning.networks import LearnerError
from pluralbench.reward_learning.reward_model import RewardModel
from pluralbench.reward_learning.scaling import SCALINGS, fit_scaling

SMALL = {
    "num_updates": 12,
    "num_validations": 3,
    "batch_users": 8,
    "hidden_size": 8,
    "num_layers": 2,
    "latent_size": 3,
    "num_iterations": 2,
    "num_restarts": 1,
    "num_groups": 2,
}
NAMES = learners.names()


def small(name, line):
    known = learner_settings(name)
    return make_learner(name, {key: value for key, value in SMALL.items() if key in known}, task=line.task)


@pytest.fixture(scope="module")
def fitted(line):
    """Each learner fitted once on segments of two steps."""
    models = {}

    def get(name):
        if name not in models:
            models[name] = small(name, line)
            models[name].fit(line.preferences(24, num_comparisons=6, length=2), seed=0)
        return models[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_fit_logs_rows_of_numbers_and_reports_progress(name, line):
    calls = []
    model = small(name, line)
    assert isinstance(model, RewardModel)
    assert model.name == name
    history = model.fit(line.preferences(24, 6), seed=0, progress=lambda done, total: calls.append((done, total)))
    json.dumps(history)
    assert all(isinstance(value, float) for row in history for value in row.values())
    if name != "oracle":
        assert history
        assert calls[-1][0] == calls[-1][1] > 0
        assert all(first[0] <= second[0] for first, second in itertools.pairwise(calls))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_answers", [1, 6, 11])
def test_infer_takes_any_number_of_answers(name, num_answers, line, fitted):
    model = fitted(name)
    posterior = model.infer(line.preferences(5, num_answers, length=2, seed=3))
    assert posterior.mean.shape == posterior.log_var.shape == (5, model.latent_size)
    assert posterior.mean.isfinite().all()
    assert not posterior.log_var.isnan().any()


@pytest.mark.parametrize("name", NAMES)
def test_infer_follows_the_users_whatever_their_order_and_their_answers_order(name, line, fitted):
    context = line.preferences(6, 5, length=2, seed=3)
    rows, columns = np.array([4, 0, 5, 2, 1, 3]), np.array([2, 4, 0, 3, 1])
    mean = fitted(name).infer(context).mean
    turned = fitted(name).infer(context.take_users(rows).take_queries(columns)).mean
    # latents that are fitted by iteration end a little apart when sums are rounded in another order
    torch.testing.assert_close(turned, mean[rows], rtol=1e-4, atol=5e-3 if name == "lore" else 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_infer_ignores_what_was_skipped_exactly(name, line, fitted):
    context = line.preferences(4, 6, length=2, seed=3)
    mask = context.mask.copy()
    mask[:, [1, 4]] = False
    mask[0] = False
    labels = np.where(mask, context.labels, np.float32(0.5))
    segments = context.segments.copy()
    segments[~mask] = 123.0
    before = fitted(name).infer(dataclasses.replace(context, mask=mask, labels=labels))
    after = fitted(name).infer(dataclasses.replace(context, mask=mask, labels=labels, segments=segments))
    assert torch.equal(before.mean, after.mean)
    assert torch.equal(before.log_var, after.log_var)


@pytest.mark.parametrize("name", NAMES)
def test_learners_cannot_read_the_truth(name, line, fitted):
    if name == "oracle":
        pytest.skip("the oracle is the learner that knows the truth")
    context = line.preferences(4, 6, length=2, seed=3)
    lie = dataclasses.replace(context, goals=-context.goals, group_index=1 - context.group_index)
    assert torch.equal(fitted(name).infer(context).mean, fitted(name).infer(lie).mean)
    honest, fooled = small(name, line), small(name, line)
    data = line.preferences(24, 6)
    honest.fit(data, seed=0)
    fooled.fit(dataclasses.replace(data, goals=-data.goals, group_index=1 - data.group_index), seed=0)
    for first, second in zip(*(model.network.state_dict().values() for model in (honest, fooled)), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_reward_follows_the_leading_shape_and_treats_rows_apart(name, line, fitted):
    model = fitted(name)
    observations = torch.rand(3, 7, 2) * 2 - 1
    latents = model.infer(line.preferences(3, 6, length=2, seed=3)).mean
    with torch.no_grad():
        rewards = model.reward(observations, latents[:, None].expand(3, 7, -1))
        single = model.reward(observations[1, 4:5], latents[1:2])
        table = model.reward(observations[0][None], latents[:, None])
    assert rewards.shape == table.shape == (3, 7)
    assert rewards.isfinite().all()
    torch.testing.assert_close(rewards[1, 4:5], single, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(table[0], rewards[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_model_and_another_seed_another(name, line):
    rewards = []
    observations = torch.linspace(-1, 1, 10)[:, None].expand(10, 2)
    for seed, global_seed in [(0, 1), (0, 2), (1, 1)]:
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)  # noqa: NPY002 (nobody may listen to it)
        model = small(name, line)
        model.fit(line.preferences(24, 6), seed=seed)
        latents = model.infer(line.preferences(1, 6, seed=3)).mean.expand(10, -1)
        with torch.no_grad():
            rewards.append(model.reward(observations, latents))
    assert torch.equal(rewards[0], rewards[1])
    if name != "oracle":
        assert not torch.equal(rewards[0], rewards[2])


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_it_says_the_same(name, line, fitted, tmp_path):
    model = fitted(name)
    model.save(tmp_path)
    context = line.preferences(4, 6, length=2, seed=3)
    observations = torch.rand(4, 2)
    for loaded in (load_model(tmp_path, task=line.task), type(model).load(tmp_path, task=line.task)):
        assert loaded.latent_size == model.latent_size
        assert loaded.settings == model.settings
        posterior, expected = loaded.infer(context), model.infer(context)
        assert torch.equal(posterior.mean, expected.mean)
        assert torch.equal(posterior.log_var, expected.log_var)
        with torch.no_grad():
            assert torch.equal(loaded.reward(observations, posterior.mean), model.reward(observations, expected.mean))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_another_learner_is_refused_by_name(name, line, fitted, tmp_path):
    other = "btl" if name != "btl" else "vpl"
    fitted(other).save(tmp_path)
    with pytest.raises(ModelFileError, match=f"holds a '{other}' model, expected '{name}'"):
        learners.get(name).load(tmp_path, task=line.task)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_settings_are_refused_by_name(name, line):
    with pytest.raises(LearnerError, match=f"unknown setting of {name} 'rationalty_or_so'"):
        make_learner(name, {"rationalty_or_so": 1}, task=line.task)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_answered_before_fit(name, line):
    if name == "oracle":
        pytest.skip("the oracle knows without learning")
    with pytest.raises(LearnerError, match=f"{name} has learned nothing yet"):
        small(name, line).reward(torch.zeros(1, 2), torch.zeros(1, 0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_every_scaling_takes_every_learner(name, scaling, line, fitted):
    class Even:
        def preference_probability(self, first, second, latents):
            return torch.full(torch.broadcast_shapes(first.shape[:-1], second.shape[:-1]), 0.5)

    model = fitted(name)
    latents = model.infer(line.preferences(3, 6, length=2, seed=3)).mean
    scaled = fit_scaling(scaling, model, latents, torch.rand(16, 2) * 2 - 1, pair_classifier=Even())
    rewards = scaled(torch.rand(30, 2) * 2 - 1, torch.arange(30) % 3)
    assert rewards.shape == (30,)
    assert rewards.isfinite().all()
    if scaling.startswith("spo"):
        assert 0 <= rewards.min() <= rewards.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_both_orders_of_a_pair_add_up_to_one(name, line, fitted):
    """For answers on segments and, by the scaling spo, for single states."""
    model, pairs = fitted(name), line.preferences(6, 5, length=2, seed=4)
    latents = model.infer(line.preferences(6, 6, length=2, seed=3)).mean
    turned = dataclasses.replace(pairs, segments=pairs.segments[:, :, ::-1].copy())
    both = answer_probabilities(model, pairs, latents) + answer_probabilities(model, turned, latents)
    np.testing.assert_allclose(both, 1.0, atol=1e-5)
    states = torch.rand(40, 2) * 2 - 1
    spo = fit_scaling("spo", model, latents[:1], states)(states, torch.zeros(40, dtype=torch.long))
    assert spo.mean().item() == pytest.approx(0.5, abs=1e-5)
    if name.startswith("dpl"):
        single = torch.stack([states[:1].expand(40, 2), states], dim=1)[None, :, :, None]  # (1, K, 2, 1, S)
        with torch.no_grad():
            expected = model.answer_probability(single, latents[:1]).mean()
        assert spo[0].item() == pytest.approx(expected.item(), abs=1e-5)


def test_unknown_learners_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown learner 'vlp'; did you mean 'vpl'"):
        make_learner("vlp")


def test_the_oracle_needs_its_task():
    with pytest.raises(LearnerError, match="oracle needs the environment's task"):
        make_learner("oracle")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden_size": 3}, "did you mean 'hidden_size'"),
        ({"hidden_size": "big"}, "hidden_size of vpl must be a int like 128, is 'big'"),
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
        ({"encoder": "sett"}, "encoder must be one of set, flat, is 'sett'"),
        ({"latent_size": 0}, "latent_size must be at least 1"),
        ({"kl_weight": -1}, "kl_weight must not be negative"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(LearnerError, match=message):
        make_learner("vpl", settings)


def test_a_learner_from_a_file_of_ones_own(line, tmp_path):
    path = tmp_path / "own.py"
    path.write_text("from reward_learning.btl import BTL\n\n\nclass Own(BTL):\n    name = 'own'\n")
    settings = {key: value for key, value in SMALL.items() if key in learner_settings("btl")}
    model = make_learner(f"{path}:Own", settings)
    model.fit(line.preferences(24, 6), seed=0)
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model", learner=f"{path}:Own").name == "own"
    path.write_text("Own = 3\n")
    with pytest.raises(UnknownNameError, match="unknown learner 'own'"):
        load_model(tmp_path / "model")
