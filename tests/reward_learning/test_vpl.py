import dataclasses

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pluralbench.reward_learning.answering import answer_probabilities
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.preference_losses import bradley_terry_nll
from pluralbench.reward_learning.training import PreferenceBatches, random_context

SMALL = {"hidden_size": 32, "num_layers": 2, "latent_size": 4, "num_updates": 300, "batch_users": 32}


@pytest.fixture(scope="module")
def opposed(line):
    """VPL that learned from two opposed kinds of user."""
    model = make_learner("vpl", SMALL)
    model.fit(line.preferences(200, 12), seed=0)
    return model


def accuracy_on_unseen(model, context, targets):
    probability = answer_probabilities(model, targets, model.infer(context).mean)
    return float(np.mean((probability > 0.5) == (targets.labels > 0.5)))


def new_users(line, num_users=60, **options):
    users = line.preferences(num_users, 28, seed=9, **options)
    return users.take_queries(slice(0, 8)), users.take_queries(slice(8, 28))


def test_opposed_users_separate_in_latent_space_while_one_reward_stays_at_chance(line, opposed):
    context, targets = new_users(line)
    assert accuracy_on_unseen(opposed, context, targets) > 0.95
    means = opposed.infer(context).mean
    left, right = means[context.group_index == 0], means[context.group_index == 1]
    direction = right.mean(0) - left.mean(0)
    assert (right @ direction).min() > (left @ direction).max()

    btl = make_learner("btl", {key: SMALL[key] for key in ("hidden_size", "num_layers", "num_updates")})
    btl.fit(line.preferences(200, 12), seed=0)
    assert 0.4 < accuracy_on_unseen(btl, context, targets) < 0.6


def test_btl_learns_what_users_agree_on(line):
    btl = make_learner("btl", {key: SMALL[key] for key in ("hidden_size", "num_layers", "num_updates")})
    history = btl.fit(line.preferences(100, 12, goals=(1.0,)), seed=0)
    context, targets = new_users(line, goals=(1.0,))
    assert accuracy_on_unseen(btl, context, targets) > 0.95
    assert next(row for row in history if row["kept"])["validation_accuracy"] > 0.9


def test_rewards_turn_over_with_the_user(line, opposed):
    context, _ = new_users(line, num_users=2)
    means = opposed.infer(context).mean
    places = torch.stack([torch.linspace(-1, 1, 21), torch.zeros(21)], dim=1)
    with torch.no_grad():
        left, right = opposed.reward(places[None], means[:, None])
    assert left[0] > left[10] > left[20]
    assert right[0] < right[10] < right[20]


def test_posterior_sharpens_as_answers_come_in(line, opposed):
    context = line.preferences(60, 12, seed=9)
    entropy = [float(opposed.infer(context.take_queries(slice(0, size))).log_var.sum(1).mean()) for size in (1, 4, 12)]
    assert entropy[0] > entropy[1] > entropy[2]


def test_who_answered_nothing_has_the_prior(line, opposed):
    context = line.preferences(3, 4, seed=9)
    mask = context.mask.copy()
    mask[1] = False
    posterior, prior = opposed.infer(dataclasses.replace(context, mask=mask)), opposed.prior(3)
    assert torch.equal(posterior.mean[1], prior.mean[1])
    assert torch.equal(posterior.log_var[1], prior.log_var[1])
    assert not torch.equal(posterior.mean[0], prior.mean[0])


def test_loss_is_the_negative_evidence_lower_bound(line):
    model = make_learner("vpl", {**SMALL, "annealing_cycles": 0, "vary_context": False, "kl_weight": 0.7})
    preferences = line.preferences(10, 6, length=3)
    model.start(preferences, seed=0)
    batch = PreferenceBatches(preferences, "cpu").take(np.arange(10))
    loss, metrics = model.loss(batch, torch.Generator().manual_seed(5), progress=0.0)

    posterior = model.infer(preferences)
    noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(5))
    std = (0.5 * posterior.log_var).exp()
    latents = (posterior.mean + std * noise)[:, None, None, None]
    returns = model.reward(batch.segments, latents).sum(-1)
    nll = bradley_terry_nll(returns[..., 0] - returns[..., 1], batch.labels).sum(1).mean()
    kl = kl_divergence(Normal(posterior.mean, std), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(loss, nll + 0.7 * kl)
    torch.testing.assert_close(metrics["kl"], kl)


def test_the_prior_is_learned_unless_it_is_not_to_be(line):
    for learned in (True, False):
        model = make_learner("vpl", {**SMALL, "num_updates": 30, "learned_prior": learned})
        model.fit(line.preferences(40, 8), seed=0)
        prior = model.prior(1)
        moved = bool((prior.mean != 0).any() and (prior.log_var != 0).any())
        assert moved is learned


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "attention"},
        {"conditioning": "film"},
        {"free_bits": 0.1},
        {"encoder": "flat", "vary_context": False, "num_updates": 400},
        {"features": {"sinusoid_columns": [0], "wavelengths": [2.0]}},
        {"features": {"differences": [[[0], [1]]]}},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_option_learns_and_survives_its_file(options, line, tmp_path):
    model = make_learner("vpl", {**SMALL, **options})
    # the flat encoder learns anew for each place of an answer and needs more users for it
    model.fit(line.preferences(3000 if "encoder" in options else 200, 8), seed=0)
    context, targets = new_users(line)
    assert accuracy_on_unseen(model, context, targets) > 0.9
    model.save(tmp_path)
    assert torch.equal(type(model).load(tmp_path).infer(context).mean, model.infer(context).mean)


def test_a_huge_kl_weight_collapses_the_posterior(line):
    model = make_learner("vpl", {**SMALL, "kl_weight": 1000, "annealing_cycles": 0, "num_updates": 150})
    model.fit(line.preferences(100, 8), seed=0)
    assert model.infer(line.preferences(40, 8, seed=9)).mean.std(0).max() < 0.05


def test_random_contexts_are_of_every_size_and_place():
    mask = torch.ones(4000, 5, dtype=torch.bool)
    kept = random_context(mask, torch.Generator().manual_seed(0))
    sizes = torch.bincount(kept.sum(1), minlength=6)
    assert sizes[0] == 0
    assert (sizes[1:] / 4000 - 0.2).abs().max() < 0.03
    assert (kept.float().mean(0) - 0.6).abs().max() < 0.03
    fewer = random_context(mask, torch.Generator().manual_seed(0), fewest=0)
    assert torch.equal(fewer.sum(1), kept.sum(1) - 1)


def test_observations_of_another_size_are_refused(opposed):
    with pytest.raises(ValueError, match="vpl learned from observations of 2 numbers, got 3"):
        opposed.reward(torch.zeros(1, 3), torch.zeros(1, 4))
