import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import pluralbench.envs  # noqa: F401
from pluralbench.envs.maze.maps import LAYOUTS, load_map
from pluralbench.envs.maze.rendering import draw_maze
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.multigoal import GoalError

ID = "pluralbench/MazeNavigation-v0"


def make_vec(num_envs, **settings):
    return gym.make_vec(ID, num_envs, num_threads=2, **settings)


def test_vector_and_single_environments_agree_from_the_same_states():
    num = 6
    vector = make_vec(num, autoreset_mode="Disabled")
    goals = np.array([(7, 1), (7, 10), (1, 1), (1, 10), (3, 8), (5, 4)], dtype=float)
    vector.reset(seed=0, options={"goal": goals})
    states = vector._states.copy()
    states[4] = [3.0, 8.2, 0.0, 0.0]  # rests at its goal
    states[5] = [5.2, 4.0, 0.0, 0.0]  # is pushed away from its goal
    vector.reset(options={"state": states})
    singles = [gym.make(ID, goal=goal) for goal in goals]
    for single, state in zip(singles, states, strict=True):
        single.reset(seed=0, options={"state": state})
    generator = np.random.default_rng(0)
    for _ in range(60):
        actions = generator.uniform(-1.0, 1.0, size=(num, 2)).astype(np.float32)
        actions[4:] = [[0.0, 0.0], [1.0, 0.0]]
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        for row in range(num):
            observation, reward, end, cut, info = singles[row].step(actions[row])
            np.testing.assert_array_equal(observation, observations[row])
            assert reward == rewards[row]
            assert (end, cut) == (terminated[row], truncated[row]) == (False, False)
            for name in ("success", "is_success", "reached"):
                assert info[name] == infos[name][row]
            for name, term in info["reward_terms"].items():
                assert term == infos["reward_terms"][name][row]
    assert infos["success"].tolist() == [False] * 4 + [True, False]
    assert infos["reached"][4:].all()


def test_the_same_seed_gives_the_same_start_in_any_company():
    starts = [gym.make(ID).reset(seed=seed)[0] for seed in (3, 4, 5)]
    vector = make_vec(3)
    np.testing.assert_array_equal(vector.reset(seed=3)[0], starts)
    np.testing.assert_array_equal(make_vec(4).reset(seed=[9, 5, 8, 3])[0][[3, 1]], [starts[0], starts[2]])
    vector.reset(seed=7)
    one = vector.reset(seed=[None, 4, None], options={"reset_mask": np.array([False, True, False])})[0]
    np.testing.assert_array_equal(one[1], starts[1])


def push_through(num_steps, state, goal, actions):
    """(success, reached) after each step, of a single environment and of a vector that must agree."""
    single, vector = gym.make(ID), make_vec(1)
    single.reset(seed=0, options={"goal": goal, "state": state})
    vector.reset(seed=0, options={"goal": goal, "state": [state]})
    told = []
    for step in range(num_steps):
        action = np.array(actions(step), dtype=np.float32)
        _, _, terminated, _, info = single.step(action)
        infos = vector.step(action[None])[4]
        assert not terminated
        assert info["is_success"] is info["success"]
        told.append((info["success"], info["reached"]))
        assert told[-1] == (infos["success"][0], infos["reached"][0])
    return np.array(told)


def test_passing_by_the_goal_does_not_count():
    success, reached = push_through(150, [3.0, 1.0, 0.0, 0.0], (3, 3), lambda step: (0.0, 1.0)).T
    assert not success.any()
    assert not reached[0]
    assert reached[-1]
    assert (np.diff(reached.astype(int)) >= 0).all()


def test_success_takes_fifty_steps_at_the_goal_up_to_the_last():
    leaves = lambda step: (0.0, 1.0) if step >= 80 else (0.0, 0.0)  # noqa: E731
    success, reached = push_through(130, [3.0, 3.0, 0.0, 0.0], (3, 3), leaves).T
    assert not success[:49].any()
    assert success[49:80].all()
    assert not success[-1]  # it has left
    assert reached.all()


def test_success_counts_in_the_whole_cell_of_the_goal():
    corner = [2.45, 2.45, 0.0, 0.0]  # 0.78 m from the point of (3, 3), in whose cell it lies
    success, reached = push_through(60, corner, (3, 3), lambda step: (0.0, 0.0)).T
    assert success[49:].all()
    assert not reached.any()


def ends_of_episode(**settings):
    """What a ball that is pushed past its goal is told in 150 steps, by a single environment and a vector alike."""
    single, vector = gym.make(ID, **settings), make_vec(1, autoreset_mode="Disabled", **settings)
    options = {"goal": (3, 3), "state": [3.0, 1.0, 0.0, 0.0]}
    single.reset(seed=0, options=options)
    vector.reset(seed=0, options={**options, "state": [options["state"]]})
    steps = []
    for _ in range(150):
        action = np.array([0.0, 1.0], dtype=np.float32)
        observation, reward, terminated, truncated, info = single.step(action)
        observations, rewards, ends, cuts, infos = vector.step(action[None])
        np.testing.assert_array_equal(observation, observations[0])
        assert (reward, terminated, truncated) == (rewards[0], ends[0], cuts[0])
        assert all(info[name] == infos[name][0] for name in ("success", "is_success", "reached"))
        steps.append((*observation.tolist(), reward, terminated, info["success"], info["reached"]))
        if terminated:
            break
    return steps


def test_the_first_contact_ends_an_episode_that_shall_terminate_on_success():
    """As D4RL's radius says it; without the argument every number stays as it is."""
    without, told = ends_of_episode(), ends_of_episode(terminate_on_success=True)
    assert without == ends_of_episode(terminate_on_success=False)
    assert len(without) == 150
    assert not any(step[5] for step in without)
    assert [step[5] for step in told] == [False] * (len(told) - 1) + [True]
    assert 0 < len(told) < 100
    assert told[-1][6:] == (True, True)  # the contact is the success
    assert not any(step[6] or step[7] for step in told[:-1])
    for ended, went_on in zip(told, without, strict=False):
        assert ended[:5] == went_on[:5]
    assert 0.4 < 3.0 - told[-1][1] <= 0.5


def test_a_vector_that_terminates_starts_anew_on_the_next_step():
    vector = make_vec(2, terminate_on_success=True)
    states = np.array([[7.0, 1.52, 0.0, -5.0], [1.0, 1.0, 0.0, 0.0]])
    vector.reset(seed=0, options={"goal": (7, 1), "state": states})
    _, rewards, terminated, truncated, infos = vector.step(np.zeros((2, 2)))
    assert (terminated.tolist(), truncated.tolist()) == ([True, False], [False, False])
    assert infos["success"].tolist() == [True, False]
    assert rewards[0] >= 1.0
    _, rewards, terminated, _, infos = vector.step(np.zeros((2, 2)))
    assert not terminated.any()
    assert rewards[0] == 0.0
    assert not infos["success"].any()
    assert vector._elapsed.tolist() == [0, 2]


def test_each_step_near_the_goal_pays_one():
    env = gym.make(ID)
    env.reset(seed=0, options={"goal": (7, 1), "state": [7.0, 1.52, 0.0, -5.0]})
    for steps in range(3):
        _, reward, _, _, info = env.step(np.zeros(2, dtype=np.float32))
        assert info["reward_terms"] == {"near_goal": 1.0, "progress": pytest.approx(reward - 1.0)}
        if steps == 0:  # from (7, 2), at column 1.47, into the goal's cell
            seen = np.array([[7.0, 1.52, 0, 0], [7.0, 1.47, 0, 0]])
            utility = MazeTask().utility(seen, np.array([7.0, 1.0, 1.0]))
            assert reward == pytest.approx(1.0 + utility[1] - utility[0])


def test_progress_adds_up_to_the_utility_gained():
    env = gym.make(ID, goal=(7, 10, -1))
    observation, _ = env.reset(seed=1)
    task = MazeTask()
    first, total = task.utility(observation, task.goal((7, 10, -1))), 0.0
    env.action_space.seed(0)
    action = env.action_space.sample()
    for step in range(200):
        action = env.action_space.sample() if step % 25 == 0 else action
        observation, _, _, _, info = env.step(action)
        total += info["reward_terms"]["progress"]
    assert total == pytest.approx(task.utility(observation, task.goal((7, 10, -1))) - first, abs=1e-6)
    assert total != 0.0


def test_the_limit_of_800_steps_truncates():
    single, vector = gym.make(ID), make_vec(2)
    assert single.spec.max_episode_steps == vector.max_episode_steps == 800
    short = make_vec(2, max_episode_steps=3)
    short.reset(seed=0, options={"goal": (7, 10), "state": np.array([[1.0, 1.0, 0, 0], [7.0, 10.0, 0, 0]])})
    for step in range(3):
        _, _, terminated, truncated, infos = short.step(np.zeros((2, 2)))
        assert truncated.tolist() == [step == 2] * 2
        assert not terminated.any()
    assert infos["reached"].tolist() == [False, True]
    assert not infos["success"].any()


def one_of_two_ends(**settings):
    """A vector of two after the last step of its first maze's episode, and what that step gave."""
    vector = make_vec(2, max_episode_steps=3, **settings)
    states = np.array([[7.0, 1.52, 0.0, -5.0], [1.0, 1.0, 0.0, 0.0]])
    vector.reset(seed=0, options={"goal": (7, 1), "state": states})
    vector.step(np.zeros((2, 2)))
    vector.reset(options={"state": states, "reset_mask": np.array([False, True])})
    vector.step(np.zeros((2, 2)))
    return vector, vector.step(np.zeros((2, 2)))


def test_next_step_autoreset_starts_anew_on_the_following_step():
    vector, (_, _, terminated, truncated, infos) = one_of_two_ends()
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert truncated.tolist() == infos["reached"].tolist() == [True, False]
    observations, rewards, terminated, truncated, infos = vector.step(np.ones((2, 2)))
    assert not terminated.any()
    assert truncated.tolist() == [False, True]
    assert rewards[0] == infos["reward_terms"]["near_goal"][0] == infos["reward_terms"]["progress"][0] == 0.0
    assert not infos["reached"][0]
    cell = np.round(observations[0, :2])
    assert not load_map("large").walls[tuple(cell.astype(int))]
    assert np.abs(observations[0, :2] - cell).max() <= 0.1
    assert vector._elapsed.tolist() == [0, 3]
    np.testing.assert_array_equal(vector.goals, [[7, 1, 1], [7, 1, 1]])


def test_disabled_autoreset_leaves_ended_episodes_alone():
    vector, (final, _, _, truncated, _) = one_of_two_ends(autoreset_mode=AutoresetMode.DISABLED)
    simulated = []
    step = vector._physics.step
    vector._physics.step = lambda states, actions: simulated.append(len(states)) or step(states, actions)
    for _ in range(3):
        observations, rewards, terminated, truncated, infos = vector.step(np.ones((2, 2)))
        np.testing.assert_array_equal(observations[0], final[0])
        assert (rewards[0], terminated[0], truncated[0], infos["reached"][0]) == (0.0, False, True, True)
        assert (observations[1] != final[1]).any()
    assert simulated == [1, 0, 0]
    before = vector._states.copy()
    observations, infos = vector.reset(options={"reset_mask": np.array([True, False]), "goal": (7, 10)})
    assert not infos["reached"][0]
    assert (observations[0] != final[0]).any()
    np.testing.assert_array_equal(vector._states[1:], before[1:])
    np.testing.assert_array_equal(vector.goals, [[7, 10, 1], [7, 1, 1]])
    assert vector.step(np.ones((2, 2)))[3].tolist() == [False, True]
    assert vector._elapsed.tolist() == [1, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"reset_mask": np.zeros(2, dtype=bool)},
        {"reset_mask": [True, False]},
        {"reset_mask": np.ones(3, dtype=bool)},
        {"goal": np.ones((3, 2))},
        {"state": np.zeros((3, 4))},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="maze: "):
        make_vec(2).reset(options=options)


def test_a_wrong_state_is_refused():
    with pytest.raises(ValueError, match="state"):
        gym.make(ID).reset(options={"state": [1.0, 1.0]})


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="SAME_STEP"):
        make_vec(2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="num_envs"):
        make_vec(0)
    with pytest.raises(GoalError):
        gym.make(ID, goal=(0, 0))


def test_starts_are_those_of_d4rl():
    vector = make_vec(4600)
    observations, _ = vector.reset(seed=3)
    offset = observations[:, :2] - np.round(observations[:, :2])
    assert np.abs(offset).max() <= 0.1
    assert np.abs(offset).max() > 0.099
    counts = np.bincount(load_map("large").cell_index(observations[:, :2]), minlength=46)
    assert (np.abs(counts - 100) < 50).all()
    assert np.std(observations[:, 2:]) == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(observations, vector.reset(seed=3)[0])


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_pictures_show_ball_goal_and_walls(layout):
    env = gym.make(ID, layout=layout, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    maze = env.unwrapped.task.map
    assert first.shape == (32 * maze.walls.shape[0], 32 * maze.walls.shape[1], 3)
    middles = first[16::32, 16::32].astype(int).sum(axis=-1)  # the middle of every cell
    assert middles[maze.walls].max() < middles[~maze.walls].min()
    for _ in range(30):
        env.step(np.array([1.0, 1.0], dtype=np.float32))
    assert (env.render() != first).any()
    task = env.unwrapped.task
    position = maze.free_cells[0].astype(float)
    near, away = (draw_maze(task, task.goal((*maze.own_goal, sign)), position, position[None]) for sign in (1, -1))
    assert (near != away).any()


def test_the_vector_environment_draws_each_of_its_mazes():
    vector = make_vec(2, render_mode="rgb_array")
    vector.reset(seed=0)
    vector.step(np.ones((2, 2)))
    one, other = vector.render()
    assert one.shape == other.shape == (288, 384, 3)
    assert (one != other).any()
    vector.close()
