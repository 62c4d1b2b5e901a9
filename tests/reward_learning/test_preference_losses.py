import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pluralbench.reward_learning.preference_losses import (
    answer_logits,
    bradley_terry_loss,
    bradley_terry_nll,
    cosine_cyclic_weight,
    free_bits,
    gaussian_kl,
    log_with_mistakes,
    masked_mean,
    masked_sum,
    preference_accuracy,
    preference_logits,
    probability_nll,
    with_mistakes,
)


def test_kl_is_that_of_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    mean, log_var, prior_mean, prior_log_var = torch.randn(4, 5, 3, generator=generator)
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(prior_mean, (0.5 * prior_log_var).exp()))
    torch.testing.assert_close(gaussian_kl(mean, log_var, prior_mean, prior_log_var), expected)


def test_bradley_terry_closed_forms():
    logits = torch.tensor([0.0, 2.0, 2.0, 2.0])
    labels = torch.tensor([1.0, 1.0, 0.0, 0.5])
    likely = 1 / (1 + math.exp(-2))
    expected = [-math.log(0.5), -math.log(likely), -math.log(1 - likely)]
    expected.append(0.5 * (expected[1] + expected[2]))
    torch.testing.assert_close(bradley_terry_nll(logits, labels), torch.tensor(expected))


def test_bradley_terry_does_not_overflow():
    assert bradley_terry_nll(torch.tensor([-500.0, 500.0]), torch.tensor([1.0, 0.0])).tolist() == [500.0, 500.0]


def test_both_orders_of_a_pair_add_up_to_one_and_steps_are_summed():
    rewards = torch.tensor([[[1.0, 2.0], [0.5, 4.0]]])  # (1, 2, T)
    logits = preference_logits(rewards)
    assert logits.tolist() == [-1.5]
    turned = preference_logits(rewards.flip(-2))
    torch.testing.assert_close(logits.sigmoid() + turned.sigmoid(), torch.ones(1))


def test_a_tie_pulls_the_logit_to_zero():
    logits = torch.tensor([3.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(bradley_terry_nll(logits, torch.tensor([0.5])).sum(), logits)
    assert gradient.item() == pytest.approx(1 / (1 + math.exp(-3)) - 0.5)


def test_an_answer_is_flipped_with_the_chance_of_a_mistake():
    probability = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    expected = torch.tensor([0.1, 0.3, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(with_mistakes(probability, 0.1), expected)
    logits = probability.logit()
    torch.testing.assert_close(answer_logits(logits, 0.1).sigmoid(), expected)
    first, second = log_with_mistakes(probability.log(), (1 - probability).log(), 0.1)
    torch.testing.assert_close(first.exp(), expected)
    torch.testing.assert_close(second.exp(), 1 - expected)
    assert answer_logits(logits, 0.0) is logits
    assert with_mistakes(probability, 0.0).equal(probability)


def test_a_mistake_costs_no_more_than_its_own_chance_and_does_not_pull_at_what_is_certain():
    logits = torch.tensor([500.0, 40.0, 1.0], requires_grad=True)
    loss = bradley_terry_nll(answer_logits(logits, 0.1), torch.zeros(3))
    assert loss.tolist() == pytest.approx([-math.log(0.1), -math.log(0.1), -math.log(0.1 + 0.8 / (1 + math.e))])
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient[0] == 0
    assert gradient[1] < 1e-6 < gradient[2]


def test_skipped_answers_count_nowhere():
    values = torch.tensor([[1.0, math.nan], [3.0, math.inf]])
    mask = torch.tensor([[True, False], [True, False]])
    assert masked_mean(values, mask).item() == 2.0
    assert masked_sum(values, mask).tolist() == [1.0, 3.0]
    assert masked_mean(values, torch.zeros(2, 2, dtype=torch.bool)).item() == 0.0
    loss, metrics = bradley_terry_loss(torch.tensor([[0.0, math.nan]]), torch.tensor([[1.0, 0.5]]), mask[:1])
    assert loss.item() == pytest.approx(math.log(2))
    assert metrics["accuracy"].item() == 0.5


def test_accuracy_leaves_ties_and_skips_out_and_halves_indifference():
    probability = torch.tensor([[0.9, 0.9, 0.5, 0.1, 0.9]])
    labels = torch.tensor([[1.0, 0.0, 1.0, 0.5, 1.0]])
    mask = torch.tensor([[True, True, True, True, False]])
    assert preference_accuracy(probability, labels, mask).item() == 0.5
    assert math.isnan(preference_accuracy(probability, torch.full((1, 5), 0.5), mask).item())


def test_probability_nll_matches_logits_and_bounds_certain_mistakes():
    logits = torch.tensor([-1.0, 0.3, 2.0])
    labels = torch.tensor([1.0, 0.5, 0.0])
    torch.testing.assert_close(probability_nll(logits.sigmoid(), labels), bradley_terry_nll(logits, labels))
    assert probability_nll(torch.tensor([0.0]), torch.tensor([1.0])).item() == pytest.approx(math.log(1e6), rel=1e-3)


def test_free_bits_bind_only_below_the_minimum():
    kl = torch.tensor([[0.1, 2.0], [0.3, 4.0]], requires_grad=True)
    assert free_bits(kl, 0.0).item() == pytest.approx(3.2)
    value = free_bits(kl, 0.5)
    assert value.item() == pytest.approx(3.5)
    (gradient,) = torch.autograd.grad(value, kl)
    assert gradient.tolist() == [[0.0, 0.5], [0.0, 0.5]]


def test_annealing_rises_in_every_cycle():
    at = [cosine_cyclic_weight(share, 4) for share in (0.0, 1 / 16, 1 / 8, 0.2, 0.25, 0.25 + 1 / 16, 1.0)]
    assert at == pytest.approx([0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0])
    assert cosine_cyclic_weight(0.0, 0) == 1.0
