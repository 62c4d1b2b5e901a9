"""Data of the household tasks' behaviour policy."""

from __future__ import annotations

import numpy as np
import pytest

from pluralbench.envs.environments import environments
from pluralbench.envs.household.catalogue import REARRANGE_OBJECTS
from pluralbench.envs.household.flat import PLACES
from pluralbench.envs.household.random_placement import CHAIN_LENGTH
from pluralbench.envs.household.tidy import NUM_MISPLACED


@pytest.fixture(scope="module")
def rearrange_data():
    return environments.get("habitat-rearrange").collect(6 * CHAIN_LENGTH, seed=3)


@pytest.fixture(scope="module")
def tidy_data():
    return environments.get("habitat-tidy").collect(60, seed=3)


def test_rearrange_puts_every_object_on_every_place(rearrange_data):
    data = rearrange_data
    assert len(data) == 6 * CHAIN_LENGTH
    assert data.actions.shape == (len(data), 5)
    assert data.terminals.all()
    kinds, actions = data.observations[:, 8:14], data.actions
    assert (kinds.T @ actions == CHAIN_LENGTH / len(PLACES)).all()  # every combination equally often
    assert kinds.shape[1] == len(REARRANGE_OBJECTS)
    landed = (data.next_observations[:, 3:8] * actions).sum(1)
    assert landed.mean() > 0.97
    for chain in range(6):  # each placement begins where the one before ended
        rows = slice(chain * CHAIN_LENGTH, (chain + 1) * CHAIN_LENGTH)
        assert np.array_equal(data.observations[rows][1:], data.next_observations[rows][:-1])


def test_tidy_puts_objects_into_random_containers(tidy_data):
    data = tidy_data
    assert data.actions.shape == (len(data), 2)
    assert (np.diff(data.episode_bounds) == NUM_MISPLACED).all()
    assert not data.timeouts.any()
    assert np.array_equal(data.next_observations[:, :5], data.observations[:, 7:])  # who was presented was placed
    assert (data.next_observations[:, 5:7] * data.actions).sum(1).mean() > 0.97
    assert 0.3 < data.actions[:, 0].mean() < 0.7


@pytest.mark.parametrize("name", ["habitat-rearrange", "habitat-tidy"])
def test_expected_outcomes_are_those_of_the_data(name, rearrange_data, tidy_data):
    data = rearrange_data if name == "habitat-rearrange" else tidy_data
    task = environments.get(name).make_task()
    expected = task.outcomes(data.observations)[data.actions > 0]
    goals = task.sample_goals(10, np.random.default_rng(0))
    same = task.utility(expected, goals[:, None]) == task.utility(data.next_observations, goals[:, None])
    assert same.mean() > 0.97


@pytest.mark.parametrize("name", ["habitat-rearrange", "habitat-tidy"])
def test_the_same_seed_gives_the_same_bytes(name, rearrange_data, tidy_data):
    longer = rearrange_data if name == "habitat-rearrange" else tidy_data
    told = []
    data = environments.get(name).collect(20, 3, lambda done, total: told.append((done, total)))
    for field in ("observations", "actions", "next_observations", "terminals"):
        assert getattr(data, field).tobytes() == getattr(longer, field)[: len(data)].tobytes()
    assert told[-1] == (20, 20)
    other = environments.get(name).collect(20, 4)
    assert not np.array_equal(other.actions, data.actions)
