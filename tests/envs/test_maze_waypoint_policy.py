import numpy as np
import pytest

from pluralbench.envs.environments import environments
from pluralbench.envs.maze.maps import load_map
from pluralbench.envs.maze.physics import MazePhysics
from pluralbench.envs.maze.waypoint_policy import BEHAVIOUR_VERSION, WaypointSettings, collect
from pluralbench.envs.transitions import DatasetError

GOLDEN = [
    [6.953958, 1.908195, 0.01049001, -0.05356694],
    [6.995631, 8.000965, 0.04902017, -0.1050375],
    [0.8062292, 3.026318, 0.139337, -3.428022],
]
FIELDS = ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts")


@pytest.fixture(scope="module")
def data():
    return collect(120_000, seed=0)


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads():
    first, second = (collect(6_000, seed=5, num_threads=threads) for threads in (1, 3))
    other = collect(6_000, seed=6)
    for name in FIELDS:
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert first.metadata == second.metadata
    assert (first.observations != other.observations).any()


def test_transitions_replay_in_the_physics(data):
    """Each next observation is what the stored action leads to from the stored observation, up to float32."""
    rows = np.random.default_rng(0).choice(len(data), 2_000, replace=False)
    physics = MazePhysics(load_map("large"), num_threads=1)
    after = physics.step(data.observations[rows].astype(np.float64), data.actions[rows])
    np.testing.assert_allclose(after[:, :2], data.next_observations[rows, :2], atol=2e-5)
    free = np.abs(after - data.next_observations[rows]).max(axis=1) < 2e-5  # rounding is amplified in contacts
    assert free.mean() > 0.95


def test_episodes_are_contiguous(data):
    """Within an episode, and between the episodes of one maze, each transition starts where the last one ended."""
    joined = (data.observations[1:] == data.next_observations[:-1]).all(axis=1)
    assert (joined | data.timeouts[:-1]).all()
    assert (~joined).sum() == 120_000 // 2000 - 1  # where one maze's data ends and the next one's begins
    assert data.timeouts[-1]
    assert not data.terminals.any()


def test_rewards_belong_to_the_state_that_was_reached(data):
    inside = np.linalg.norm(data.next_observations[:, :2] - [7, 9], axis=1) <= 0.5
    np.testing.assert_array_equal(data.rewards, inside)
    before = np.linalg.norm(data.observations[:, :2] - [7, 9], axis=1) <= 0.5
    assert (data.rewards != before).sum() > 10  # off by one would show


def test_episodes_end_on_arrival_or_at_their_time_limit():
    data = collect(120_000, seed=0, settings=WaypointSettings(max_rest=0))
    bounds = data.episode_bounds
    lengths = bounds[:, 1] - bounds[:, 0]
    assert lengths.max() <= WaypointSettings().max_steps
    last = data.next_observations[bounds[:, 1] - 1]
    at_point = np.linalg.norm(last[:, :2] - np.round(last[:, :2]), axis=1) < 0.1
    at_rest = np.linalg.norm(last[:, 2:], axis=1) < 0.5
    whole_maze = (np.arange(len(data)) % 2000 == 1999)[bounds[:, 1] - 1]
    arrived = at_point & at_rest
    assert (arrived | whole_maze | (lengths == WaypointSettings().max_steps)).all()
    assert 0.8 < arrived.mean() < 0.99


def test_navigation_is_given_up_at_its_time_limit():
    data = collect(20_000, seed=0, settings=WaypointSettings(max_rest=0, max_steps=50))
    bounds = data.episode_bounds
    lengths = bounds[:, 1] - bounds[:, 0]
    assert lengths.max() == 50
    assert (lengths == 50).mean() > 0.5


def test_reached_goals_are_held_for_a_while(data):
    without = collect(120_000, seed=0, settings=WaypointSettings(max_rest=0))
    shares = []
    for given in (data, without):
        near = np.linalg.norm(given.observations[:, :2] - np.round(given.observations[:, :2]), axis=1) < 0.2
        shares.append((near & (np.linalg.norm(given.observations[:, 2:], axis=1) < 0.5)).mean())
    assert shares[0] > 0.1
    assert shares[1] < 0.03


def test_every_cell_is_crossed_and_reached(data):
    maze = load_map("large")
    visits = np.bincount(maze.cell_index(data.observations[:, :2]), minlength=46)
    assert visits.min() > 100
    ends = data.next_observations[data.episode_bounds[:, 1] - 1]
    assert np.bincount(maze.cell_index(ends[:, :2]), minlength=46).min() >= 1
    starts = data.observations[data.episode_bounds[:, 0]]
    crossed = np.linalg.norm(starts[:, :2] - ends[:, :2], axis=1)
    assert np.median(crossed) > 2.0


def test_actions_are_noisy_and_within_bounds(data):
    assert np.abs(data.actions).max() == 1.0
    quiet = collect(4_000, seed=0, settings=WaypointSettings(action_noise=0.0))
    jump = [np.abs(np.diff(each.actions, axis=0)).mean() for each in (data, quiet)]
    assert jump[0] > 4.0 * jump[1]


def test_the_size_is_at_least_what_was_asked_for():
    for num in (1, 7, 5_001):
        assert num <= len(collect(num, seed=0)) < num + 10
    with pytest.raises(DatasetError, match="at least 1"):
        collect(0, seed=0)


def test_progress_reaches_the_end():
    calls = []
    collect(4_000, seed=0, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (4_000, 4_000)
    assert calls == sorted(calls)


def test_goals_even_out_how_often_cells_are_visited():
    spread = []
    for share in (1.0, 0.0):
        data = collect(200_000, seed=0, settings=WaypointSettings(rare_cells_share=share))
        visits = np.bincount(load_map("large").cell_index(data.observations[:, :2]), minlength=46)
        spread.append(visits.max() / visits.min())
    assert spread[0] < 0.8 * spread[1]


def test_metadata_says_what_made_it():
    data = collect(100, seed=9, layout="umaze")
    assert data.metadata["seed"] == 9
    assert data.metadata["layout"] == "umaze"
    assert data.metadata["settings"]["action_noise"] == 0.5
    assert data.metadata["behaviour_version"] == BEHAVIOUR_VERSION == environments.get("maze").behaviour_version
    assert load_map("umaze").is_free(data.observations[:, :2]).all()


def test_a_seed_gives_what_it_gave_before():
    """Raise BEHAVIOUR_VERSION (and `Environment.behaviour_version`) whenever these numbers change."""
    data = collect(3_000, seed=0)
    assert BEHAVIOUR_VERSION == 4
    np.testing.assert_allclose(data.observations[[0, 500, 2999]], GOLDEN, atol=1e-4)


def test_crossings_count_the_pairs_whose_shortest_paths_use_a_cell():
    maze = load_map("large")
    crossings = dict(zip(map(tuple, maze.free_cells.tolist()), maze.crossings.tolist(), strict=True))
    dead_end = 2 * 45 + 1  # both ways to each other cell, and itself
    assert crossings[7, 1] == crossings[7, 10] == dead_end
    assert crossings[7, 2] == dead_end + 2 * 44
    assert crossings[6, 2] == dead_end + 2 * 2 * 43
