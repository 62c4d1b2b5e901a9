"""Information of questions against closed forms, and what is asked because of it."""

import math

import pytest
import torch

from pluralbench.reward_learning.active_queries import (
    answer_table,
    best_next,
    best_set,
    binary_entropy,
    information_gain,
    mixture_samples,
)
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.reward_model import Posterior, RewardModel

FOUR = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])  # (S, Q): two bits that tell four users apart


def test_certain_answers_tell_as_much_as_they_split():
    assert information_gain(FOUR).item() == pytest.approx(math.log(4))
    assert information_gain(FOUR[:, :1]).item() == pytest.approx(math.log(2))
    assert information_gain(FOUR[:, [0, 0]]).item() == pytest.approx(math.log(2))  # asking twice tells nothing new


def test_coin_tosses_and_questions_on_which_all_agree_tell_nothing():
    assert information_gain(torch.full((5, 3), 0.5)).item() == pytest.approx(0, abs=1e-9)
    assert information_gain(torch.full((5, 3), 0.9)).item() == pytest.approx(0, abs=1e-9)


def test_one_question_is_bald():
    probabilities = torch.rand(50, generator=torch.Generator().manual_seed(0)).double()
    bald = binary_entropy(probabilities.mean()) - binary_entropy(probabilities).mean()
    assert information_gain(probabilities[:, None]).item() == pytest.approx(bald.item())


def test_several_questions_match_a_monte_carlo_estimate():
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.rand(6, 3, generator=generator).double()
    latent = torch.randint(6, (200_000,), generator=generator)
    answers = torch.rand(200_000, 3, generator=generator).double() < probabilities[latent]
    likelihood = torch.where(answers[:, None], probabilities, 1 - probabilities).prod(-1)  # (N, 6)
    own = likelihood.gather(1, latent[:, None]).squeeze(1)
    estimate = (own.log() - likelihood.mean(1).log()).mean()
    assert information_gain(probabilities).item() == pytest.approx(estimate.item(), abs=0.01)


def test_more_questions_never_tell_less_and_never_more_than_there_is():
    table = torch.rand(8, 20, 6, generator=torch.Generator().manual_seed(2))
    gains = torch.stack([information_gain(table[..., :num]) for num in range(1, 7)])
    assert (gains.diff(dim=0) >= -1e-9).all()
    assert (gains <= math.log(8) + 1e-9).all()
    assert gains.shape == (6, 20)
    with pytest.raises(LearnerError, match="at most 12"):
        information_gain(torch.rand(2, 13))


def test_a_set_holds_different_bits_and_the_next_question_an_unasked_one():
    noise = torch.full((4, 6), 0.5)
    table = torch.cat([noise, FOUR, FOUR[:, :1]], dim=1)  # columns 6 and 8 ask the same
    chosen = sorted(best_set(table, 2, 200, torch.Generator().manual_seed(0)).tolist())
    assert chosen in ([6, 7], [7, 8])
    assert best_next(table, torch.tensor([], dtype=torch.long)) in (6, 7, 8)
    assert best_next(table, torch.tensor([6, 8])) == 7


class Linear(RewardModel):
    """r(s, z) = s . z"""

    name = "linear"

    def fit(self, preferences, seed, progress=None):
        return []

    def infer(self, context):
        return Posterior.empty(context.num_users)

    def reward(self, observations, latents):
        return (observations * latents).sum(-1)


def test_the_table_has_the_model_s_own_probabilities():
    generator = torch.Generator().manual_seed(3)
    questions, latents = torch.randn(7, 2, 3, 2, generator=generator), torch.randn(5, 2, generator=generator)
    table = answer_table(Linear(), questions, latents)
    returns = torch.einsum("cits,ls->lci", questions, latents)
    torch.testing.assert_close(table, (returns[..., 0] - returns[..., 1]).sigmoid())


def test_a_mixture_is_made_of_all_users():
    posterior = Posterior(torch.tensor([[0.0], [10.0]]), torch.full((2, 1), -20.0))
    samples = mixture_samples(posterior, 1000, torch.Generator().manual_seed(0))
    assert samples.shape == (1000, 1)
    assert 0.4 < (samples > 5).double().mean() < 0.6
    assert ((samples.abs() < 0.1) | ((samples - 10).abs() < 0.1)).all()
