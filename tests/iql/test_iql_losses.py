import math

import pytest
import torch
from torch import Tensor

from pluralbench.iql import losses


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_expectile_loss_weighs_the_two_sides() -> None:
    loss = losses.expectile_loss(torch.tensor([2.0, -2.0]), 0.9)
    assert torch.allclose(loss, torch.tensor([0.9 * 4, 0.1 * 4]))


@pytest.mark.parametrize("expectile", [0.5, 0.9])
def test_minimum_of_the_expectile_loss(expectile: float) -> None:
    targets = random(2000).exp()
    value = torch.zeros((), dtype=torch.float64)
    for _ in range(400):
        value = value - 0.5 * losses.expectile_gradient(targets - value, expectile).sum()
    if expectile == 0.5:
        assert torch.isclose(value, targets.mean(), atol=1e-9)
    else:  # the defining equation of an expectile
        above, below = (targets - value).clamp(min=0).mean(), (value - targets).clamp(min=0).mean()
        assert math.isclose(expectile * above, (1 - expectile) * below, rel_tol=1e-6)


def test_value_gradient_is_that_of_autograd() -> None:
    targets, values = random(3, 64), random(3, 64, seed=1).requires_grad_()
    losses.expectile_loss(targets - values, 0.8).mean(-1).sum().backward()
    assert torch.allclose(losses.expectile_gradient(targets - values.detach(), 0.8), values.grad)


def test_critic_gradient_is_that_of_autograd() -> None:
    targets, values = random(64), random(2, 64, seed=1).requires_grad_()
    losses.critic_loss(values, targets).mean(-1).sum().backward()
    assert torch.allclose(losses.critic_gradient(values.detach(), targets), values.grad)


def test_gaussian_actor_gradient_is_that_of_autograd() -> None:
    outputs, log_stds = random(2, 32, 3).requires_grad_(), random(2, 1, 3, seed=1).requires_grad_()
    actions, weights = random(2, 32, 3, seed=2).tanh(), random(2, 32, seed=3).exp()
    log_prob = losses.gaussian_log_prob(outputs.tanh(), log_stds, actions)
    normal = torch.distributions.Normal(outputs.tanh(), log_stds.exp())
    assert torch.allclose(log_prob, normal.log_prob(actions).sum(-1))
    (-(weights * log_prob).mean(-1)).sum().backward()
    by_outputs, by_log_stds = losses.gaussian_actor_gradient(outputs.detach(), log_stds.detach(), actions, weights)
    assert torch.allclose(by_outputs, outputs.grad)
    assert torch.allclose(by_log_stds, log_stds.grad)


def test_categorical_actor_gradient_is_that_of_autograd() -> None:
    logits = random(2, 32, 5).requires_grad_()
    choices = torch.randint(5, (2, 32), generator=torch.Generator().manual_seed(1))
    actions, weights = torch.nn.functional.one_hot(choices, 5).double(), random(2, 32, seed=3).exp()
    log_prob = losses.categorical_log_prob(logits, actions)
    assert torch.allclose(log_prob, torch.distributions.Categorical(logits=logits).log_prob(choices))
    (-(weights * log_prob).mean(-1)).sum().backward()
    assert torch.allclose(losses.categorical_actor_gradient(logits.detach(), actions, weights), logits.grad)


def test_advantage_weights_are_clipped() -> None:
    weights = losses.advantage_weights(torch.tensor([0.0, 0.1, 5.0, -1.0]), temperature=10.0)
    assert torch.allclose(weights, torch.tensor([1.0, math.e, 100.0, math.exp(-10)]))


def test_td_targets_bootstrap_nothing_after_a_terminal() -> None:
    targets = losses.td_targets(torch.tensor([1.0, 1.0]), torch.tensor([0.99, 0.0]), torch.tensor([50.0, 50.0]))
    assert torch.allclose(targets, torch.tensor([50.5, 1.0]))
