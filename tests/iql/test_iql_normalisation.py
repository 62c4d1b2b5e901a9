"""What is normalised for training: latents, which the policy takes as they came, and rewards where asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pluralbench.iql.data import ReplayData
from pluralbench.iql.settings import IQLError, IQLSettings
from pluralbench.iql.training import train

SETTINGS = IQLSettings(num_updates=30, batch_size=32, hidden_sizes=(16, 16))


def _data(latents):
    generator = np.random.default_rng(0)
    num, runs = 200, latents.shape[0]
    return ReplayData.from_arrays(
        generator.normal(size=(num, 3)),
        generator.uniform(-1, 1, size=(num, 2)),
        generator.normal(size=(num, 3)),
        np.zeros(num, bool),
        np.arange(num) % 20 == 19,
        rewards=generator.normal(size=(runs, num)),
        latents=latents,
        latent_index=generator.integers(latents.shape[1], size=(runs, num)),
    )


def test_normalized_latents_have_mean_zero_and_keep_the_proportions_of_their_dimensions():
    latents = np.random.default_rng(1).normal(5.0, [3.0, 0.3, 0.0], size=(2, 50, 3))
    normalized, mean, std = _data(latents).with_normalized_latents()
    np.testing.assert_allclose(normalized.latents.mean(1), 0.0, atol=1e-5)
    deviation = normalized.latents.std(1, correction=0)
    np.testing.assert_allclose(deviation[:, 0], 1.0, atol=1e-4)
    np.testing.assert_allclose(deviation, latents.std(1) / latents.std(1)[:, :1], atol=1e-4)
    np.testing.assert_allclose(normalized.latents * std + mean, latents, atol=1e-5)


def test_latents_that_are_all_the_same_stay_finite():
    normalized, _, std = _data(np.full((2, 50, 3), 7.0)).with_normalized_latents()
    np.testing.assert_array_equal(normalized.latents, 0.0)
    np.testing.assert_array_equal(std, 1.0)


def test_a_policy_does_not_depend_on_the_units_of_its_latents():
    latents = np.random.default_rng(1).normal(size=(2, 10, 2))
    plain = train(_data(latents), SETTINGS, [0, 1]).policy
    scaled = train(_data(100.0 * latents + 7.0), SETTINGS, [0, 1]).policy
    observations = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    asked = latents[:, :5]
    np.testing.assert_allclose(
        plain.act(observations, asked), scaled.act(observations, 100.0 * asked + 7.0), rtol=0, atol=2e-4
    )


def test_normalized_rewards_have_deviation_one_and_keep_their_mean_only_where_episodes_end():
    data = _data(np.zeros((2, 1, 1)))
    normalized = data.with_normalized_rewards().rewards
    np.testing.assert_allclose(normalized.mean(1), 0.0, atol=1e-5)
    np.testing.assert_allclose(normalized.std(1), 1.0, atol=1e-4)
    ended = replace(data, terminals=data.timeouts, rewards=data.rewards + 3.0).with_normalized_rewards().rewards
    np.testing.assert_allclose(ended.std(1), 1.0, atol=1e-4)
    assert (ended.mean(1) > 2).all()


def test_a_policy_does_not_depend_on_zero_and_unit_of_normalized_rewards():
    data, settings = _data(np.zeros((2, 1, 1))), replace(SETTINGS, normalize_rewards=True)
    policies = [train(d, settings, [0, 1]).policy for d in (data, replace(data, rewards=50.0 * data.rewards - 9.0))]
    observations = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(*(p.act(observations, np.zeros((2, 5, 1))) for p in policies), rtol=0, atol=2e-4)


def chain(discount, terminals):
    """Ten steps along a line under one reward."""
    rng = np.random.default_rng(3)
    rewards = rng.normal(size=11).astype(np.float32)
    flags = np.zeros(10, bool)
    flags[-1] = terminals
    data = ReplayData.from_arrays(
        np.zeros((10, 1)), np.zeros((10, 1)), np.zeros((10, 1)), flags, ~flags & (np.arange(10) == 9),
        rewards=rewards[1:][None], rewards_before=rewards[:-1][None],
    )  # fmt: skip
    return data, rewards


@pytest.mark.parametrize("terminal", [True, False])
def test_shaped_returns_differ_from_plain_ones_by_the_potential_alone(terminal):
    discount = 0.9
    data, rewards = chain(discount, terminal)
    powers = discount ** np.arange(10)
    plain = float((powers * rewards[1:]).sum())
    shaped = float((powers * data.with_shaped_rewards(discount).rewards[0].numpy()).sum())
    potential = rewards / (1 - discount)
    left = 0.0 if terminal else discount**10 * potential[10]
    assert shaped == pytest.approx(plain + left - potential[0], abs=1e-3)


def test_shaping_pays_for_change_and_needs_to_know_what_was_before():
    data, rewards = chain(0.9, terminals=False)
    np.testing.assert_allclose(data.with_shaped_rewards(0.9).rewards[0], np.diff(rewards) / 0.1, atol=1e-4)
    with pytest.raises(IQLError, match="rewards_before"):
        replace(data, rewards_before=None).with_shaped_rewards(0.9)
    with pytest.raises(IQLError, match="discount below 1"):
        IQLSettings(shaping=True, discount=1.0)


def test_both_rewards_are_normalised_alike():
    data, _ = chain(0.9, terminals=False)
    normal = data.with_normalized_rewards()
    assert normal.rewards.std() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(normal.rewards[0, :-1], normal.rewards_before[0, 1:], atol=1e-6)


def test_padding_of_a_run_with_fewer_latents_changes_nothing():
    """A run of 3 latents trains the same policy whether or not 7 of another run stand beside them."""
    generator = np.random.default_rng(1)
    few, many = generator.normal(size=(1, 3, 2)), generator.normal(size=(1, 7, 2))
    alone, other = _data(few), _data(many)
    both = ReplayData.from_arrays(
        *(getattr(alone, name) for name in ("observations", "actions", "next_observations", "terminals", "timeouts")),
        rewards=torch.cat([alone.rewards, other.rewards]),
        latents=np.concatenate([np.concatenate([few, few, few], 1)[:, :7], many]),
        latent_index=torch.cat([alone.latent_index, other.latent_index]),
        latent_counts=[3, 7],
    )
    for settings in (SETTINGS, replace(SETTINGS, latent_centres=7, latent_width=0.5)):
        observations, asked = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0)), few[:, [0, 1, 2, 0, 1]]
        expected = train(alone, replace(settings), [4]).policy.act(observations, asked)
        found = train(both, settings, [4, 5]).policy.of_run(0).act(observations, asked)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    with pytest.raises(IQLError, match="latent_counts must be"):
        replace(both, latent_counts=torch.tensor([2, 7]))
