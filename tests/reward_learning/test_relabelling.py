import dataclasses

import numpy as np
import pytest
import torch

from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.latent_draws import LATENT_DRAWS
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.relabelling import (
    draw_comparison_states,
    draw_latents,
    draw_wanted_states,
    relabel,
    relabel_starts,
    with_hindsight,
)
from pluralbench.reward_learning.reward_model import Posterior, RewardFunction
from pluralbench.reward_learning.scaling import SCALINGS

NO_STATES = torch.zeros(0, 2)


class Product(RewardFunction):
    """r(s, z) = z (s_0 + 10 s_1)."""

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
    rewards = relabel(data, Product(), latents, index, "none", NO_STATES)
    arrived = data.next_observations
    expected = latents[:, 0].numpy()[index] * (arrived[:, 0] + 10 * arrived[:, 1])
    np.testing.assert_allclose(rewards, expected, rtol=1e-5)
    assert rewards.dtype == np.float32


def test_spo_equals_a_loop_over_transitions(line):
    data = line.transitions()
    latents, index = draw_latents(certain(0.3, -2.0), data, seeded())
    rewards = relabel(data, Product(), latents, index, "spo", draw_comparison_states(data, 17, seeded(4)))
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
    states = draw_comparison_states(data, 256, seeded())
    whole = relabel(data, Product(), latents, index, scaling, states)
    calls = []
    pieces = relabel(
        data, Product(), latents, index, scaling, states, batch_size=64, progress=lambda *done: calls.append(done)
    )
    np.testing.assert_allclose(whole, pieces, rtol=1e-5)
    assert calls == [(64, 200), (128, 200), (192, 200), (200, 200)]


def test_what_does_not_fit_is_refused(line):
    data = line.transitions()
    latents, index = draw_latents(certain(1.0), data, seeded())
    with pytest.raises(LearnerError, match=r"latent_index must be \(200,\)"):
        relabel(data, Product(), latents, index[:5], "none", NO_STATES)
    with pytest.raises(LearnerError, match="must point into the 1 latents"):
        relabel(data, Product(), latents, index + 1, "none", NO_STATES)
    with pytest.raises(LearnerError, match="spo needs at least one comparison state"):
        relabel(data, Product(), latents, index, "spo", draw_comparison_states(data, 0, seeded()))
    with pytest.raises(LearnerError, match="0 latents from 1 users"):
        draw_latents(certain(1.0), data, seeded(), num_latents=0)


def test_one_generator_draws_users_latents_owners_and_then_the_comparison_states(line):
    """The order of the draws is part of every published number."""
    data, posterior = line.transitions(), Posterior(torch.arange(3.0)[:, None], torch.zeros(3, 1))
    generator, by_hand = seeded(7), seeded(7)
    latents, index = draw_latents(posterior, data, generator, num_latents=5)
    states = draw_comparison_states(data, 6, generator)
    rows = torch.cat([torch.randperm(3, generator=by_hand) for _ in range(2)])[:5]
    expected, place = torch.unique(rows[:, None] + torch.randn(5, 1, generator=by_hand), dim=0, return_inverse=True)
    owner = torch.randint(5, (20,), generator=by_hand)
    chosen = torch.randint(200, (6,), generator=by_hand)
    assert torch.equal(latents, expected)
    assert index.tolist() == place[owner].repeat_interleave(10).tolist()
    assert torch.equal(states, torch.from_numpy(data.next_observations)[chosen])
    rewards = relabel(data, Product(), latents, index, "maxnorm", states)
    values = Product().reward(states[None], latents[:, None]).abs().amax(1)
    own = Product().reward(torch.from_numpy(data.next_observations), latents[torch.from_numpy(index)])
    assert np.array_equal(rewards, (own / values[torch.from_numpy(index)]).numpy())


STATES = torch.linspace(-1, 1, 40)[:, None].repeat(1, 2)
SMALL = {"num_updates": 5, "hidden_size": 8, "num_layers": 1, "num_validations": 1}


@pytest.mark.parametrize("name", ["vpl", "spl", "lore"])
def test_latents_for_relabelling_come_from_the_users_or_from_the_prior(name, line):
    model, context = make_learner(name, SMALL), line.preferences(20, 6)
    model.fit(context, seed=0)
    drawn = LATENT_DRAWS["posterior"](model, context, STATES, seeded(1))
    expected = model.posterior_for_policy(context, seeded(1))
    assert torch.equal(drawn.mean, expected.mean)
    assert bool((drawn.log_var == -torch.inf).all()) is (name != "vpl")
    prior = LATENT_DRAWS["prior"](model, context, STATES, seeded(1))
    assert torch.equal(prior.mean, model.prior(20).mean)
    assert torch.equal(prior.log_var, model.prior(20).log_var)


def test_a_model_without_latents_needs_no_prior_and_one_with_latents_says_what_to_do(line):
    btl, context = make_learner("btl", SMALL), line.preferences(20, 6)
    btl.fit(context, seed=0)
    assert LATENT_DRAWS["prior"](btl, context, STATES, seeded()).mean.shape == (20, 0)
    oracle = make_learner("oracle", task=line.task)
    with pytest.raises(LearnerError, match=r"oracle has no prior .*; set relabel.latents to posterior"):
        LATENT_DRAWS["prior"](oracle, context, STATES, seeded())


class Crowd:
    """One user in eleven wants the one end of the line, ten the other."""

    latent_size = 1

    def posterior_for_policy(self, context, generator):
        return Posterior.exactly(
            torch.tensor([[-1.0]] * 20 + [[1.0]] * 200) + 0.01 * torch.randn(220, 1, generator=seeded())
        )

    def reward(self, observations, latents):
        return observations[..., 0] * latents[..., 0]


def test_even_latents_give_a_minority_the_weight_of_the_majority():
    posterior = LATENT_DRAWS["even"](Crowd(), None, STATES, seeded())
    assert posterior.mean.shape == (220, 1)
    assert 0.45 < float((posterior.mean < 0).float().mean()) < 0.55


def test_with_hindsight_a_trajectory_is_seen_by_whoever_likes_its_end_best(line):
    data, generator = line.transitions(num_episodes=400), seeded(2)
    latents = torch.tensor([[-1.0], [1.0]])
    index = np.zeros(len(data), dtype=np.int64)
    found = with_hindsight(Crowd(), data, latents, index, STATES, 1.0, generator)
    last = data.episode_bounds[:, 1] - 1
    likes_positive = data.next_observations[last, 0] > 0
    assert (found[last] == likes_positive).all()
    assert (found == found[last][data.episode_index]).all()
    half = with_hindsight(Crowd(), data, latents, index, STATES, 0.5, seeded(3))[last]
    assert 0.4 < half[likes_positive].mean() < 0.6
    assert not half[~likes_positive].any()
    assert with_hindsight(Crowd(), data, latents, index, STATES, 0.0, generator) is index


def test_hindsight_for_the_best_ends_leaves_trajectories_that_end_beside_a_goal_to_chance(line):
    """Formerly all that ended nearer to one goal than to the others was shown to its users, however far from it."""
    data = line.transitions(num_episodes=2_000)
    latents = torch.tensor([[-1.0], [1.0], [2.0]])
    index = np.full(len(data), 2, dtype=np.int64)
    last = data.episode_bounds[:, 1] - 1
    ends = data.next_observations[last, 0]
    found = with_hindsight(Crowd(), data, latents, index, STATES, 1.0, seeded(0), best=0.1)[last]
    assert (ends[found == 0] <= np.quantile(ends, 0.12)).all()
    assert (found == 0).mean() == pytest.approx(0.1, abs=0.02)  # by a sample of the ends
    assert (found[(ends > np.quantile(ends, 0.12)) & (ends < np.quantile(ends, 0.88))] == 2).all()
    loose = with_hindsight(Crowd(), data, latents, index, STATES, 1.0, seeded(0), best=1.0)[last]
    assert (loose[ends < 0] == 0).all()


def test_half_of_the_wanted_states_are_the_best_of_some_to_one_of_the_users(line):
    """Drawn evenly, hardly any lies in the best twentieth of the line, to either side."""
    data = line.transitions(num_episodes=400)
    positions = np.sort(data.next_observations[:, 0])
    low, high = (float(np.quantile(positions, share)) for share in (0.05, 0.95))
    for latents, ends in ((torch.tensor([[-1.0], [1.0]]), 2), (torch.tensor([[1.0]]), 1)):
        states = draw_wanted_states(Crowd(), data, latents, 2_000, seeded(4))
        assert states.shape == (2_000, data.next_observations.shape[1])
        plain, wanted = states[:1_000, 0], states[1_000:, 0]
        assert 0.05 < float(((plain < low) | (plain > high)).float().mean()) < 0.15
        shares = [float((wanted < low).float().mean()), float((wanted > high).float().mean())]
        # the best of 16 lies in the best twentieth with probability 1 - 0.95^16 = 0.56
        assert sum(shares) == pytest.approx(0.56, abs=0.06)
        assert min(shares) == pytest.approx(0.28 if ends == 2 else 0.0, abs=0.06)


@pytest.mark.parametrize("scaling", ["none", "spo"])
def test_rewards_before_a_transition_are_those_of_where_it_starts(scaling, line):
    data = line.transitions()
    observations = np.concatenate([data.observations[:1], data.next_observations[:-1]])
    first = data.episode_bounds[:, 0]
    observations[first] = data.observations[first]
    data = dataclasses.replace(data, observations=observations)
    latents, index = draw_latents(Posterior.exactly(torch.tensor([[-1.0], [1.0], [0.5]])), data, seeded(), 3)
    states = draw_comparison_states(data, 16, seeded())
    given = (Product(), latents, index, scaling, states)
    before = relabel_starts(data, relabel(data, *given), *given)
    turned = dataclasses.replace(data, observations=data.next_observations, next_observations=data.observations)
    np.testing.assert_allclose(before, relabel(turned, *given), atol=1e-6)


def test_wanted_states_are_half_those_of_the_data_and_half_what_somebody_likes(line):
    data = line.transitions(num_episodes=400)
    latents = torch.tensor([[-1.0], [1.0]])
    plain = draw_comparison_states(data, 400, seeded())[:, 0].abs()
    wanted = draw_wanted_states(Crowd(), data, latents, 400, seeded())
    assert wanted.shape == (400, 2)
    at_an_end = (wanted[:, 0].abs() > 0.8).float()
    assert (plain > 0.8).float().mean() < 0.3
    assert 0.5 < at_an_end.mean() < 0.75
    sides = wanted[200:, 0].sign()
    assert sides.mean().abs() < 0.25
