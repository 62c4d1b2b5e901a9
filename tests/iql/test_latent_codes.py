"""Latents as radial basis functions: near-by goals are told apart, also by a policy that was saved."""

import numpy as np
import pytest
import torch

from pluralbench.iql import IQLError, IQLSettings, Policy, ReplayData, train
from pluralbench.iql.latent_codes import fit_latent_codes

GOALS = torch.tensor([[7.0, 1.0], [7.0, 10.0], [3.0, 1.0], [4.0, 1.0]])


def test_each_of_few_latents_is_a_centre_and_its_code_is_nearly_one_hot():
    codes = fit_latent_codes(GOALS[None].repeat(1, 5, 1), num_centres=6, width=0.05)
    seen = codes(GOALS[None])[0]
    assert seen.shape == (4, 6)
    torch.testing.assert_close(seen.sum(-1), torch.ones(4))
    assert (seen.max(-1).values > 0.95).all()
    assert len(set(seen.argmax(-1).tolist())) == 4
    between = codes((GOALS[None, 2:3] + GOALS[None, 3:4]) / 2)[0, 0]
    assert between.sort(descending=True).values[:2].tolist() == pytest.approx([0.5, 0.5])


def test_latents_that_differ_for_every_user_stay_as_they_are():
    latents = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(1))
    assert fit_latent_codes(latents, num_centres=49, width=0.1) is None
    assert fit_latent_codes(latents, num_centres=50, width=0.1) is not None
    settings = IQLSettings(num_updates=2, batch_size=8, hidden_sizes=(8,), latent_centres=3, latent_width=0.02)
    assert train(contextual_data(np.arange(4.0, dtype=np.float32)[:, None]), settings, [0]).policy.codes is None


def test_a_run_with_fewer_latents_has_its_own_centres_beside_one_with_more():
    few = torch.cat([GOALS[:2], GOALS[:2]])
    both = fit_latent_codes(torch.stack([GOALS, few]), num_centres=4, width=0.05)
    alone = fit_latent_codes(few[None], num_centres=4, width=0.05)
    torch.testing.assert_close(both.of_run(1)(few[None]), alone(few[None]))
    assert (alone(few[None])[..., 2:] == 0).all()


def contextual_data(goals):
    """One step; the reward is highest for the action that the goal names, goals being hard to tell apart by size."""
    rng = np.random.default_rng(0)
    num = 4000
    index = rng.integers(len(goals), size=num)
    wanted = np.array([0.7, -0.7, 0.7, -0.7])[index]
    actions = rng.uniform(-1, 1, size=(num, 1))
    observations = rng.normal(size=(num, 2))
    return ReplayData.from_arrays(
        observations, actions, observations, np.ones(num, bool), np.zeros(num, bool),
        rewards=-np.square(actions[:, 0] - wanted)[None], latents=goals[None], latent_index=index[None],
    )  # fmt: skip


def test_a_policy_with_codes_serves_neighbouring_goals_and_survives_a_file(tmp_path):
    goals = np.array([[0.0], [1.0], [2.0], [30.0]], dtype=np.float32)
    settings = IQLSettings(
        num_updates=300, batch_size=128, hidden_sizes=(32, 32), learning_rate=3e-3, latent_centres=8, latent_width=0.02
    )
    policy = train(contextual_data(goals), settings, [0]).policy
    assert policy.latent_size == 1
    actions = policy.act(np.zeros((1, 4, 2)), goals[None])[0, :, 0]
    assert np.sign(actions).tolist() == [1, -1, 1, -1]
    policy.save(tmp_path)
    again = Policy.load(tmp_path)
    np.testing.assert_array_equal(again.act(np.zeros((1, 4, 2)), goals[None])[0, :, 0], actions)
    user = again.for_user(0, goals[1])
    assert user.predict(np.zeros(2))[0] == pytest.approx(actions[1], abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"), [({"latent_centres": -1}, "not be negative"), ({"latent_width": 0.0}, "positive")]
)
def test_impossible_settings_are_named(wrong, message):
    with pytest.raises(IQLError, match=message):
        IQLSettings(**wrong)
