"""What every registered environment promises, whatever it simulates."""

import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from pluralbench.envs import GoalError, MultiGoalTask, environments, make_vector

NAMES = environments.names()
MORE_THAN_IS_SEEN = ("habitat-tidy", "maze")
"""Here success asks for more than one observation shows, of all placements or of fifty steps: it implies that one's."""
TOLD = ("success", "is_success", "reached")


@pytest.fixture(params=NAMES)
def environment(request):
    return environments.get(request.param)


@pytest.fixture
def task(environment):
    return environment.make_task()


@pytest.fixture
def env(environment):
    env = gym.make(environment.gym_id, render_mode="rgb_array")
    yield env
    env.close()


def goals_of(task, num_goals):
    return task.sample_goals(num_goals, np.random.default_rng(0))


def run(env, seed, num_steps, goal):
    """Everything that `num_steps` random steps return, episode after episode."""
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed, options={"goal": goal})
    seen = [(observation, 0.0, False, False, info)]
    for _ in range(num_steps):
        seen.append(env.step(env.action_space.sample()))
        if seen[-1][2] or seen[-1][3]:
            env.reset()
    return seen


def test_the_maze_is_registered():
    assert "maze" in NAMES


def test_gymnasium_finds_no_fault(environment):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(environment.gym_id, render_mode="rgb_array")
        check_env(env.unwrapped)
        env.close()


def test_stable_baselines_finds_no_fault(environment):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(environment.gym_id, render_mode="rgb_array")
        checker.check_env(env.unwrapped)
        env.close()


def test_spaces_and_limits_are_the_tasks(env, task):
    assert env.observation_space.shape == (task.observation_size,)
    space = env.action_space
    assert task.action_size == (space.n if isinstance(space, gym.spaces.Discrete) else space.shape[0])
    assert len(task.observation_names) == task.observation_size
    assert task.discrete_actions == isinstance(space, gym.spaces.Discrete)
    assert env.spec.max_episode_steps == task.max_episode_steps


def test_goals_are_taken_by_reset_and_refused_when_impossible(env, task):
    for goal in goals_of(task, 3):
        env.reset(seed=0, options={"goal": goal})
    with pytest.raises(GoalError):
        env.reset(seed=0, options={"goal": np.zeros(task.goal_size + 3)})
    with pytest.raises(GoalError):
        env.reset(seed=0, options={"goal": np.full(task.goal_size, np.nan)})


def test_the_goal_is_hidden(env, task):
    observations = [env.reset(seed=0, options={"goal": goal})[0] for goal in goals_of(task, 3)]
    np.testing.assert_array_equal(observations[0], observations[1])
    np.testing.assert_array_equal(observations[0], observations[2])


def test_every_step_tells_success_and_reward_terms(env, task):
    goal = goals_of(task, 1)[0]
    for observation, reward, _, _, info in run(env, 1, 40, goal)[1:]:
        success = bool(task.success(observation, goal))
        assert info["success"] <= success if task.name in MORE_THAN_IS_SEEN else info["success"] == success
        assert len(info["reward_terms"]) > 0
        assert reward == pytest.approx(sum(info["reward_terms"].values()), abs=1e-6)


def test_reset_and_every_step_tell_success_and_what_was_reached(env, task):
    for goal in goals_of(task, 3):
        _, info = env.reset(seed=2, options={"goal": goal})
        infos, ended = [info], False
        while not ended and len(infos) < 40:
            _, _, terminated, truncated, info = env.step(env.action_space.sample())
            infos.append(info)
            ended = terminated or truncated
        assert all(type(info[name]) is bool for info in infos for name in TOLD)
        assert all(info["is_success"] is info["success"] for info in infos)
        reached = np.array([info["reached"] for info in infos])
        assert (reached[1:] >= reached[:-1]).all()


def test_the_same_seed_gives_the_same_run(environment, task):
    goal = goals_of(task, 1)[0]
    runs = []
    for seed in (1, 1, 2):
        env = gym.make(environment.gym_id)
        runs.append(run(env, seed, 30, goal))
        env.close()
    for one, other in zip(runs[0], runs[1], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:4] == other[1:4]
    assert any((one[0] != other[0]).any() for one, other in zip(runs[0], runs[2], strict=True))


def test_it_can_be_seen(env):
    env.reset(seed=0)
    frame = env.render()
    assert frame.dtype == np.uint8
    assert frame.ndim == 3
    assert frame.shape[2] == 3
    assert min(frame.shape[:2]) >= 64
    assert frame.std() > 5.0


@pytest.mark.parametrize("autoreset_mode", list(gym.vector.AutoresetMode)[::2])
def test_make_vec_gives_many(environment, task, autoreset_mode):
    goals = goals_of(task, 3)
    vector = gym.make_vec(environment.gym_id, 3, autoreset_mode=autoreset_mode)
    try:
        assert vector.metadata["autoreset_mode"] is autoreset_mode
        vector.action_space.seed(0)
        for goal in (goals[0], goals):
            observations, _ = vector.reset(seed=0, options={"goal": goal})
            assert observations.shape == (3, task.observation_size)
        for _ in range(5):
            observations, rewards, terminated, truncated, infos = vector.step(vector.action_space.sample())
            assert observations in vector.observation_space
            assert rewards.shape == terminated.shape == truncated.shape == (3,)
            assert all(infos[name].shape == (3,) and infos[name].dtype == np.bool_ for name in TOLD)
            np.testing.assert_array_equal(infos["is_success"], infos["success"])
            success = task.success(observations, goals)
            if task.name in MORE_THAN_IS_SEEN:
                assert (infos["success"] <= success).all()
            else:
                np.testing.assert_array_equal(infos["success"], success)
    finally:
        vector.close()


def test_make_vec_repeats_itself(environment, task):
    runs = []
    for _ in range(2):
        vector = gym.make_vec(environment.gym_id, 2)
        vector.action_space.seed(3)
        vector.reset(seed=3, options={"goal": goals_of(task, 1)[0]})
        runs.append([vector.step(vector.action_space.sample())[0] for _ in range(4)])
        vector.close()
    np.testing.assert_array_equal(runs[0], runs[1])


def test_utilities_are_float32_in_the_unit_interval_and_broadcast(task, environment):
    assert isinstance(task, MultiGoalTask)
    goals = goals_of(task, 4)
    assert goals.shape == (4, task.goal_size)
    observations = environment.collect(60, 0).observations[:50]
    utility = task.utility(observations[None], goals[:, None])
    assert utility.shape == (4, 50)
    assert utility.dtype == np.float32
    assert 0.0 <= utility.min() <= utility.max() <= 1.0
    assert utility.std() > 0.0
    one_by_one = [[task.utility(observation, goal) for observation in observations] for goal in goals]
    np.testing.assert_array_equal(utility, np.array(one_by_one))
    success = task.success(observations[None], goals[:, None])
    assert success.shape == (4, 50)
    assert success.dtype == np.bool_


def test_opposite_goals_turn_utility_round(task, environment):
    goals = goals_of(task, 4)
    try:
        opposite = task.opposite(goals)
    except GoalError:
        pytest.skip(f"{task.name} has no opposite goals, and says so")
    observations = environment.collect(60, 0).observations
    total = task.utility(observations[None], goals[:, None]) + task.utility(observations[None], opposite[:, None])
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_goals_have_names_and_pass_their_own_check(task):
    goals = goals_of(task, 5)
    names = {task.goal_name(goal) for goal in goals}
    assert all(names)
    for goal in goals:
        np.testing.assert_array_equal(task.goal(goal), goal)


def test_behaviour_data_repeats_itself_in_whole_episodes(environment, task):
    first, second, other = (environment.collect(120, seed) for seed in (0, 0, 1))
    assert len(first) >= 120
    assert first.observations.shape[1] == task.observation_size
    assert first.actions.shape[1] == task.action_size
    for name in ("observations", "actions", "next_observations", "rewards", "terminals", "timeouts"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert first.observations.tobytes() != other.observations.tobytes()
    assert first.terminals[-1] or first.timeouts[-1]
    follows = (first.observations[1:] == first.next_observations[:-1]).all(axis=1)
    assert (follows | (first.terminals | first.timeouts)[:-1]).all()
    assert first.metadata


def test_goal_sets_hold_goals(task):
    for name, values in task.goal_sets.items():
        goals = np.stack([task.goal(value) for value in values])
        assert goals.shape == (len(values), task.goal_size), name
        assert len(np.unique(goals, axis=0)) == len(goals)
        assert len({task.goal_name(goal) for goal in goals}) == len(goals)


def test_the_state_grid_is_made_of_observations(environment, task):
    grid = environment.state_grid()
    assert grid.observations.shape == (np.prod(grid.shape), task.observation_size)
    assert grid.observations.dtype == np.float32
    assert [len(grid.row_names), len(grid.column_names)] in ([0, 0], [*grid.shape])
    utility = task.utility(grid.observations[grid.reachable][None], goals_of(task, 4)[:, None])
    assert (np.ptp(utility, axis=1) > 0.0).all()  # a picture of it shows what a user wants


def test_outcomes_are_observations_after_each_action(environment, task):
    if environment.outcomes is None:
        pytest.skip("no one-step outcome model")
    before = environment.collect(60, 0).observations[:12].reshape(3, 4, -1)
    outcomes = environment.outcomes(before)
    assert outcomes.shape == (3, 4, task.action_size, task.observation_size)
    assert outcomes.dtype == np.float32
    np.testing.assert_array_equal(environment.outcomes(before[0, 0]), outcomes[0, 0])


def test_features_name_columns_that_there_are(environment, task):
    assert all(0 <= column < task.observation_size for column in environment.features.columns)


def test_make_vector_leaves_ended_episodes_alone(environment, task):
    vector = make_vector(environment, 2)
    try:
        assert vector.metadata["autoreset_mode"] is gym.vector.AutoresetMode.DISABLED
        observations, infos = vector.reset(seed=0, options={"goal": goals_of(task, 2)})
        assert observations.shape == (2, task.observation_size)
        assert all(infos[name].dtype == np.bool_ for name in TOLD)
    finally:
        vector.close()


def _run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_ids_need_no_import_of_ours():
    ids = [environments.get(name).gym_id for name in NAMES]
    seen = _run_python(
        f"import gymnasium\nfor name in {ids}:\n"
        "    env = gymnasium.make(f'pluralbench:{name}')\n    env.reset(seed=0)\n    print(env.spec.id)"
    )
    assert [line for line in seen.splitlines() if line.startswith("pluralbench/")] == ids


def test_importing_the_environments_starts_nothing_heavy():
    heavy = ("mujoco", "pybullet", "habitat_sim", "torch", "h5py", "matplotlib", "scipy", "PIL")
    code = f"import pluralbench, sys; print([name for name in {heavy} if name in sys.modules])"
    look_up = "from pluralbench.envs import environments; [environments.get(name) for name in environments]"
    assert _run_python(code).strip() == _run_python(f"{look_up}; {code}").strip() == "[]"
