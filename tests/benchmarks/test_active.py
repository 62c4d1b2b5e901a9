"""Questions to test users: what is chosen, and the experiment whole."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pluralbench.benchmarks.stages import active
from pluralbench.benchmarks.stages.active import accuracy, choose_questions
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.reward_model import Posterior, RewardModel

NUM_USERS = 4


class TwoBits(RewardModel):
    """Latents (2,) that the answers to two kinds of question reveal; r(s, z) = 20 s . z."""

    name = "two-bits"

    def __init__(self):
        self.latent_size = 2

    def fit(self, preferences, seed, progress=None):
        return []

    def infer(self, context):
        signs = np.where(context.mask, 2 * context.labels - 1, 0.0)[..., None]
        mean = (signs * (context.segments[:, :, 0, 0] - context.segments[:, :, 1, 0])).sum(1)
        known = torch.as_tensor(np.abs(mean) > 0)
        return Posterior(torch.as_tensor(np.sign(mean), dtype=torch.float32), torch.where(known, -20.0, 2.0))

    def reward(self, observations, latents):
        return 20 * (observations * latents).sum(-1)


@pytest.fixture
def bank():
    """Questions 0 to 5 are about nothing, 6 to 8 about the first bit, 9 about the second."""
    first = np.zeros((10, 2), dtype=np.float32)
    first[6:9, 0] = first[9, 1] = 1.0
    questions = np.stack([first, np.zeros_like(first)], axis=1)[:, :, None]  # (C, 2, 1, 2)
    wants = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=np.float32)
    utility = wants @ first.T
    return PreferenceDataset(
        segments=np.broadcast_to(questions, (NUM_USERS, *questions.shape)),
        labels=(0.5 + 0.5 * np.sign(utility)).astype(np.float32),
        mask=np.ones((NUM_USERS, 10), dtype=bool),
        user_ids=np.arange(NUM_USERS),
        group_names=("all",),
        group_index=np.zeros(NUM_USERS, dtype=np.int64),
        goals=wants.astype(np.float64),
    )


def test_two_chosen_questions_tell_what_two_random_ones_hardly_do(bank):
    train_posterior = Posterior(torch.tensor(bank.goals, dtype=torch.float32), torch.full((4, 2), -20.0))
    chosen = choose_questions(TwoBits(), bank, train_posterior, (1, 2), seed=0)
    for way in ("batch", "sequential"):
        for row in chosen[way, 2]:
            assert (row >= 6).all()
            assert 9 in row  # one question of each kind, never two of the same
    assert chosen["random", 2].shape == (NUM_USERS, 2)
    np.testing.assert_array_equal(chosen["random", 1], chosen["random", 2][:, :1])
    means = TwoBits().infer(bank.take_queries(chosen["sequential", 2])).mean
    np.testing.assert_array_equal(means.numpy(), bank.goals)


def test_each_user_s_own_queries(bank):
    columns = np.array([[6, 9], [9, 6], [0, 7], [8, 8]])
    own = bank.take_queries(columns)
    assert own.segments.shape == (NUM_USERS, 2, 2, 1, 2)
    for user, row in enumerate(columns):
        np.testing.assert_array_equal(own.labels[user], bank.labels[user, row])
        np.testing.assert_array_equal(own.segments[user], bank.segments[user, row])
    assert replace(own).num_comparisons == 2


def test_a_prediction_that_leans_to_neither_side_is_half_right(bank):
    decided = bank.take_queries([6, 9])
    knows_nothing = torch.zeros(NUM_USERS, 2)
    assert accuracy(TwoBits(), decided, knows_nothing) == 0.5
    only_second = decided.take_users([3])  # of this user all answers are 0
    assert accuracy(TwoBits(), only_second, knows_nothing[:1]) == 0.5
    assert accuracy(TwoBits(), bank, torch.tensor(bank.goals, dtype=torch.float32)) == 1.0
    assert np.isnan(accuracy(TwoBits(), bank.take_queries([0, 1]), knows_nothing))


def test_the_experiment_writes_numbers_and_a_figure(run, tmp_path, monkeypatch):
    monkeypatch.setattr(active, "BANK_SIZE", 12)
    monkeypatch.setattr(active, "NUM_QUESTIONS", (1, 2))
    monkeypatch.setattr(active, "NUM_LATENTS", 16)
    monkeypatch.setattr(active, "EPISODES", 1)
    assert run("active", "--environment", "habitat-rearrange", "--preset", "smoke") == 0
    folder = tmp_path / "active-smoke"
    record = json.loads((folder / "habitat-rearrange-active.json").read_text())
    assert {(p["way"], p["questions"]) for p in record["points"]} == {
        (way, number) for way in active.WAYS for number in (1, 2)
    }
    assert all(0 <= p["accuracy"] <= 1 and len(p["success_rates"]) == 40 for p in record["points"])
    assert record["packages"]["torch"]
    assert 2_000 < (folder / "habitat-rearrange-active.png").stat().st_size < 300_000
