import dataclasses

import numpy as np
import pytest
import torch

from pluralbench.reward_learning.didactic import gaussian_preferences
from pluralbench.reward_learning.lore import Evidence, LoRe, blend, fit_weights, log_posterior
from pluralbench.settings import SettingsError

PRIOR_MEAN = torch.tensor([0.5, -0.2, 0.0], dtype=torch.float64)


def planted(num_users=6, num_answers=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    truth = 2 * torch.randn(num_users, 3, generator=generator, dtype=torch.float64)
    differences = 4 * torch.randn(num_users, num_answers, 3, generator=generator, dtype=torch.float64)
    chances = (differences @ truth.softmax(-1)[..., None]).squeeze(-1).sigmoid()
    labels = torch.bernoulli(chances, generator=generator)
    return truth, differences, labels, torch.ones_like(labels, dtype=torch.bool)


def test_blend_by_hand():
    weights = torch.tensor([0.0, 0.0]), torch.tensor([50.0, -50.0])
    assert blend(torch.tensor([1.0, 3.0]), weights[0]).item() == pytest.approx(2.0)
    assert blend(torch.tensor([1.0, 3.0]), weights[1]).item() == pytest.approx(1.0)


@pytest.mark.parametrize("mistake_rate", [0.0, 0.1])
def test_fitted_weights_are_a_stationary_maximum(mistake_rate):
    _, *answers = planted()
    evidence = Evidence(*answers, PRIOR_MEAN, 2.0, mistake_rate)
    weights, _ = fit_weights(evidence, num_steps=60)
    leaf = weights.clone().requires_grad_()
    score = log_posterior(leaf, evidence)
    (gradient,) = torch.autograd.grad(score.sum(), leaf)
    assert gradient.abs().max() < 1e-4
    for seed in range(20):
        nudge = 0.1 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        nudged = log_posterior(weights + nudge, evidence)
        assert (nudged < score).all()


@pytest.mark.parametrize("mistake_rate", [1e-30, 1e-9, 1e-3])
def test_answers_that_are_as_good_as_certain_give_weights_that_are_numbers(mistake_rate):
    _, differences, labels, mask = planted()
    evidence = Evidence(100 * differences.float(), labels.float(), mask, PRIOR_MEAN.float(), 2.0, mistake_rate)
    weights, var = fit_weights(evidence)
    assert weights.isfinite().all()
    assert var.isfinite().all()
    assert (log_posterior(weights, evidence) >= log_posterior(PRIOR_MEAN.float().expand(6, -1), evidence)).all()


def test_no_answers_give_the_prior():
    _, differences, labels, mask = planted()
    mean, var = fit_weights(Evidence(differences, labels, torch.zeros_like(mask), PRIOR_MEAN, 2.0))
    torch.testing.assert_close(mean, PRIOR_MEAN.expand_as(mean))
    torch.testing.assert_close(var, torch.full_like(var, 4.0))


def test_order_and_skipped_answers_change_nothing_and_more_answers_sharpen():
    _, differences, labels, mask = planted()
    mask[:, 20:] = False
    mean, var = fit_weights(Evidence(differences, labels, mask, PRIOR_MEAN, 2.0))
    garbage = torch.where(mask[..., None], differences, torch.nan)
    shuffled = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    other, _ = fit_weights(Evidence(garbage[:, shuffled], labels[:, shuffled], mask[:, shuffled], PRIOR_MEAN, 2.0))
    torch.testing.assert_close(mean, other)
    _, sharper = fit_weights(Evidence(differences, labels, torch.ones_like(mask), PRIOR_MEAN, 2.0))
    assert sharper.mean() < var.mean() < 4.0


def test_laplace_variance_without_curvature_of_the_softmax_is_the_inverse_hessian():
    """At a fitted optimum with soft labels equal to the model's own chances, Gauss-Newton is the exact Hessian."""
    truth, differences, _, mask = planted(num_users=2)
    labels = (differences @ truth.softmax(-1)[..., None]).squeeze(-1).sigmoid()
    # with the prior centred on the truth the optimum is the truth, and every residual is zero there
    evidence = Evidence(differences[:1], labels[:1], mask[:1], truth[0], 1.5)
    mean, var = fit_weights(evidence)
    torch.testing.assert_close(mean[0], truth[0])
    hessian = torch.autograd.functional.hessian(lambda w: log_posterior(w[None], evidence).sum(), truth[0])
    torch.testing.assert_close(var[0], torch.linalg.inv(-hessian).diagonal())


SMALL = {"hidden_size": 32, "num_layers": 2, "num_updates": 300, "learning_rate": 3e-3, "num_bases": 4}


@pytest.fixture(scope="module")
def fitted():
    model = LoRe(SMALL)
    model.fit(gaussian_preferences(400, 16, np.random.default_rng(0)), seed=0)
    return model


def test_new_users_get_their_own_rewards(fitted):
    users = gaussian_preferences(200, 48, np.random.default_rng(1))
    latents = fitted.infer(users.take_queries(slice(0, 8))).mean
    further = torch.from_numpy(users.segments[:, 8:, :, 0, :])
    rewards = fitted.reward(further, latents[:, None, None, :])
    right = (rewards[..., 0] > rewards[..., 1]) == torch.from_numpy(users.labels[:, 8:] == 1)
    shared = fitted.reward(further, fitted.prior(200).mean[:, None, None, :])
    averaged = (shared[..., 0] > shared[..., 1]) == torch.from_numpy(users.labels[:, 8:] == 1)
    assert right.float().mean() > 0.74
    assert right.float().mean() > averaged.float().mean() + 0.08


def test_posteriors_start_from_the_prior_and_sharpen(fitted):
    users = gaussian_preferences(50, 16, np.random.default_rng(2))
    silent = dataclasses.replace(users, mask=np.zeros_like(users.mask))
    nothing, prior = fitted.infer(silent), fitted.prior(50)
    torch.testing.assert_close(nothing.mean, prior.mean)
    torch.testing.assert_close(nothing.log_var, prior.log_var)
    few, many = (fitted.infer(users.take_queries(slice(0, size))).log_var.mean() for size in (2, 16))
    assert many < few < prior.log_var.mean()


def test_policies_learn_from_the_fitted_weights_themselves(fitted):
    users = gaussian_preferences(10, 8, np.random.default_rng(7))
    known = fitted.posterior_for_policy(users, torch.Generator().manual_seed(0))
    torch.testing.assert_close(known.mean, fitted.infer(users).mean)
    assert (known.log_var == -torch.inf).all()


def test_rewards_are_blends_and_broadcast(fitted):
    points, latents = torch.rand(5, 1), torch.randn(3, 1, 4)
    rewards = fitted.reward(points, latents)
    assert rewards.shape == (3, 5)
    bases = fitted.network.bases(points)
    torch.testing.assert_close(rewards[1], bases @ latents[1, 0].softmax(-1))
    singular = torch.linalg.svdvals(fitted.reward(torch.rand(50, 1), torch.randn(40, 1, 4)).double())
    assert singular[4] < 1e-4 * singular[0]


def test_files_keep_the_numbers(fitted, tmp_path):
    fitted.save(tmp_path)
    users = gaussian_preferences(5, 8, np.random.default_rng(3))
    loaded = LoRe.load(tmp_path)
    torch.testing.assert_close(loaded.infer(users).mean, fitted.infer(users).mean, rtol=0, atol=0)
    assert loaded.latent_size == 4


def test_impossible_settings_are_named():
    with pytest.raises(SettingsError, match="prior_std must be positive"):
        LoRe({"prior_std": 0.0})
    with pytest.raises(SettingsError, match="num_bases must be at least 1"):
        LoRe({"num_bases": 0})
