"""Behaviour cloning: the data's mean action, and IQL's own actor where every advantage weighs the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_iql_learner import SETTINGS, make_data

from pluralbench.iql import IQLSettings, ReplayData, train
from pluralbench.iql.cloning import CloningLearner
from pluralbench.iql.reference import ReferenceLearner, flat_actor, network_of
from pluralbench.iql.runner import Runner

SMALL = IQLSettings(
    num_updates=600,
    batch_size=128,
    hidden_sizes=(32, 32),
    learning_rate=3e-3,
    schedule="cosine",
    latent_centres=4,  # there is no latent: nothing to see
)
SEEDS = [0, 1, 2]


def one_step_data(observations, actions):
    """Transitions that all end; rewards would tell runs apart, if cloning looked at them."""
    ends = np.ones(len(actions), bool)
    rewards = np.random.default_rng(1).normal(scale=100.0, size=(len(SEEDS), len(actions)))
    return ReplayData.from_arrays(observations, actions, observations, ends, ~ends, rewards)


def test_it_learns_the_mean_action_and_its_deviation_with_every_seed():
    """Two habits, 0.6 apart, of which one is three times as frequent: the mean lies between, where nobody acts."""
    rng = np.random.default_rng(0)
    observations = rng.uniform(-1, 1, size=(4000, 2))
    habit = np.where(rng.uniform(size=4000) < 0.25, -0.3, 0.3)
    actions = 0.5 * observations[:, :1] + habit[:, None] * np.array([[1.0, -1.0]])
    settings = replace(SMALL, num_updates=1500)
    result = train(one_step_data(observations, actions), settings, SEEDS, learner_class=CloningLearner)
    seen = rng.uniform(-0.9, 0.9, size=(3, 100, 2))
    expected = 0.5 * seen[..., :1] + 0.15 * np.array([1.0, -1.0])
    assert np.abs(result.policy.act(seen) - expected).mean(axis=(1, 2)).max() < 0.05
    stds = result.policy.actors[:, -2:].exp()
    assert stds.numpy() == pytest.approx(np.full((3, 2), 0.3 * np.sqrt(0.75)), rel=0.1)
    assert len(torch.unique(result.policy.actors[:, 0])) == 3  # each seed has a policy of its own


def test_it_learns_how_often_each_choice_is_made():
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=6000)
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    choice = (rng.uniform(size=(6000, 1)) > shares[kind].cumsum(1)).sum(1)
    data = one_step_data(np.eye(2)[kind], np.eye(3)[choice])
    policy = train(data, replace(SMALL, discrete_actions=True), SEEDS, learner_class=CloningLearner).policy
    probabilities = policy.probabilities(np.tile(np.eye(2), (3, 1, 1))).numpy()
    assert np.abs(probabilities - shares).max() < 0.06
    assert policy.act(np.tile(np.eye(2), (3, 1, 1))).tolist() == [[0, 2]] * 3


VARIANTS = {
    "gaussian": {},
    "discrete": {"discrete_actions": True},
    "last actor": {"actor_average": 0.0},
    "averaged actor": {"actor_average": 0.1},
    "three layers": {"hidden_sizes": (24, 16, 16)},
    "log std at its bound": {"max_log_std": 0.0005, "min_log_std": -0.0005},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_its_updates_are_those_of_the_reference_actor_at_temperature_0(changes):
    """Gradients, Adam and averages: after a dozen updates from the same start on the same batches."""
    settings = replace(SETTINGS, **changes)
    data = make_data(2, settings.discrete_actions)
    cloning = CloningLearner(data, settings, [3, 4])
    reference = ReferenceLearner(data, replace(settings, temperature=0.0), [3, 4])
    start = cloning.actor().clone()
    for flat, run in zip(start, reference.runs, strict=True):
        net = network_of(flat, cloning.widths, cloning.state_size, cloning.action_size)
        for actor in (run.actor, run.average_actor):
            actor.net.load_state_dict(net.state_dict())
        assert torch.equal(flat_actor(run.actor, cloning.widths).detach(), flat)
    for learner in (cloning, reference):
        Runner(learner, [3, 4]).run(0, 12)
    torch.testing.assert_close(cloning.actor(), reference.actor(), rtol=0, atol=2e-5)
    assert (cloning.actor() - start).abs().max() > 1e-3
    if not settings.discrete_actions:
        assert (cloning.actor()[:, -cloning.action_size :]).abs().min() > 1e-5  # the deviation was trained


def test_rewards_change_nothing_and_the_likelihood_rises():
    data = make_data(2)
    found = [
        train(own, replace(SETTINGS, num_updates=40), [5, 6], learner_class=CloningLearner, log_every=20)
        for own in (data, replace(data, rewards=1 - data.rewards))
    ]
    assert torch.equal(*(result.policy.actors for result in found))
    first, last = (np.array(row["log_likelihood"]) for row in found[0].metrics)
    assert (last > first).all()


def test_it_resumes_to_the_same_numbers(tmp_path):
    settings = replace(SETTINGS, num_updates=40, actor_average=0.05)
    options = {"learner_class": CloningLearner, "checkpoint_folder": tmp_path, "checkpoint_every": 15, "log_every": 5}

    class InterruptedError(Exception):
        pass

    def interrupt(step, total):
        if step >= 15:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(make_data(2), settings, [1, 2], progress=interrupt, **options)
    again = train(make_data(2), settings, [1, 2], resume=True, **options)
    whole = train(make_data(2), settings, [1, 2], learner_class=CloningLearner, log_every=5)
    assert torch.equal(again.policy.actors, whole.policy.actors)
    assert again.metrics == whole.metrics
