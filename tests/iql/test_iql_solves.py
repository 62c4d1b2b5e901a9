"""Problems with known answers that IQL must solve in seconds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pluralbench.iql import IQLSettings, ReplayData, train

SMALL = IQLSettings(
    num_updates=600,
    batch_size=64,
    hidden_sizes=(32, 32),
    learning_rate=3e-3,
    temperature=10.0,
    polyak=0.05,
    schedule="cosine",
)


@pytest.mark.parametrize("implementation", ["fast", "reference"])
def test_bandit_of_two_users(implementation: str) -> None:
    """One step, reward 1 - |a - goal|; the goal is the user's, told by the latent: +0.5 or -0.5."""
    rng = np.random.default_rng(0)
    num = 4000
    actions = rng.uniform(-1, 1, (num, 1)).astype(np.float32)
    users = rng.integers(2, size=(1, num))
    goals = np.array([-0.5, 0.5])
    rewards = 1 - np.abs(actions.T - goals[users])
    observations = rng.normal(size=(num, 2))
    ends = np.ones(num, bool)
    data = ReplayData.from_arrays(
        observations, actions, observations, ends, ~ends, rewards, goals.reshape(1, 2, 1), users
    )
    policy = train(data, replace(SMALL, implementation=implementation), [0]).policy
    for goal in goals:
        acts = policy.act(rng.normal(size=(1, 50, 2)), np.full((1, 50, 1), goal))
        assert np.abs(acts - goal).max() < 0.25


def chain(num_states: int = 6, num_episodes: int = 400) -> ReplayData:
    """Walks on a line of states: left or right, reward 1 and end at the right, cut after 20 steps."""
    rng = np.random.default_rng(0)
    rows: list[tuple[int, int, int, bool, bool]] = []
    for _ in range(num_episodes):
        state = int(rng.integers(num_states - 1))
        for step in range(20):
            action = int(rng.integers(2))
            after = max(0, state + (1 if action else -1))
            rows.append((state, action, after, after == num_states - 1, step == 19))
            state = after
            if rows[-1][3]:
                break
    states, actions, afters, ends, cuts = (np.array(column) for column in zip(*rows, strict=True))
    eye = np.eye(num_states)
    return ReplayData.from_arrays(eye[states], np.eye(2)[actions], eye[afters], ends, cuts & ~ends, 1.0 * ends)


@pytest.mark.parametrize("implementation", ["fast", pytest.param("reference", marks=pytest.mark.slow)])
def test_chain_of_discrete_actions(implementation: str) -> None:
    """The greedy policy walks right everywhere, although right is worth only a little more far from the end."""
    data = chain()
    settings = replace(SMALL, discrete_actions=True, discount=0.9, num_updates=1500, implementation=implementation)
    result = train(data, settings, [0])
    eye = np.eye(6)[None, :5]
    choices = result.policy.act(eye)
    assert choices.shape == (1, 5)
    assert choices.dtype == np.int64
    assert (choices == 1).all()
    probabilities = result.policy.probabilities(eye)
    assert torch.allclose(probabilities.sum(-1), torch.ones(1, 5))
    assert probabilities[0, :, 1].min() > 0.6
