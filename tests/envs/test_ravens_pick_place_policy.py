import numpy as np
import pytest

import pluralbench.envs
from pluralbench.envs.environments import environments
from pluralbench.envs.ravens.environment import RavensError, RavensManipulation
from pluralbench.envs.ravens.pick_place_policy import (
    BEHAVIOUR_VERSION,
    BehaviourSettings,
    Episode,
    act,
    collect,
    draw_episode,
    pick_and_place,
)
from pluralbench.envs.ravens.task import RavensTask
from pluralbench.envs.transitions import DatasetError

assert pluralbench.envs


def successes(zone, seeds, noise=0.0, **settings):
    environment = RavensManipulation(**settings)
    episode, won = Episode("zone", environment.task.goal(zone), noise, 0.0), 0
    for seed in seeds:
        generator = np.random.default_rng(seed)
        observation, _ = environment.reset(seed=seed, options={"goal": zone})
        truncated = False
        while not truncated:
            observation, _, _, truncated, info = environment.step(act(episode, observation, generator))
        won += info["success"]
    environment.close()
    return won


@pytest.mark.parametrize("zone", RavensTask("four-zones").zone_names)
def test_without_noise_it_succeeds(zone):
    assert successes(zone, range(10), zones="four-zones") == 10


@pytest.mark.slow
@pytest.mark.parametrize("block_start", ["centre", "anywhere"])
@pytest.mark.parametrize("zone", RavensTask("four-zones").zone_names)
def test_without_noise_it_succeeds_98_times_in_100(zone, block_start):
    assert successes(zone, range(100), zones="four-zones", block_start=block_start) >= 98


def test_with_the_papers_noise_it_nearly_always_succeeds():
    assert successes("left", range(15), noise=0.01) >= 14


def test_what_it_does_is_a_function_of_what_it_sees():
    generator = np.random.default_rng(0)
    seen = generator.uniform((0.25, -0.5, 0, 0.3, -0.3, 0.02, 0), (0.75, 0.5, 0.3, 0.7, 0.3, 0.2, 1), (300, 7))
    place = np.array((0.5, 0.2))
    together = pick_and_place(seen, place)
    alone = np.array([pick_and_place(one, place) for one in seen[::-1]])[::-1]
    np.testing.assert_array_equal(together, alone)
    episode = Episode("zone", place, 0.01, 0.0)
    first, again = (act(episode, seen[0], np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_kinds_of_episodes_have_their_shares():
    task, settings = RavensTask("four-zones"), BehaviourSettings()
    drawn = [draw_episode(task, settings, index, np.random.default_rng([0, index])) for index in range(4000)]
    kinds = np.array([episode.kind for episode in drawn])
    for kind, share in (("zone", 0.7), ("clumsy", 0.1), ("elsewhere", 0.1), ("aimless", 0.1)):
        assert (kinds == kind).mean() == pytest.approx(share, abs=0.02)
    places = np.array([episode.place for episode in drawn if episode.kind == "zone"])
    for zone in task.zones:
        assert (places == zone).all(-1).mean() == pytest.approx(0.25, abs=0.03)
    elsewhere = np.array([episode.place for episode in drawn if episode.kind == "elsewhere"])
    assert np.linalg.norm(elsewhere[:, None] - task.zones, axis=-1).min() > 0.05
    with pytest.raises(RavensError, match="shares"):
        BehaviourSettings(clumsy_share=0.6, aimless_share=0.6)


@pytest.fixture(scope="module")
def data():
    return collect(45 * 25, seed=3, num_workers=1)


def test_the_data_is_whole_episodes_for_every_user(data):
    task = RavensTask()
    assert len(data) == 45 * 25
    assert not data.terminals.any()
    np.testing.assert_array_equal(data.episode_bounds[:, 1], np.arange(25, len(data) + 1, 25))
    inside = ~data.timeouts
    np.testing.assert_array_equal(data.next_observations[:-1][inside[:-1]], data.observations[1:][inside[:-1]])
    assert np.abs(data.actions).max() <= 1.0
    episodes = data.next_observations.reshape(-1, 25, 7)
    won = task.success(episodes[:, :, None], task.zones).any(axis=1)  # (episodes, zones)
    own = np.arange(45) % 2
    assert 0.5 < won[np.arange(45), own].mean() < 0.9, "neither all nor none of it is expert"
    assert not won[np.arange(45), 1 - own].any()
    assert (episodes[..., 6] > 0.5).any(axis=1).mean() > 0.7
    utility = task.utility(episodes, task.zones[own][:, None])
    np.testing.assert_allclose(data.rewards.reshape(-1, 25), utility, atol=1e-6)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(data):
    told = []
    again = collect(45 * 25, seed=3, num_workers=2, progress=lambda done, total: told.append((done, total)))
    for name in ("observations", "actions", "next_observations", "rewards", "timeouts"):
        assert getattr(again, name).tobytes() == getattr(data, name).tobytes()
    assert again.metadata == data.metadata
    assert told == [(1000, 1125), (1125, 1125)]


def test_more_data_begins_with_the_same_episodes_and_another_seed_does_not(data):
    fewer = collect(60, seed=3, num_workers=1)
    assert len(fewer) == 75
    np.testing.assert_array_equal(fewer.observations, data.observations[:75])
    assert (collect(25, seed=4, num_workers=1).observations[0, 3:5] != data.observations[0, 3:5]).all()
    with pytest.raises(DatasetError, match="at least 1"):
        collect(0, seed=0)


def test_the_registered_environments_collect_and_express_their_goals():
    for name, zones in (("ravens", 2), ("ravens-four-zones", 4)):
        environment = environments.get(name)
        assert environment.behaviour_version == BEHAVIOUR_VERSION
        task = environment.make_task()
        assert task.name == name
        assert len(task.zones) == zones
        dataset = environment.collect(25, 0)
        assert dataset.metadata["environment"] == name
        assert dataset.observations.shape == (25, task.observation_size)
        assert dataset.actions.shape == (25, task.action_size)
