import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from pluralbench.reward_learning.didactic import hidden_context_preferences
from pluralbench.reward_learning.distributional_learner import DPLCategorical, DPLMeanVariance
from pluralbench.reward_learning.training import PreferenceBatches
from pluralbench.reward_learning.utility_distributions import (
    batch_entropy,
    categorical_moments,
    categorical_probability,
    categorical_quantile,
    hidden_context_r2,
    mean_variance_logits,
    mean_variance_probability,
    sum_distribution,
)
from pluralbench.settings import SettingsError

LEARNERS = (DPLMeanVariance, DPLCategorical)
SMALL = {"hidden_size": 32, "num_layers": 2, "num_updates": 300, "batch_users": 64, "learning_rate": 3e-3}
NUM_DRAWS = 400_000
MONTE_CARLO_ERROR = 4 * 0.5 / math.sqrt(NUM_DRAWS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_distribution(seed, *shape):
    weights = torch.rand(*shape, generator=generator(seed), dtype=torch.float64) + 0.01
    return weights / weights.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    ("mean_first", "var_first", "mean_second", "var_second"), [(1.0, 1.0, 0.0, 4.0), (-0.3, 0.01, 0.2, 0.2)]
)
def test_mean_variance_probability_is_that_of_drawn_utilities(mean_first, var_first, mean_second, var_second):
    noise = torch.randn(2, NUM_DRAWS, generator=generator())
    drawn = mean_first + math.sqrt(var_first) * noise[0] > mean_second + math.sqrt(var_second) * noise[1]
    arguments = [torch.tensor(value) for value in (mean_first, var_first, mean_second, var_second)]
    assert mean_variance_probability(*arguments).item() == pytest.approx(
        drawn.double().mean().item(), abs=MONTE_CARLO_ERROR
    )
    swapped = mean_variance_probability(*arguments[2:], *arguments[:2])
    assert (mean_variance_probability(*arguments) + swapped).item() == pytest.approx(1.0, abs=1e-6)


def test_mean_variance_logits_follow_the_paper_and_stay_near_the_probit():
    mean = torch.linspace(-3, 3, 2001, dtype=torch.float64)
    zero, half = torch.zeros_like(mean), torch.full_like(mean, 0.5)
    logits = mean_variance_logits(mean, half, zero, half)
    torch.testing.assert_close(logits, math.sqrt(2 * math.pi) * mean)
    gap = (torch.sigmoid(logits) - mean_variance_probability(mean, half, zero, half)).abs().max().item()
    assert 0.09 < gap < 0.1


def test_categorical_probability_is_that_of_drawn_atoms():
    first, second = random_distribution(1, 10), random_distribution(2, 10)
    drawn_first = torch.multinomial(first, NUM_DRAWS, replacement=True, generator=generator(3))
    drawn_second = torch.multinomial(second, NUM_DRAWS, replacement=True, generator=generator(4))
    wins = (drawn_first > drawn_second).double() + 0.5 * (drawn_first == drawn_second).double()
    assert categorical_probability(first, second).item() == pytest.approx(wins.mean().item(), abs=MONTE_CARLO_ERROR)


def test_categorical_probability_is_the_papers_double_sum():
    first, second = random_distribution(5, 4, 7), random_distribution(6, 4, 7)
    expected = torch.zeros(4, dtype=torch.float64)
    for i, j in itertools.product(range(7), range(7)):
        expected += first[:, i] * second[:, j] * (1.0 if i > j else 0.5 if i == j else 0.0)
    torch.testing.assert_close(categorical_probability(first, second), expected)
    torch.testing.assert_close(categorical_probability(second, first), 1 - expected)


def test_sum_distribution_is_the_convolution():
    steps = random_distribution(7, 3, 4)
    expected = torch.zeros(10, dtype=torch.float64)
    for i, j, k in itertools.product(range(4), repeat=3):
        expected[i + j + k] += steps[0, i] * steps[1, j] * steps[2, k]
    torch.testing.assert_close(sum_distribution(steps), expected)
    torch.testing.assert_close(sum_distribution(steps[:1]), steps[0])


def test_long_segments_keep_a_proper_distribution():
    summed = sum_distribution(random_distribution(8, 2, 100, 10).float())
    assert summed.shape == (2, 901)
    assert (summed >= 0).all()
    torch.testing.assert_close(summed.sum(-1), torch.ones(2))


def test_moments_by_hand():
    mean, var = categorical_moments(torch.tensor([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]))
    torch.testing.assert_close(mean, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(var, torch.tensor([0.25, 0.0]))


def test_quantile_inverts_the_interpolated_distribution_function():
    uniform = torch.full((1, 10), 0.1)
    for level in (0.01, 0.35, 0.5, 0.99):
        assert categorical_quantile(uniform, level).item() == pytest.approx(level, abs=1e-6)
    lumps = torch.tensor([[0.5, 0.0, 0.0, 0.5], [0.0, 0.0, 1.0, 0.0]])
    torch.testing.assert_close(categorical_quantile(lumps, 0.25), torch.tensor([0.125, 0.5625]))
    torch.testing.assert_close(categorical_quantile(lumps, 0.75), torch.tensor([0.875, 0.6875]))


def test_r2_is_one_without_spread_and_zero_without_means():
    mean, var = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0])
    assert hidden_context_r2(mean, 0 * var).item() == 1.0
    assert hidden_context_r2(0 * mean, var).item() == 0.0
    assert hidden_context_r2(mean, var).item() == pytest.approx(0.5)


def test_batch_entropy_is_that_of_the_mean_distribution():
    one_hot = torch.eye(4)
    assert batch_entropy(one_hot).item() == pytest.approx(math.log(4))
    assert batch_entropy(one_hot[:1]).item() == 0.0


@pytest.fixture(scope="module", params=LEARNERS, ids=lambda learner: learner.name)
def fitted(request):
    model = request.param(SMALL)
    model.history = model.fit(hidden_context_preferences(400, 16, np.random.default_rng(0)), seed=0)
    return model


def test_a_hidden_circumstance_shows_as_spread_where_it_acts(fitted):
    _, var = fitted.distribution(torch.linspace(0, 1, 101)[:, None])
    std = var.sqrt()
    assert std[90:].mean() > 4 * std[:70].mean()
    assert fitted.hidden_context(torch.linspace(0.0, 0.7, 50)[:, None]) > 0.9
    assert fitted.hidden_context(torch.linspace(0.0, 1.0, 50)[:, None]) < 0.7
    assert all(np.isfinite(list(row.values())).all() for row in fitted.history)


def test_risk_aversion_shuns_what_is_uncertain(fitted):
    cautious = type(fitted)({**SMALL, "risk_quantile": 0.01})
    cautious.sizes, cautious._network = fitted.sizes, fitted.network
    observations, no_latent = torch.tensor([[0.3], [0.95]]), torch.zeros(2, 0)
    expected, worst = fitted.reward(observations, no_latent), cautious.reward(observations, no_latent)
    assert expected[1] > expected[0]
    assert worst[1] < worst[0]
    assert (worst < expected).all()


def test_rewards_index_outputs_and_not_users(fitted):
    """The output axis is the last; every observation gets its own number whatever the leading axes are."""
    observations = torch.rand(3, 4, 1, generator=generator())
    rewards = fitted.reward(observations, torch.zeros(3, 4, 0))
    assert rewards.shape == (3, 4)
    torch.testing.assert_close(rewards[1, 2], fitted.reward(observations[1, 2], torch.zeros(0)))
    assert fitted.reward(observations[0, :1], torch.zeros(5, 1, 0)).shape == (5, 1)


def test_files_keep_the_numbers(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = type(fitted).load(tmp_path)
    observations, no_latent = torch.rand(7, 1, generator=generator()), torch.zeros(7, 0)
    torch.testing.assert_close(
        loaded.reward(observations, no_latent), fitted.reward(observations, no_latent), rtol=0, atol=0
    )


def test_segments_of_several_steps_train():
    preferences = hidden_context_preferences(100, 16, np.random.default_rng(0))
    segments = np.ascontiguousarray(preferences.segments.repeat(3, axis=3))
    for learner in LEARNERS:
        history = learner({**SMALL, "num_updates": 100}).fit(
            dataclasses.replace(preferences, segments=segments), seed=0
        )
        assert history[-1]["nll"] < 0.6


@pytest.mark.parametrize("link", ["logistic", "probit"])
def test_both_links_give_a_loss_that_is_minus_the_log_of_the_probability(link):
    model = DPLMeanVariance({**SMALL, "link": link})
    preferences = hidden_context_preferences(50, 16, np.random.default_rng(0))
    model.start(preferences, seed=0)
    batch = PreferenceBatches(preferences, "cpu").take(np.arange(50))
    loss, _ = model.loss(batch, generator(), 0.0)
    chances = model.probability(model.network(batch.segments))
    expected = -(batch.labels * chances.log() + (1 - batch.labels) * (1 - chances).log()).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_settings_out_of_range_are_named():
    with pytest.raises(SettingsError, match="risk_quantile"):
        DPLMeanVariance({"risk_quantile": 1.0})
    with pytest.raises(SettingsError, match=r"dpl-meanvar.link: Input should be 'logistic' or 'probit', got 'cauchit'"):
        DPLMeanVariance({"link": "cauchit"})
    with pytest.raises(SettingsError, match="num_atoms"):
        DPLCategorical({"num_atoms": 1})
