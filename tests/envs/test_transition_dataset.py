import numpy as np
import pytest

from pluralbench.envs.transitions import DatasetError, TransitionDataset


def _dataset(**changes):
    """Six transitions: an episode of three that terminates, one of two that is cut short, one that the data cuts."""
    columns = {
        "observations": np.arange(12, dtype=np.float32).reshape(6, 2),
        "actions": np.arange(6, dtype=np.float32).reshape(6, 1),
        "next_observations": np.arange(12, dtype=np.float32).reshape(6, 2) + 2,
        "rewards": np.arange(6, dtype=np.float32) / 10,
        "terminals": np.array([0, 0, 1, 0, 0, 0], dtype=bool),
        "timeouts": np.array([0, 0, 0, 0, 1, 0], dtype=bool),
        "metadata": {"policy": "made by hand"},
    }
    return TransitionDataset(**{**columns, **changes})


def test_episodes_end_at_terminals_timeouts_and_the_end_of_the_data():
    dataset = _dataset()
    assert dataset.episode_bounds.tolist() == [[0, 3], [3, 5], [5, 6]]
    assert dataset.episode_index.tolist() == [0, 0, 0, 1, 1, 2]
    assert len(dataset) == 6


def test_take_episodes_keeps_the_order_asked_for_and_closes_what_the_data_cut():
    taken = _dataset().take_episodes([2, 0])
    assert taken.actions[:, 0].tolist() == [5, 0, 1, 2]
    assert taken.terminals.tolist() == [False, False, False, True]
    assert taken.timeouts.tolist() == [True, False, False, False]  # else the two episodes would run into one another
    assert taken.episode_bounds.tolist() == [[0, 1], [1, 4]]
    assert taken.rewards.tolist() == pytest.approx([0.5, 0.0, 0.1, 0.2])
    assert taken.next_observations[0].tolist() == [12, 13]
    assert taken.metadata == {"policy": "made by hand"}


@pytest.mark.parametrize("episodes", [[], [3], [-1]])
def test_take_episodes_refuses_episodes_that_do_not_exist(episodes):
    with pytest.raises(DatasetError, match="episodes go from 0 to 2"):
        _dataset().take_episodes(episodes)


def test_split_episodes_parts_them_all_and_depends_on_the_generator_alone():
    ends = np.ones(100, dtype=bool)
    columns = np.zeros((100, 1), dtype=np.float32)
    dataset = TransitionDataset(columns, columns, columns, columns[:, 0], ends, ~ends)
    train, held_out = dataset.split_episodes(0.2, np.random.default_rng(0))
    assert len(held_out) == 20
    assert sorted([*train, *held_out]) == list(range(100))
    again = dataset.split_episodes(0.2, np.random.default_rng(0))
    np.testing.assert_array_equal(held_out, again[1])
    assert held_out.tolist() != dataset.split_episodes(0.2, np.random.default_rng(1))[1].tolist()


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_split_episodes_leaves_no_part_empty(fraction):
    train, held_out = _dataset().split_episodes(fraction, np.random.default_rng(0))
    assert len(train) > 0
    assert len(held_out) > 0


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_split_episodes_refuses_impossible_shares(fraction):
    with pytest.raises(DatasetError, match="cannot hold out"):
        _dataset().split_episodes(fraction, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": np.zeros(6, np.float32)}, r"\(N, S\) and \(N, A\)"),
        ({"next_observations": np.zeros((5, 2), np.float32)}, "differ in length"),
        ({"actions": np.zeros((5, 1), np.float32)}, "differ in length"),
        ({"rewards": np.zeros((6, 1), np.float32)}, r"rewards must be \(6,\)"),
        ({"rewards": np.zeros(6)}, "finite float32"),
        ({"actions": np.full((6, 1), np.nan, np.float32)}, "actions must be finite"),
        ({"terminals": np.zeros(6, np.uint8)}, "must be bool"),
    ],
)
def test_contradictions_are_named(changes, message):
    with pytest.raises(DatasetError, match=message):
        _dataset(**changes)
