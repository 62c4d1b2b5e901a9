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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": np.zeros(6, np.float32)}, r"\(N, S\) and \(N, A\)"),
        ({"next_observations": np.zeros((5, 2), np.float32)}, "differ in length"),
        ({"actions": np.zeros((5, 1), np.float32)}, "differ in length"),
        ({"rewards": np.zeros((6, 1), np.float32)}, r"rewards must be \(6,\)"),
        ({"rewards": np.zeros(6)}, "finite float32"),
        ({"actions": np.full((6, 1), np.nan, np.float32)}, "actions must be finite float32; row 0"),
        ({"rewards": np.float32([0, 0, 0, 0, np.inf, 0])}, "rewards must be finite float32; row 4"),
        ({"terminals": np.zeros(6, np.uint8)}, "must be bool"),
    ],
)
def test_contradictions_are_named(changes, message):
    with pytest.raises(DatasetError, match=message):
        _dataset(**changes)
