import numpy as np
import pytest
import torch

from pluralbench.iql import IQLError, ReplayData
from pluralbench.iql.data import draw_indices, fold_rewards


def by_hand(rewards, terminals, timeouts, n_step, discount):
    """n-step returns by a plain loop."""
    num = len(rewards)
    returns, bootstrap, discounts = np.zeros(num), np.zeros(num, int), np.zeros(num)
    for i in range(num):
        for k in range(n_step):
            returns[i] += discount**k * rewards[i + k]
            if terminals[i + k] or timeouts[i + k] or i + k == num - 1 or k == n_step - 1:
                break
        bootstrap[i] = i + k
        discounts[i] = 0.0 if terminals[i + k] else discount ** (k + 1)
    return returns, bootstrap, discounts


@pytest.mark.parametrize("n_step", [1, 3, 20, 100])
def test_fold_rewards_equals_a_plain_loop(n_step: int) -> None:
    rng = np.random.default_rng(0)
    rewards = rng.random((2, 57)).astype(np.float32)
    terminals, timeouts = rng.random(57) < 0.1, rng.random(57) < 0.1
    returns, bootstrap, discounts = fold_rewards(
        torch.from_numpy(rewards), torch.from_numpy(terminals), torch.from_numpy(timeouts), n_step, 0.9
    )
    for run in range(2):
        expected = by_hand(rewards[run], terminals, timeouts, n_step, 0.9)
        assert np.allclose(returns[run], expected[0], atol=1e-5)
        assert (bootstrap.numpy() == expected[1]).all()
        assert np.allclose(discounts, expected[2], atol=1e-6)


def test_terminals_bootstrap_zero_and_timeouts_do_not() -> None:
    flags = torch.tensor([False, True, False]), torch.tensor([True, False, False])
    _, bootstrap, discounts = fold_rewards(torch.ones(1, 3), *flags, n_step=2, discount=0.5)
    assert bootstrap.tolist() == [0, 1, 2]
    assert discounts.tolist() == [0.5, 0.0, 0.5]  # cut short, ended, end of the data


def test_batches_of_a_run_do_not_depend_on_its_neighbours() -> None:
    together = draw_indices([3, 5], 7, 4, 16, 1000, torch.device("cpu"))
    alone = draw_indices([5], 7, 4, 16, 1000, torch.device("cpu"))
    assert torch.equal(together[:, 1], alone[:, 0])
    assert not torch.equal(together[:, 0], together[:, 1])
    assert not torch.equal(alone, draw_indices([5], 8, 4, 16, 1000, torch.device("cpu")))
    assert together.min() >= 0
    assert together.max() < 1000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": np.zeros((2, 9))}, r"rewards must be \(E, 10\)"),
        ({"timeouts": np.zeros(9, bool)}, r"timeouts must be \(10,\) bool"),
        ({"next_observations": np.zeros((10, 2))}, "differ in length or size"),
        ({"observations": np.full((10, 3), np.nan)}, "observations must be finite"),
        ({"latents": np.zeros((2, 4, 1)), "latent_index": np.full((2, 10), 4)}, "latent_index must lie in 0 to 3"),
        ({"latents": np.zeros((1, 4, 1)), "latent_index": np.zeros((2, 10))}, r"latents must be \(2, M, Z\)"),
        ({"latents": np.zeros((2, 4, 1))}, "belong together"),
    ],
)
def test_data_that_do_not_fit_are_named(change: dict, message: str) -> None:
    arrays = {
        "observations": np.zeros((10, 3)),
        "actions": np.zeros((10, 2)),
        "next_observations": np.zeros((10, 3)),
        "terminals": np.zeros(10, bool),
        "timeouts": np.zeros(10, bool),
        "rewards": np.zeros((2, 10)),
    }
    with pytest.raises(IQLError, match=message):
        ReplayData.from_arrays(**{**arrays, **change})
