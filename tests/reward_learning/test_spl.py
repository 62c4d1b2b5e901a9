import dataclasses
import math

import numpy as np
import pytest
import torch

from pluralbench.reward_learning.didactic import gaussian_preferences
from pluralbench.reward_learning.networks import initialise
from pluralbench.reward_learning.preferential_flow import PreferentialFlow, PreferentialFlowLayer
from pluralbench.reward_learning.spl import SPL, BasePosterior, swap_guidance_loss
from pluralbench.reward_learning.training import PreferenceBatches
from pluralbench.settings import SettingsError

SMALL = {
    "hidden_size": 32,
    "num_layers": 2,
    "num_updates": 400,
    "learning_rate": 3e-3,
    "latent_size": 4,
    "flow_hidden_size": 16,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def flow():
    network = PreferentialFlow(4, 6, 16, 3).double()
    initialise(network, generator())
    for parameter in network.parameters():
        parameter.data.mul_(3)
    return network


def test_guidance_is_zero_for_opposite_means_and_equal_variances():
    mean, log_var = torch.randn(5, 3, generator=generator()), torch.randn(5, 3, generator=generator(1))
    loss, metrics = swap_guidance_loss(mean, log_var, -2 * mean, log_var)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert metrics["mean_cosine"].item() == pytest.approx(-1.0, abs=1e-5)
    assert swap_guidance_loss(mean, log_var, mean, -log_var)[0].item() == pytest.approx(1.1, abs=1e-5)


def test_flow_log_determinant_is_that_of_its_jacobian(flow):
    latent, odd, even = (torch.randn(size, generator=generator(size), dtype=torch.float64) for size in (4, 6, 6))
    _, log_det = flow(latent, odd, even)
    jacobian = torch.autograd.functional.jacobian(lambda z: flow(z, odd, even)[0], latent)
    torch.testing.assert_close(torch.logdet(jacobian), log_det)


def test_each_flow_step_is_autoregressive_in_its_order():
    order = torch.tensor([2, 0, 3, 1])
    layer = PreferentialFlowLayer(order, 6, 16)
    initialise(layer, generator())
    odd, even = torch.randn(6, generator=generator(1)), torch.randn(6, generator=generator(2))
    jacobian = torch.autograd.functional.jacobian(
        lambda z: layer(z, odd, even)[0], torch.randn(4, generator=generator(3))
    )
    by_rank = jacobian[order.argsort()][:, order.argsort()]
    assert torch.equal(by_rank, by_rank.tril())
    assert (by_rank.tril(-1) != 0).sum() >= 5
    assert (by_rank.diagonal() > 0).all()


def test_flow_turns_over_with_what_the_swap_reverses(flow):
    latent = torch.randn(7, 4, generator=generator(1), dtype=torch.float64)
    odd, even = (torch.randn(7, 6, generator=generator(seed), dtype=torch.float64) for seed in (2, 3))
    forward, log_det = flow(latent, odd, even)
    mirrored, mirrored_log_det = flow(-latent, -odd, even)
    torch.testing.assert_close(mirrored, -forward)
    torch.testing.assert_close(mirrored_log_det, log_det)
    assert (flow(latent, -odd, even)[0] - forward).abs().max() > 0.1
    assert (flow(latent, odd, -even)[0] - forward).abs().max() > 0.1


@pytest.fixture(scope="module")
def fitted():
    model = SPL(SMALL)
    model.history = model.fit(gaussian_preferences(500, 16, np.random.default_rng(0)), seed=0)
    return model


def test_swapped_answers_give_the_opposite_latent(fitted):
    users = gaussian_preferences(100, 16, np.random.default_rng(1))
    swapped = dataclasses.replace(users, labels=1 - users.labels)
    mean, opposite = fitted.infer(users).mean, fitted.infer(swapped).mean
    assert torch.cosine_similarity(mean, opposite).mean() < -0.8


def test_latents_tell_new_users_apart(fitted):
    users = gaussian_preferences(200, 48, np.random.default_rng(2))
    latents = fitted.infer(users.take_queries(slice(0, 8))).mean
    rewards = fitted.reward(torch.from_numpy(users.segments[:, 8:, :, 0, :]), latents[:, None, None, :])
    right = (rewards[..., 0] > rewards[..., 1]) == torch.from_numpy(users.labels[:, 8:] == 1)
    assert right.float().mean() > 0.75
    assert (latents.var(0) > 0.005).sum() >= 2


def test_posterior_ignores_order_and_skipped_answers_and_is_the_prior_without_any(fitted):
    users = gaussian_preferences(20, 16, np.random.default_rng(3))
    posterior = fitted.infer(users)
    shuffled = fitted.infer(users.take_queries(np.random.default_rng(4).permutation(16)))
    torch.testing.assert_close(shuffled.mean, posterior.mean, atol=1e-4, rtol=1e-4)
    mask = np.arange(16)[None] < np.full((20, 1), 8)
    half = fitted.infer(dataclasses.replace(users, mask=mask))
    torch.testing.assert_close(half.mean, fitted.infer(users.take_queries(slice(0, 8))).mean, atol=1e-4, rtol=1e-4)
    silent = fitted.infer(dataclasses.replace(users, mask=np.zeros_like(users.mask)))
    torch.testing.assert_close(silent.mean, torch.zeros(20, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(silent.log_var, torch.zeros(20, 4), atol=1e-5, rtol=0)


def test_density_after_the_flow_integrates_to_one():
    """E_q[p(z) / q(z)] = 1 for any p that q covers; q is drawn through the flow."""
    model = SPL({**SMALL, "latent_size": 2})
    network = model.start(gaussian_preferences(4, 4, np.random.default_rng(0)), seed=0)
    initialise(network, generator())  # a flow that is not nearly the identity
    # a wide base and a narrow p, so that the ratios stay small
    values = [
        torch.tensor([value], dtype=torch.float32) for value in ([0.3, -0.2], [1.0, 1.2], [-0.3, 0.2], [1.0, 1.0])
    ]
    base = BasePosterior(*values, torch.tensor([[True]]))
    noise = torch.randn(200_000, 1, 2, generator=generator())
    with torch.no_grad():
        latents, log_density = network.transport(base, noise)
    log_target = (-0.5 * (latents / 0.7).square() - math.log(0.7) - 0.5 * math.log(2 * math.pi)).sum(-1)
    assert (log_target - log_density).exp().mean().item() == pytest.approx(1.0, abs=0.02)


def test_samples_have_the_moments_of_infer_and_are_not_a_diagonal_gaussian(fitted):
    users = gaussian_preferences(3, 16, np.random.default_rng(6))
    seeded, many = generator(), users.take_users(np.tile(np.arange(3), 500))
    samples = torch.cat(
        [fitted.posterior_for_policy(many, seeded).mean.view(500, 3, -1) for _ in range(8)]
    )  # (N, U, Z)
    posterior = fitted.infer(users)
    std = (0.5 * posterior.log_var).exp()
    assert ((samples.mean(0) - posterior.mean).abs() < 0.1 * std + 0.02).all()
    assert (samples.std(0) / std - 1).abs().max() < 0.25
    first, again = (fitted.posterior_for_policy(users, generator(1)) for _ in range(2))
    assert torch.equal(first.mean, again.mean)
    assert (first.log_var == -torch.inf).all()
    correlations = torch.stack([torch.corrcoef(samples[:, user].T) for user in range(3)]) - torch.eye(4)
    assert correlations.abs().max() > 0.1


def test_files_keep_the_numbers(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = SPL.load(tmp_path)
    users = gaussian_preferences(5, 8, np.random.default_rng(5))
    torch.testing.assert_close(loaded.infer(users).mean, fitted.infer(users).mean, rtol=0, atol=0)
    batch = PreferenceBatches(users, "cpu").take(np.arange(5))
    latents = loaded.infer(users).mean
    torch.testing.assert_close(loaded.logits(batch, latents), fitted.logits(batch, latents))


def test_impossible_settings_are_named():
    with pytest.raises(SettingsError, match=r"spl.pooling: Input should be 'mean' or 'attention', got 'max'"):
        SPL({"pooling": "max"})
    with pytest.raises(SettingsError, match="guidance_weight must not be negative"):
        SPL({"guidance_weight": -1.0})
