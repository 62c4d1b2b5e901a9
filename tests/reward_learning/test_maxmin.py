import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from pluralbench.reward_learning.didactic import CENTRES, gaussian_preferences
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.hard_em import (
    HardEM,
    assign_users,
    classification_likelihood,
    clearly_better,
    mixing_weights,
    predictive_log_likelihood,
)
from pluralbench.reward_learning.maxmin import MaxMin
from pluralbench.reward_learning.scaling import fit_scaling
from pluralbench.settings import SettingsError


class LinearProblem:
    """Users of a few groups with linear rewards; a group's model is a weight vector fitted by Newton's method."""

    def __init__(self, shares, num_answers=16, size=4, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.truth = torch.repeat_interleave(torch.arange(len(shares)), torch.tensor(shares))
        rewards = 3 * torch.randn(len(shares), size, generator=generator, dtype=torch.float64)
        num_users = len(self.truth)
        self.differences = torch.randn(num_users, num_answers, size, generator=generator, dtype=torch.float64)
        chances = torch.einsum("uks,us->uk", self.differences, rewards[self.truth]).sigmoid()
        self.labels = torch.bernoulli(chances, generator=generator)

    def log_likelihood(self, weights):
        logits = self.differences @ weights
        return (self.labels * logits - torch.nn.functional.softplus(logits)).sum(1)

    def fit(self, start, rows):
        weights = torch.zeros(self.differences.shape[-1], dtype=torch.float64) if start is None else start.clone()
        inputs, labels = self.differences[rows].flatten(0, 1), self.labels[rows].flatten()
        for _ in range(3):
            chances = (inputs @ weights).sigmoid()
            hessian = (inputs * (chances * (1 - chances))[:, None]).T @ inputs + 0.1 * torch.eye(len(weights))
            weights = weights + torch.linalg.solve(hessian, inputs.T @ (labels - chances) - 0.1 * weights)
        return weights

    def cluster(self, num_groups, num_restarts=3, seed=1):
        em = HardEM(self.fit, self.log_likelihood, len(self.truth), torch.Generator().manual_seed(seed))
        return em.run(num_groups, num_iterations=10, num_restarts=num_restarts)

    def recovery(self, assignment):
        agree = (assignment == self.truth).double().mean().item()
        return max(agree, 1 - agree)


def test_e_step_and_objective_by_hand():
    log_likelihoods = torch.tensor([[-1.0, -2.0], [-3.0, -2.5]])
    weights = torch.tensor([0.8, 0.2])
    # log 0.8 - 3 = -3.22 beats log 0.2 - 2.5 = -4.11, though the second group fits this user better
    assert assign_users(log_likelihoods, weights).tolist() == [0, 0]
    objective = classification_likelihood(log_likelihoods, weights, torch.tensor([0, 1]))
    assert objective == pytest.approx(math.log(0.8) - 1 + math.log(0.2) - 2.5)
    assert mixing_weights(torch.tensor([0, 2, 2, 2]), 3).tolist() == [0.25, 0.0, 0.75]


def test_predictive_likelihood_by_hand():
    context, target = torch.log(torch.tensor([[0.9, 0.3]])), torch.log(torch.tensor([[0.5, 0.1]]))
    weights = torch.tensor([0.5, 0.5])
    assert predictive_log_likelihood(context, target, weights).exp().item() == pytest.approx(0.75 * 0.5 + 0.25 * 0.1)


@pytest.mark.parametrize("shares", [(60, 60), (100, 10)])
@pytest.mark.parametrize("seed", range(5))
def test_planted_groups_are_recovered(shares, seed):
    problem = LinearProblem(shares, seed=seed)
    clustering = problem.cluster(2)
    assert problem.recovery(clustering.assignment) >= 0.95
    assert clustering.weights.sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("num_groups", [2, 5])
def test_the_likelihood_never_falls(num_groups):
    for seed in range(5):
        likelihoods = LinearProblem((20, 20, 5), num_answers=4, seed=seed).cluster(num_groups).likelihoods
        assert len(likelihoods) > 2
        assert all(later >= earlier - 1e-9 for earlier, later in pairwise(likelihoods))


def test_a_fit_that_makes_things_worse_is_refused():
    problem = LinearProblem((20, 20))
    good = problem.cluster(2)
    em = HardEM(lambda start, rows: torch.zeros(4, dtype=torch.float64), problem.log_likelihood, 40, torch.Generator())
    after = em.iterate(good, 3)
    assert all(torch.equal(a, b) for a, b in zip(after.groups, good.groups, strict=True))
    assert after.likelihoods[-1] >= good.likelihoods[-1]


def test_an_empty_group_is_refilled():
    problem = LinearProblem((40, 20))
    pooled = problem.fit(None, torch.arange(60))
    hopeless = -100 * torch.ones(4, dtype=torch.float64)
    em = HardEM(problem.fit, problem.log_likelihood, 60, torch.Generator().manual_seed(0))
    start = em._settled(
        (pooled, hopeless),
        torch.stack([problem.log_likelihood(w) for w in (pooled, hopeless)], 1),
        torch.tensor([0.5, 0.5]),
        (),
    )
    assert start.weights.tolist() == [1.0, 0.0]
    clustering = em.iterate(start, 10)
    assert (clustering.weights > 0.2).all()
    assert problem.recovery(clustering.assignment) >= 0.95


def test_clearly_better_needs_two_standard_errors_and_two_percent():
    gains = torch.tensor([1.0, 3.0] * 50)  # mean 2, standard error 0.1
    baseline = torch.full((100,), -5.0)
    assert clearly_better(baseline + gains, baseline)
    assert clearly_better(baseline + gains - 1.79, baseline)
    assert not clearly_better(baseline + gains - 1.81, baseline)
    assert not clearly_better(baseline, baseline + gains)
    assert clearly_better(baseline + 0.11, baseline)
    assert not clearly_better(baseline + 0.09, baseline)


SMALL = {"hidden_size": 32, "num_layers": 2, "num_updates": 200, "learning_rate": 3e-3, "step_updates": 25}


def two_groups(first, second, seed=0):
    """Users of the first and of the third of the didactic groups, so many of each."""
    all_users = gaussian_preferences(5 * (first + second), 16, np.random.default_rng(seed))
    rows = [np.flatnonzero(all_users.group_index == group)[:size] for group, size in ((0, first), (2, second))]
    return all_users.take_users(np.sort(np.concatenate(rows)))


@pytest.mark.parametrize(("first", "second"), [(100, 100), (200, 20)])
def test_the_learner_recovers_groups_of_new_users(first, second):
    model = MaxMin({**SMALL, "num_groups": 2, "num_restarts": 2})
    history = model.fit(two_groups(first, second), seed=0)
    likelihoods = [row["likelihood"] for row in history if "likelihood" in row]
    assert all(later >= earlier for earlier, later in pairwise(likelihoods))
    new = two_groups(100, 100, seed=1)
    agree = (model.assign(new).numpy() == (new.group_index == 2)).mean()
    assert max(agree, 1 - agree) >= 0.95
    assert sorted(model.network.weights.tolist())[0] == pytest.approx(second / (first + second), abs=0.03)


@pytest.fixture(scope="module")
def chosen():
    model = MaxMin({**SMALL, "max_groups": 3, "num_restarts": 1, "step_updates": 15, "num_iterations": 5})
    model.fit(two_groups(80, 80), seed=0)
    return model


def test_the_number_of_groups_is_chosen_when_not_given(chosen):
    assert len(chosen.groups()) == 2


def test_the_reward_is_the_least_of_the_normalised_group_rewards(chosen):
    points = torch.linspace(0, 1, 200)[:, None]
    rewards = chosen.group_rewards(points)
    assert rewards.shape == (2, 200)
    torch.testing.assert_close(chosen.reward(points, torch.zeros(200, 0)), rewards.min(0).values)
    assert (rewards.mean(1).abs() < 0.2).all()
    assert ((rewards.std(1) - 1).abs() < 0.2).all()
    at_centres = chosen.group_rewards(torch.tensor([[CENTRES[0]], [CENTRES[2]]]))
    own_first = at_centres[:, 0] - at_centres[:, 1]
    assert own_first.max() > 1
    assert own_first.min() < -1
    posterior = chosen.infer(two_groups(3, 3, seed=2))
    assert posterior.mean.shape == (6, 0)


def test_a_groups_preferences_are_as_fitted_and_not_in_deviations(chosen):
    points, no_latent = torch.linspace(0, 1, 50)[:, None], torch.zeros(50, 0)
    for group, network in zip(chosen.groups(), chosen.network.groups, strict=True):
        outputs = group.preference_outputs(points, no_latent)
        raw = network(points)
        torch.testing.assert_close(outputs, raw)
        spo = fit_scaling("spo", group, torch.zeros(1, 0), points)(points, torch.zeros(50, dtype=torch.int64))
        torch.testing.assert_close(spo, (raw - raw.T).sigmoid().mean(1))
        assert not torch.allclose(raw.std(), torch.ones(()), atol=0.2)  # in deviations it would be another scale


def test_files_keep_the_groups(chosen, tmp_path):
    chosen.save(tmp_path)
    loaded = MaxMin.load(tmp_path)
    points = torch.rand(9, 1, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded.group_rewards(points), chosen.group_rewards(points), rtol=0, atol=0)
    users = two_groups(10, 10, seed=3)
    assert torch.equal(loaded.assign(users), chosen.assign(users))


def test_too_few_users_to_choose_from_are_named():
    with pytest.raises(LearnerError, match="too few to choose num_groups"):
        MaxMin(SMALL).fit(two_groups(1, 1), seed=0)
    with pytest.raises(SettingsError, match="num_groups"):
        MaxMin({"num_groups": -1})
