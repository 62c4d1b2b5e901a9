import os
import signal

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import pluralbench.envs  # noqa: F401
from pluralbench.envs.multigoal import GoalError
from pluralbench.envs.ravens.arms import ArmError
from pluralbench.envs.ravens.environment import RavensError, RavensManipulation, to_action, to_target
from pluralbench.envs.ravens.pick_place_policy import pick_and_place
from pluralbench.envs.ravens.vector_environment import RavensManipulationVector
from pluralbench.errors import InputError

GYM_ID = "pluralbench/RavensManipulation-v0"


@pytest.fixture(scope="module")
def environment():
    environment = RavensManipulation()
    yield environment
    environment.close()


def good_action(observations, goals):
    command = pick_and_place(np.asarray(observations, dtype=np.float64), np.asarray(goals))
    return to_action(command[..., :3], command[..., 3])


def play(environment, seed, goal=None, act=good_action):
    """Observations (T + 1, 7), rewards and the last step's flags and info."""
    observation, info = environment.reset(seed=seed, options={} if goal is None else {"goal": goal})
    seen, rewards, terminated, truncated = [observation], [], False, False
    while not (terminated or truncated):
        observation, reward, terminated, truncated, info = environment.step(act(observation, environment.goal))
        assert sum(info["reward_terms"].values()) == reward
        assert reward == pytest.approx(float(environment.task.utility(observation, environment.goal)), abs=1e-6)
        seen.append(observation)
        rewards.append(reward)
    return np.array(seen), rewards, terminated, truncated, info


@pytest.mark.parametrize("goal", ["left", "right"])
def test_a_block_that_is_placed_stays_and_pays_one_a_step(environment, goal):
    seen, rewards, terminated, truncated, info = play(environment, 3, goal)
    assert (terminated, truncated, info["success"], info["reached"]) == (False, True, True, True)
    assert len(rewards) == 25
    placed = environment.task.success(seen[1:], environment.goal)
    first = int(placed.argmax())
    assert first < 12
    assert placed[first:].all()
    assert rewards[first:] == [1.0] * (25 - first)
    assert max(rewards[:first]) <= 0.05


def test_the_other_users_success_does_not_count(environment):
    _, rewards, _, truncated, info = play(environment, 3, "left", lambda seen, goal: good_action(seen, -goal * (-1, 1)))
    assert (truncated, info["success"], info["reached"]) == (True, False, False)
    assert len(rewards) == 25
    assert max(rewards) < 0.05


def there_and_away(task):
    """Acts for any number of blocks: into the left zone, and once one has lain there, into the right one."""
    been_there = {}

    def act(seen, goals):
        lies_left = task.success(seen, task.goal("left"))
        been = been_there["left"] = been_there.get("left", lies_left) | lies_left
        return good_action(seen, np.where(np.asarray(been)[..., None], task.goal("right"), task.goal("left")))

    return act


def test_a_block_that_is_taken_out_of_the_zone_again_was_only_reached(environment, pair):
    _, rewards, _, _, info = play(environment, 3, "left", there_and_away(environment.task))
    assert max(rewards) == 1.0
    assert (info["success"], info["is_success"], info["reached"]) == (False, False, True)
    assert play(environment, 3, "right", there_and_away(environment.task))[-1]["success"]
    act = there_and_away(pair.task)
    observations, infos = pair.reset(seed=3, options={"goal": pair.task.zones[[0, 0, 1, 1, 0]]})
    assert not infos["reached"].any()
    for _ in range(25):
        observations, _, _, truncated, infos = pair.step(act(observations, pair.goals))
    assert truncated.all()
    assert infos["reached"].all()
    assert infos["success"].tolist() == infos["is_success"].tolist() == [False, False, True, True, False]


def test_a_block_that_starts_in_the_zone_has_reached_it(environment):
    for block, there in (((0.5, 0.2), True), ((0.5, 0.0), False)):
        info = environment.reset(seed=0, options={"goal": "left", "block": block})[1]
        assert info["success"] is info["is_success"] is info["reached"] is there


def test_same_seed_same_bytes_after_other_episodes(environment):
    first = play(environment, 11, "left")[0]
    for seed in range(5):
        play(environment, seed, "right")
    other = RavensManipulation(render_mode="rgb_array")
    assert first.tobytes() == play(environment, 11, "left")[0].tobytes() == play(other, 11, "left")[0].tobytes()
    assert first.tobytes() != play(environment, 12, "left")[0].tobytes()
    other.close()


def test_goals_are_drawn_until_one_is_set_and_then_held(environment):
    environment = RavensManipulation()
    environment.reset(seed=0)
    names = {environment.task.goal_name(environment.goal) for _ in range(12) if environment.reset()}
    assert names == {"left", "right"}
    start = environment.reset(seed=4)[0]
    np.testing.assert_array_equal(environment.reset(seed=4, options={"goal": "right"})[0], start)
    for _ in range(6):
        environment.reset()
        assert environment.task.goal_name(environment.goal) == "right"
    environment.close()


@pytest.mark.parametrize(
    ("zones", "block_start", "low", "high"),
    [("two-zones", "centre", (0.45, -0.05), (0.55, 0.05)), ("four-zones", "anywhere", (0.3, -0.35), (0.7, 0.35))],
)
def test_blocks_start_in_their_region_outside_the_zones(zones, block_start, low, high):
    environment = RavensManipulation(zones, block_start)
    environment.reset(seed=0)
    blocks = np.array([environment.reset()[0][3:6] for _ in range(100)])
    assert (blocks[:, :2] >= np.array(low) - 1e-6).all()
    assert (blocks[:, :2] <= np.array(high) + 1e-6).all()
    assert np.ptp(blocks[:, :2], axis=0).min() > 0.8 * (high[0] - low[0])
    assert np.linalg.norm(blocks[:, None, :2] - environment.task.zones, axis=-1).min() > 0.1
    np.testing.assert_allclose(blocks[:, 2], 0.025, atol=1e-6)
    environment.close()


def test_actions_are_absolute_targets():
    np.testing.assert_allclose(to_target(np.array([-1, -1, -1, 0])), (0.25, -0.5, 0.0))
    np.testing.assert_allclose(to_target(np.array([1, 3, 1, 0])), (0.75, 0.5, 0.3))
    targets = np.random.default_rng(0).uniform((0.25, -0.5, 0), (0.75, 0.5, 0.3), (50, 3))
    actions = to_action(targets, np.ones(50))
    np.testing.assert_allclose(to_target(actions), targets, atol=1e-6)
    assert actions.dtype == np.float32


def test_wrong_use_is_named(environment):
    with pytest.raises(GoalError, match="did you mean 'two-zones'"):
        RavensManipulation("two-zone")
    with pytest.raises(RavensError, match="known: centre, anywhere"):
        RavensManipulation(block_start="everywhere")
    with pytest.raises(ArmError, match="known: panda, ur5"):
        RavensManipulation(arm="pand")
    with pytest.raises(GoalError, match=r"no zone at \(0.4, 0\)"):
        environment.reset(options={"goal": (0.4, 0.0)})
    with pytest.raises(RavensError, match="block"):
        environment.reset(options={"block": (0.4,)})
    environment.reset(seed=0)
    with pytest.raises(RavensError, match="four numbers"):
        environment.step(np.array([0.0, np.nan, 0.0, 1.0]))
    with pytest.raises(RavensError, match="four numbers"):
        environment.step(np.zeros(3))


def test_a_step_before_the_start_or_after_the_end_is_refused(environment):
    fresh = RavensManipulation()
    with pytest.raises(gym.error.ResetNeeded, match="before the first reset"):
        fresh.step(np.zeros(4))
    fresh.close()
    play(environment, 3, "left")
    with pytest.raises(gym.error.ResetNeeded, match="after the last of 25 steps"):
        environment.step(np.zeros(4))


def test_the_picture_shows_the_block_and_the_zones():
    environment = RavensManipulation("four-zones", render_mode="rgb_array")
    environment.reset(seed=0, options={"block": (0.5, 0.1)})
    picture = environment.render().astype(int)
    red = (picture[..., 0] > 120) & (picture[..., 1] < 60) & (picture[..., 2] < 60)
    blue = (picture[..., 2] > 120) & (picture[..., 0] < 80)
    green = (picture[..., 1] > 100) & (picture[..., 0] < 80) & (picture[..., 2] < 100)
    assert picture.shape == (360, 480, 3)
    assert min(red.sum(), blue.sum(), green.sum()) > 100
    environment.reset(options={"block": (0.5, -0.1)})
    moved = environment.render().astype(int)
    red_moved = (moved[..., 0] > 120) & (moved[..., 1] < 60) & (moved[..., 2] < 60)
    assert abs(np.nonzero(red)[1].mean() - np.nonzero(red_moved)[1].mean()) > 30, "the block is seen where it is"
    environment.close()


# many at once


def vector_episodes(vector, seeds, goals):
    """Of each episode: its observations' bytes, its length and whether it succeeded."""
    observations, _ = vector.reset(seed=seeds, options={"goal": goals})
    seen = [[row] for row in observations]
    running = np.ones(vector.num_envs, dtype=bool)
    success = np.zeros(vector.num_envs, dtype=bool)
    while running.any():
        actions = good_action(observations, vector.goals)
        observations, _, terminated, truncated, infos = vector.step(actions)
        for row in np.flatnonzero(running):
            seen[row].append(observations[row])
        success[running] = infos["success"][running]
        running &= ~(terminated | truncated)
    return [(np.array(row).tobytes(), len(row), bool(won)) for row, won in zip(seen, success, strict=True)]


@pytest.fixture(scope="module")
def pair():
    vector = gym.make_vec(GYM_ID, num_envs=5, autoreset_mode=AutoresetMode.DISABLED, num_workers=2)
    yield vector
    vector.close()


def test_vectorised_episodes_are_the_single_ones(pair, environment):
    goals = pair.task.zones[[0, 1, 1, 0, 1]]
    seeds = [5, 9, 7, 100, 3]
    single = []
    for seed, goal in zip(seeds, goals, strict=True):
        seen, _, _, _, info = play(environment, seed, goal)
        single.append((seen.tobytes(), len(seen), info["success"]))
    assert vector_episodes(pair, seeds, goals) == single
    assert all(won for _, _, won in single)
    assert vector_episodes(pair, 5, goals)[0] == single[0]


def test_an_ended_episode_stands_still_until_it_is_reset(pair):
    vector_episodes(pair, 0, "left")
    before = pair._observations.copy()
    observations, rewards, terminated, truncated, _infos = pair.step(np.ones((5, 4)))
    np.testing.assert_array_equal(observations, before)
    assert not rewards.any()
    assert (terminated | truncated).all()
    mask = np.array([False, True, False, False, True])
    observations, _ = pair.reset(seed=1, options={"reset_mask": mask, "goal": "right"})
    np.testing.assert_array_equal(observations[~mask], before[~mask])
    assert [pair.task.goal_name(goal) for goal in pair.goals] == ["left", "right", "left", "left", "right"]
    terminated, truncated = pair.step(np.zeros((5, 4)))[2:4]
    np.testing.assert_array_equal(terminated | truncated, ~mask)


def test_autoreset_on_the_next_step_keeps_the_goal():
    vector = gym.make_vec(GYM_ID, num_envs=2, num_workers=1)
    observations, _ = vector.reset(seed=0, options={"goal": "right"})
    for _ in range(25):
        observations, rewards, terminated, truncated, _ = vector.step(np.zeros((2, 4)))
    assert truncated.all()
    assert rewards.all()
    observations, rewards, terminated, truncated, infos = vector.step(np.ones((2, 4)))
    assert not (rewards.any())
    assert not terminated.any()
    assert not (truncated.any())
    assert not infos["success"].any()
    np.testing.assert_allclose(observations[:, :3], [(0.5, 0.0, 0.25)] * 2, atol=1e-3)
    np.testing.assert_array_equal(vector.goals, [(0.5, -0.2)] * 2)
    assert vector.step(np.zeros((2, 4)))[1].all()
    vector.close()


def test_an_episode_that_raises_fails_alone_and_says_so(pair):
    pair.reset(seed=0, options={"goal": "left"})
    actions = np.zeros((5, 4))
    actions[3, 2] = np.nan
    _, rewards, terminated, truncated, infos = pair.step(actions)
    np.testing.assert_array_equal(truncated, [False, False, False, True, False])
    assert not terminated.any()
    assert not infos["success"].any()
    assert rewards[3] == 0.0
    assert "NaN" in infos["error"][3] or "nan" in infos["error"][3]
    assert [error is None for error in infos["error"]] == [True, True, True, False, True]
    assert "error" not in pair.step(np.zeros((5, 4)))[4]


def test_a_worker_that_dies_fails_its_episodes_and_is_replaced(pair):
    goals = pair.task.zones[[0, 1, 1, 0, 1]]
    expected = vector_episodes(pair, 40, goals)
    pair.reset(seed=0, options={"goal": "left"})
    os.kill(pair._workers[0].process.pid, signal.SIGKILL)
    _, _, _, truncated, infos = pair.step(np.zeros((5, 4)))
    np.testing.assert_array_equal(truncated, [True, True, True, False, False])
    assert "exit code -9" in infos["error"][0]
    assert infos["error"][4] is None
    assert vector_episodes(pair, 40, goals) == expected


def test_closing_ends_the_workers():
    vector = RavensManipulationVector(2, num_workers=2)
    processes = [worker.process for worker in vector._workers]
    assert [process.is_running for process in processes] == [True, True]
    vector.close()
    vector.close()
    assert [process.is_running for process in processes] == [False, False]


def test_wrong_use_of_many_is_named(pair):
    with pytest.raises(InputError, match="at least 1"):
        RavensManipulationVector(0)
    with pytest.raises(InputError, match="SAME_STEP"):
        RavensManipulationVector(1, autoreset_mode="SameStep")
    with pytest.raises(ArmError, match="known: panda, ur5"):
        RavensManipulationVector(2, arm="pand")
    with pytest.raises(GoalError, match="no zone at"):
        pair.reset(options={"goal": np.zeros((5, 2))})
    with pytest.raises(GoalError, match="one goal or 5"):
        pair.reset(options={"goal": np.tile((0.5, 0.2), (3, 1))})
    with pytest.raises(InputError, match="as many seeds"):
        pair.reset(seed=[1, 2])
    with pytest.raises(InputError, match="reset_mask"):
        pair.reset(options={"reset_mask": [True]})
    with pytest.raises(InputError, match=r"\(5, 4\)"):
        pair.step(np.zeros((4, 4)))
