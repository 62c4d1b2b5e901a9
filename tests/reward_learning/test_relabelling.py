import dataclasses

import numpy as np
import pytest
import torch

from pluralbench.reward_learning.networks import LearnerError
from pluralbench.reward_learning.relabelling import draw_latents, relabel
from pluralbench.reward_learning.reward_model import Posterior
from pluralbench.reward_learning.scaling import SCALINGS


class Product:
    """r(s, z) = z (s_0 + 10 s_1)."""

    name = "product"
    latent_size = 1

    def reward(self, observations, latents):
        return latents[..., 0] * (observations[..., 0] + 10 * observations[..., 1])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def certain(*means):
    mean = torch.tensor(means, dtype=torch.float32)[:, None]
    return Posterior(mean, torch.full_like(mean, -torch.inf))


def test_every_trajectory_has_one_latent_and_all_users_lend_theirs(line):
    data = line.transitions(num_episodes=300)
    latents, index = draw_latents(certain(*range(10)), data, seeded(), num_latents=30)
    assert latents[:, 0].tolist() == list(range(10))  # three draws of each user, all the same: kept once
    assert index.shape == (3000,)
    by_episode = index.reshape(300, 10)
    assert (by_episode == by_episode[:, :1]).all()
    counts = np.bincount(by_episode[:, 0], minlength=10)
    assert counts.min() > 10


def test_latents_follow_the_posteriors(line):
    posterior = Posterior(torch.tensor([[-5.0, 0.0], [5.0, 0.0]]), torch.tensor([[0.0, 2.0], [0.0, 2.0]]).log())
    posterior = dataclasses.replace(posterior, log_var=posterior.log_var.clamp(min=-20))
    latents, _ = draw_latents(posterior, line.transitions(), seeded(), num_latents=2000)
    assert latents.shape == (2000, 2)
    side = latents[:, 0] > 0
    assert side.sum() == 1000
    assert latents[side, 0].mean().item() == pytest.approx(5.0, abs=0.01)
    assert latents[:, 1].var().item() == pytest.approx(2.0, rel=0.15)


def test_fewer_latents_than_users_come_from_different_users(line):
    latents, _ = draw_latents(certain(*range(100)), line.transitions(), seeded(), num_latents=20)
    assert len(latents) == 20
    again, _ = draw_latents(certain(*range(100)), line.transitions(), seeded(), num_latents=20)
    other, _ = draw_latents(certain(*range(100)), line.transitions(), seeded(1), num_latents=20)
    assert torch.equal(latents, again)
    assert not torch.equal(latents, other)


def test_without_personal_latents_there_is_one_empty_latent(line):
    latents, index = draw_latents(Posterior(torch.zeros(5, 0), torch.zeros(5, 0)), line.transitions(), seeded())
    assert latents.shape == (1, 0)
    assert index.tolist() == [0] * 200


def test_rewards_are_those_of_the_states_arrived_at(line):
    data = line.transitions()
    latents, index = draw_latents(certain(1.0, -2.0, 3.0), data, seeded())
    rewards = relabel(data, Product(), latents, index, "none", seeded())
    arrived = data.next_observations
    expected = latents[:, 0].numpy()[index] * (arrived[:, 0] + 10 * arrived[:, 1])
    np.testing.assert_allclose(rewards, expected, rtol=1e-5)
    assert rewards.dtype == np.float32


def test_spo_equals_a_loop_over_transitions(line):
    data = line.transitions()
    latents, index = draw_latents(certain(0.3, -2.0), data, seeded())
    rewards = relabel(data, Product(), latents, index, "spo", seeded(4), num_comparison_states=17)
    chosen = torch.randint(len(data), (17,), generator=seeded(4)).numpy()

    def value(row, z):
        return z * (data.next_observations[row, 0] + 10.0 * data.next_observations[row, 1])

    for row in range(0, 200, 13):
        z = float(latents[index[row], 0])
        expected = np.mean([1 / (1 + np.exp(value(other, z) - value(row, z))) for other in chosen])
        assert rewards[row] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("scaling", [name for name in SCALINGS if name != "spo-pairs"])
def test_batches_do_not_show_and_progress_is_told(scaling, line):
    data = line.transitions()
    latents, index = draw_latents(certain(0.3, -2.0), data, seeded())
    whole = relabel(data, Product(), latents, index, scaling, seeded())
    calls = []
    pieces = relabel(
        data, Product(), latents, index, scaling, seeded(), batch_size=64, progress=lambda *done: calls.append(done)
    )
    np.testing.assert_allclose(whole, pieces, rtol=1e-5)
    assert calls == [(64, 200), (128, 200), (192, 200), (200, 200)]


def test_what_does_not_fit_is_refused(line):
    data = line.transitions()
    latents, index = draw_latents(certain(1.0), data, seeded())
    with pytest.raises(LearnerError, match=r"latent_index must be \(200,\)"):
        relabel(data, Product(), latents, index[:5], "none", seeded())
    with pytest.raises(LearnerError, match="must point into the 1 latents"):
        relabel(data, Product(), latents, index + 1, "none", seeded())
    with pytest.raises(LearnerError, match="spo needs at least one comparison state"):
        relabel(data, Product(), latents, index, "spo", seeded(), num_comparison_states=0)
    with pytest.raises(LearnerError, match="0 latents from 1 users"):
        draw_latents(certain(1.0), data, seeded(), num_latents=0)
