import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from pluralbench.reward_learning import scaling
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.learners import make_learner
from pluralbench.reward_learning.reward_model import RewardFunction
from pluralbench.reward_learning.scaling import fit_scaling


class Linear(RewardFunction):
    """r(s, z) = sharpness z s + offset: everything about it is known."""

    def __init__(self, sharpness=1.0, offset=0.0):
        self.sharpness = sharpness
        self.offset = offset

    def reward(self, observations, latents):
        return self.sharpness * latents[..., 0] * observations[..., 0] + self.offset


STATES = torch.tensor([[-1.0], [0.0], [2.0]])
LATENTS = torch.tensor([[1.0], [-3.0]])
ASKED = torch.tensor([[0.5], [-1.0], [0.5], [4.0]])
INDEX = torch.tensor([0, 0, 1, 1])


def scaled(name, model):
    return fit_scaling(name, model, LATENTS, STATES)(ASKED, INDEX)


def test_none_is_the_reward_itself():
    torch.testing.assert_close(scaled("none", Linear(offset=2.0)), torch.tensor([2.5, 1.0, 0.5, -10.0]))


def test_batchnorm_divides_by_the_mean_under_each_latent():
    # mean over states: 1/3 + 2 = 7/3 under z = 1, and -1 + 2 = 1 under z = -3
    expected = torch.tensor([2.5 / (7 / 3), 1.0 / (7 / 3), 0.5, -10.0])
    torch.testing.assert_close(scaled("batchnorm", Linear(offset=2.0)), expected)


def test_maxnorm_divides_by_the_largest_magnitude_under_each_latent():
    torch.testing.assert_close(scaled("maxnorm", Linear()), torch.tensor([0.25, -0.5, -0.25, -2.0]))


def test_a_reward_that_is_zero_everywhere_stays_zero():
    for name in ("batchnorm", "maxnorm"):
        assert scaled(name, Linear(sharpness=0.0)).tolist() == [0, 0, 0, 0]


def test_spo_in_closed_form():
    def logistic(x):
        return 1 / (1 + np.exp(-x))

    expected = [
        np.mean([logistic(z * (s - other)) for other in (-1.0, 0.0, 2.0)])
        for s, z in [(0.5, 1.0), (-1.0, 1.0), (0.5, -3.0), (4.0, -3.0)]
    ]
    torch.testing.assert_close(scaled("spo", Linear()), torch.tensor(expected, dtype=torch.float32))


def test_spo_of_a_sharp_reward_is_its_rank_for_every_latent():
    states = torch.randn(101, 1, generator=torch.Generator().manual_seed(0))
    spo = fit_scaling("spo", Linear(sharpness=1e6), LATENTS, states)
    for number, direction in enumerate([1.0, -1.0]):
        values = spo(states, torch.full((101,), number))
        ranks = (rankdata(direction * states[:, 0].numpy()) - 0.5) / 101
        torch.testing.assert_close(values.double(), torch.from_numpy(ranks), atol=2e-3, rtol=0)


def test_spo_log_keeps_the_order_of_spo_and_spreads_the_top():
    states = torch.linspace(-1, 1, 101)[:, None].repeat(1, 2)
    rows = torch.zeros(101, dtype=torch.long)
    rank, spread = (
        fit_scaling(name, Linear(sharpness=1e6), LATENTS, states)(states, rows) for name in ("spo", "spo-log")
    )
    torch.testing.assert_close(spread, -(1 + 1 / 202 - rank).log())
    assert spread.isfinite().all()
    best_first, order = spread.sort(descending=True)
    assert torch.equal(order, rank.argsort(descending=True))
    steps = best_first[:-1] - best_first[1:]
    assert steps[0] > 10 * steps[50]


def test_spo_of_the_oracle_is_the_rank_of_the_utility_ties_included(line):
    oracle = make_learner("oracle", task=line.task)
    positions = torch.tensor([[-1.0, 0.0], [0.2, 0.0], [0.2, 1.0], [0.9, 0.0]])
    spo = fit_scaling("spo", oracle, torch.tensor([[1.0], [-1.0]]), positions)
    assert spo(positions, torch.zeros(4, dtype=torch.long)).tolist() == [1 / 8, 4 / 8, 4 / 8, 7 / 8]
    assert spo(positions, torch.ones(4, dtype=torch.long)).tolist() == [7 / 8, 4 / 8, 4 / 8, 1 / 8]
    wavering = make_learner("oracle", {"rationality": 2.0}, task=line.task)
    values = fit_scaling("spo", wavering, torch.tensor([[1.0]]), positions[:1])(positions[3:], torch.tensor([0]))
    assert values.item() == pytest.approx(1 / (1 + np.exp(-2 * (0.95 - 0.0))))


def test_spo_is_antisymmetric():
    states = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    spo = fit_scaling("spo", Linear(), LATENTS, states)
    # each state against all of them: every pair enters in both orders, so the mean is a half
    assert spo(states, torch.zeros(50, dtype=torch.long)).mean().item() == pytest.approx(0.5, abs=1e-6)
    one, other = torch.tensor([[1.3]]), torch.tensor([[-0.4]])
    both = Linear().preference_probability(one, other) + Linear().preference_probability(other, one)
    assert both.item() == pytest.approx(1.0)


def test_spo_does_not_depend_on_the_zero_of_a_reward_and_batchnorm_does():
    torch.testing.assert_close(scaled("spo", Linear()), scaled("spo", Linear(offset=100.0)), atol=1e-4, rtol=0)
    assert (scaled("batchnorm", Linear()) - scaled("batchnorm", Linear(offset=100.0))).abs().max() > 1


def test_pieces_do_not_show(monkeypatch):
    states = torch.randn(33, 1, generator=torch.Generator().manual_seed(0))
    asked = torch.randn(1000, 1, generator=torch.Generator().manual_seed(1))
    index = torch.arange(1000) % 2
    for name in ("none", "batchnorm", "maxnorm", "spo"):
        whole = fit_scaling(name, Linear(), LATENTS, states)(asked, index)
        with monkeypatch.context() as patch:
            patch.setattr(scaling, "CHUNK", 7)
            pieces = fit_scaling(name, Linear(), LATENTS, states)(asked, index)
        torch.testing.assert_close(whole, pieces)


def test_a_probability_of_the_learners_own_is_asked():
    class Stubborn(Linear):
        def preference_outputs(self, observations, latents):
            rewards = self.reward(observations, latents)
            return torch.stack([torch.zeros(()).expand(rewards.shape), rewards], dim=-1)

        def preference_probability(self, first, second):
            return torch.where(first[..., 1] > second[..., 1], 0.75, 0.25)

    expected = [(0.75 + 0.75 + 0.25) / 3, 0.25, (0.25 + 0.25 + 0.75) / 3, 0.25]
    torch.testing.assert_close(scaled("spo", Stubborn()), torch.tensor(expected))


def test_what_cannot_be_scaled_is_refused():
    with pytest.raises(LearnerError, match="unknown scaling 'sp0'; did you mean 'spo'"):
        fit_scaling("sp0", Linear(), LATENTS, STATES)
    with pytest.raises(LearnerError, match="spo needs at least one comparison state"):
        fit_scaling("spo", Linear(), LATENTS, STATES[:0])
    with pytest.raises(LearnerError, match="spo-pairs needs a pair classifier"):
        fit_scaling("spo-pairs", Linear(), LATENTS, STATES)
