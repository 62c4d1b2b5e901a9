"""The two household environments: what they show, what they reward, and many of them at once."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env as gymnasium_check
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as sb3_check

import pluralbench.envs  # noqa: F401
from pluralbench.envs.environments import environments
from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.environment import ActionError
from pluralbench.envs.household.flat import CONTAINERS, PLACES
from pluralbench.envs.household.rearrange import HabitatRearrange
from pluralbench.envs.household.simulator import resting_place
from pluralbench.envs.household.tidy import NUM_MISPLACED, NUM_PLACED, HabitatTidy
from pluralbench.envs.multigoal import GoalError

NAMES = ("habitat-rearrange", "habitat-tidy")
STEPS = {"habitat-rearrange": 1, "habitat-tidy": NUM_MISPLACED}
FUNCTION, MATERIAL = np.eye(5)[0], np.eye(5)[1]


@pytest.fixture(scope="module", params=NAMES)
def env(request):
    made = gym.make(environments.get(request.param).gym_id).unwrapped
    yield made
    made.close()


@pytest.fixture(scope="module")
def rearrange():
    made = HabitatRearrange()
    yield made
    made.close()


@pytest.fixture(scope="module")
def tidy():
    made = HabitatTidy()
    yield made
    made.close()


@pytest.mark.parametrize("name", NAMES)
def test_both_checkers_pass_without_a_warning(name):
    identifier = environments.get(name).gym_id
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gym.make(identifier, render_mode="rgb_array")
        gymnasium_check(made.unwrapped)
        made.close()
        made = gym.make(identifier)
        sb3_check(made)
        made.close()


def greedy(env, observation) -> int:
    """The best action for a robot that knows its user."""
    return int(env.task.utility(env.task.outcomes(observation), env.goal).argmax())


def run(env, seed=None, goal=None, act=greedy):
    options = {} if goal is None else {"goal": goal}
    observation, info = env.reset(seed=seed, options=options)
    ended, rewards = False, []
    while not ended:
        observation, reward, ended, truncated, info = env.step(act(env, observation))
        assert not truncated
        assert reward == pytest.approx(sum(info["reward_terms"].values()))
        assert env.observation_space.contains(observation)
        rewards.append(reward)
    return info, rewards


def test_who_knows_the_user_succeeds_and_who_does_the_opposite_fails(env):
    def worst(env, observation):
        return int(env.task.utility(env.task.outcomes(observation), env.goal).argmin())

    env.reset(seed=4)
    successes = [run(env)[0]["success"] for _ in range(40)]
    assert np.mean(successes) >= 0.97
    assert not any(run(env, act=worst)[0]["success"] for _ in range(10))


def test_the_same_seed_gives_the_same_episode(env):
    def episode(seed):
        generator = np.random.default_rng(5)
        seen = [env.reset(seed=seed)[0]]
        ended = False
        while not ended:
            observation, _, ended, _, _ = env.step(int(generator.integers(2)))
            seen.append(observation)
        return np.stack(seen), np.concatenate([pose.position for pose in env._state.objects.values()])

    first = episode(11)
    episode(12)
    again = episode(11)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1][:3], episode(12)[1][:3])


def test_a_step_after_the_end_and_actions_out_of_range_are_refused(env):
    env.reset(seed=0)
    for action in (env.task.action_size, -1, 0.5, np.nan, [0, 1]):
        with pytest.raises(ActionError, match="is out of range; choose a whole number from 0 to") as caught:
            env.step(action)
        assert env.task.choices[0] in str(caught.value)
    run(env)
    with pytest.raises(ResetNeeded, match="call reset"):
        env.step(0)
    with pytest.raises(GoalError):
        env.reset(options={"goal": (9, 9)})


def test_the_goal_is_hidden_and_holds_until_another_is_set(env):
    goals = env.task.sample_goals(2, np.random.default_rng(3))
    for actions in ((0, 1, 0, 1), (1, 0, 0, 1)):
        seen = []
        for goal in goals:
            seen.append(env.reset(seed=8, options={"goal": goal})[0])
            seen += [env.step(action)[0] for action in actions[: STEPS[env.task.name]]]
        first, second = np.split(np.stack(seen), 2)
        assert np.array_equal(first, second)  # what is seen does not depend on who the user is
    env.reset()
    assert np.array_equal(env.goal, goals[1])
    assert env.observation_space.shape == (env.task.observation_size,)


def test_rearrange_shows_where_the_object_rests(rearrange):
    rearrange.reset(seed=1)
    for action, place in enumerate(PLACES):
        before, _ = rearrange.reset(options={"goal": np.roll(np.arange(5), -action)})
        after, reward, terminated, _, info = rearrange.step(action)
        assert terminated
        assert reward == 1.0
        assert info["success"]
        assert info["rests_on"] == action
        assert after[3:8].tolist() == np.eye(5)[action].tolist()
        assert np.array_equal(before[8:14], after[8:14])
        pose = rearrange._state.objects[rearrange._object]
        assert resting_place(rearrange._object, pose, rearrange.simulator.receptacles()) == place
        assert after[:3] == pytest.approx(pose.position, abs=1e-5)
        expected = rearrange.task.outcomes(before)[action]
        assert np.abs(expected - after).max() < 1.0  # m; the place itself is up to so large


def test_rearrange_counts_what_slides_off_as_a_failure(rearrange, monkeypatch):
    monkeypatch.setattr(
        "pluralbench.envs.household.environment.free_spot", lambda name, place, others, generator: (0.0, -0.37)
    )
    rearrange.reset(seed=2, options={"goal": (2, 0, 1, 3, 4)})
    after, reward, terminated, _, info = rearrange.step(2)
    assert terminated
    assert info["rests_on"] == -1
    assert not info["success"]
    assert reward == 0
    assert after[3:8].sum() == 0
    again, info = rearrange.reset(options={"continue": True})
    assert np.array_equal(again, after)
    assert info["rests_on"] == -1


def test_rearrange_continues_from_where_it_ended(rearrange):
    rearrange.reset(seed=3)
    after = rearrange.step(1)[0]
    before, info = rearrange.reset(options={"continue": True, "goal": (1, 0, 2, 3, 4)})
    assert np.array_equal(before, after)
    assert info["success"]
    assert rearrange.step(4)[4]["rests_on"] == 4


def test_tidy_begins_with_some_objects_where_the_user_wants_them(tidy):
    for seed, goal in enumerate((FUNCTION, MATERIAL, -FUNCTION, np.array([0.1, 0.1, 0.6, 0.1, 0.1]))):
        observation, info = tidy.reset(seed=seed, options={"goal": goal})
        assert observation[:7].tolist() == [0] * 7
        assert not info["success"]
        assert info["num_agreed"] == info["num_disputed"] == NUM_MISPLACED // 2
        assert info["share_right"] == 0
        names = list(tidy.episode.objects)
        assert len(names) == NUM_MISPLACED + NUM_PLACED
        for name in names:
            place = resting_place(name, tidy._state.objects[name], tidy.simulator.receptacles())
            if name in tidy.episode.to_move:
                assert place not in CONTAINERS
            else:
                assert place == CONTAINERS[0 if np.dot(OBJECTS[name].attributes, goal) > 0 else 1]


def test_tidy_reports_agreed_and_disputed_objects_apart(tidy):
    def as_by_function(env, observation):
        return int(env.task.utility(env.task.outcomes(observation), FUNCTION).argmax())

    tidy.reset(seed=6)
    for _ in range(5):
        info, rewards = run(tidy, goal=MATERIAL, act=as_by_function)
        assert not info["success"]
        assert info["right_agreed"] == info["num_agreed"] == 2
        assert info["right_disputed"] == 0
        assert info["share_right"] == 0.5
        assert sorted(rewards) == [0, 0, 1, 1]
    info, _ = run(tidy, goal=MATERIAL)
    assert info["success"]
    assert info["share_right"] == 1


def test_what_was_reached_and_undone_is_told_apart_from_success(rearrange, tidy, monkeypatch):
    rearrange.reset(seed=3)
    rearrange.step(1)
    info = rearrange.reset(options={"continue": True, "goal": (1, 0, 2, 3, 4)})[1]
    assert (info["success"], info["reached"]) == (True, False)  # it lay there before anything was done
    info = rearrange.step(4)[4]
    assert (info["success"], info["is_success"], info["reached"]) == (False, False, False)
    assert rearrange.reset(options={"continue": True})[1]["reached"] is False

    tidy.reset(seed=6, options={"goal": MATERIAL})
    own_info = tidy._info
    for success, reached in ((False, False), (True, True), (False, True), (False, True)):
        monkeypatch.setattr(tidy, "_info", lambda success=success: {**own_info(), "success": success})
        info = tidy.step(0)[4]
        assert (info["success"], info["is_success"], info["reached"]) == (success, success, reached)


def test_rendering_shows_the_change(env):
    made = type(env)(env.simulator, render_mode="rgb_array")
    with pytest.raises(ResetNeeded):
        made.render()
    made.reset(seed=1)
    before = made.render()
    made.step(0)
    after = made.render()
    assert before.shape == (480, 640, 3)
    assert (before != after).any(-1).sum() > 50


@pytest.mark.parametrize("name", NAMES)
def test_vector_environments_do_what_single_ones_do(name):
    identifier = environments.get(name).gym_id
    vector = gym.make_vec(identifier, num_envs=3, autoreset_mode=AutoresetMode.DISABLED)
    single = gym.make(identifier).unwrapped
    goals = vector.task.sample_goals(3, np.random.default_rng(0))
    actions = np.random.default_rng(1).integers(vector.task.action_size, size=(STEPS[name], 3))
    observations, infos = vector.reset(seed=20, options={"goal": goals})
    together = [observations]
    for row in actions:
        observations, rewards, terminated, truncated, infos = vector.step(row)
        together.append(observations)
    assert terminated.all()
    assert not truncated.any()
    assert infos["success"].shape == (3,)
    assert infos["success"].dtype == bool
    for index in range(3):
        seen = [single.reset(seed=20 + index, options={"goal": goals[index]})[0]]
        for action in actions[:, index]:
            observation, reward, _, _, info = single.step(action)
            seen.append(observation)
        assert np.array_equal(np.stack(seen), np.stack(together)[:, index])
        assert reward == rewards[index]
        assert info["success"] == infos["success"][index]
    standing = vector.step(actions[0])  # ended episodes stand still
    assert np.array_equal(standing[0], observations)
    assert standing[1].tolist() == [0, 0, 0]
    assert standing[2].all()
    assert standing[4]["reward_terms"]["utility"].tolist() == [0, 0, 0]
    mask = np.array([False, True, False])
    observations, infos = vector.reset(seed=[0, 21, 0], options={"reset_mask": mask})
    assert np.array_equal(observations[1], together[0][1])
    assert np.array_equal(observations[0], standing[0][0])
    assert infos["_success"].tolist() == mask.tolist()
    vector.close()
    single.close()


@pytest.mark.parametrize("name", NAMES)
def test_vector_environments_start_anew_on_the_next_step_and_keep_their_goals(name):
    vector = gym.make_vec(environments.get(name).gym_id, num_envs=2)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    goals = vector.task.sample_goals(2, np.random.default_rng(2))
    vector.reset(seed=1, options={"goal": goals})
    for _ in range(STEPS[name]):
        observations, _, terminated, _, infos = vector.step(np.zeros(2, dtype=np.int64))
    assert terminated.all()
    after, rewards, terminated, _, infos = vector.step(np.zeros(2, dtype=np.int64))
    assert rewards.tolist() == [0, 0]
    assert not terminated.any()
    assert not np.array_equal(after, observations)
    assert infos["success"].shape == (2,)
    assert np.array_equal(np.stack([env.goal for env in vector.envs]), goals)
    with pytest.raises(GoalError, match="one goal or 2"):
        vector.reset(options={"goal": np.stack([goals[0]] * 3)})
    with pytest.raises(ValueError, match="reset_mask"):
        vector.reset(options={"reset_mask": np.zeros(2, dtype=bool)})
    with pytest.raises(ActionError, match="out of range"):
        vector.step(np.array([0, 99]))
    vector.close()


def test_an_episode_that_raises_is_a_failure_and_says_so(monkeypatch):
    vector = gym.make_vec(environments.get("habitat-tidy").gym_id, num_envs=2, autoreset_mode="Disabled")
    vector.reset(seed=1)

    def broken(name, receptacle):
        raise RuntimeError("the arm fell off")

    monkeypatch.setattr(vector.envs[1], "put", broken)
    _, rewards, terminated, truncated, infos = vector.step(np.zeros(2, dtype=np.int64))
    assert truncated.tolist() == [False, True]
    assert rewards[1] == 0
    assert infos["error"][1] == "RuntimeError: the arm fell off"
    assert not infos["error"][0]
    for _ in range(NUM_MISPLACED):
        _, _, terminated, truncated, infos = vector.step(np.zeros(2, dtype=np.int64))
    assert terminated.tolist() == [True, False]
    assert not infos["success"][1]
    vector.close()


def test_a_wrong_number_of_environments_or_mode_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        gym.make_vec("pluralbench/HabitatTidy-v0", num_envs=0)
    with pytest.raises(ValueError, match="SAME_STEP"):
        gym.make_vec("pluralbench/HabitatTidy-v0", num_envs=1, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="objects must be among bowl"):
        HabitatRearrange(objects=("spatula",))
