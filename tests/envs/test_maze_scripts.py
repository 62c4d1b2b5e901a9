import numpy as np
import pytest

from pluralbench.envs import GoalError, environments, make_vector
from pluralbench.envs.maze.maps import TEN_GOALS, TWO_GOALS, load_map
from pluralbench.envs.maze.route_driver import RouteDriver
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.maze.waypoint_policy import collect

MAZE = environments.get("maze")
LARGE = load_map("large")


def run(script, goals, jobs, seeds):
    """Whether each of B whole episodes was a success and had reached its goal, and its states (801, B, 4)."""
    vector = make_vector(MAZE, len(goals))
    observations, _ = vector.reset(seed=list(seeds), options={"goal": np.asarray(goals, dtype=float)})
    script.begin(observations, np.asarray(jobs), np.asarray(seeds))
    seen, rows = [observations], np.arange(len(goals))
    for _ in range(MazeTask.max_episode_steps):
        observations, _, _, truncated, infos = vector.step(script.act(observations, rows))
        seen.append(observations)
    vector.close()
    assert truncated.all()
    return infos["success"], infos["reached"], np.array(seen)


def tour_of(goals, starts):
    """(success, reached) of the tour of all goals, each (goals, starts), for users of each goal from equal starts."""
    seeds = np.tile(np.arange(starts), len(goals))
    jobs = np.zeros_like(seeds)
    success, reached, _ = run(MAZE.tour(np.array(goals)), np.repeat(goals, starts, axis=0), jobs, seeds)
    return success.reshape(len(goals), starts), reached.reshape(len(goals), starts)


def test_the_tour_of_two_goals_reaches_both_and_succeeds_with_one():
    success, reached = tour_of(TWO_GOALS, 40)
    assert reached.mean(axis=1).min() >= 0.95
    assert 0.4 <= success.mean() <= 0.55
    assert success.sum(axis=0).max() == 1


def test_the_tour_of_ten_goals_reaches_most_and_succeeds_with_few():
    success, reached = tour_of(TEN_GOALS, 20)
    assert reached.mean() >= 0.6
    assert success.mean() <= 0.15


def test_the_tour_goes_to_the_nearest_first_stops_there_and_stays_at_the_last():
    goals = np.array([(1, 1), (1, 4)])
    _, _, seen = run(MAZE.tour(goals), [(1, 1)], [0], [3])
    seen = seen[:, 0]
    start = LARGE.cell_index(seen[0, :2])
    steps = LARGE.steps[start, LARGE.cell_index(goals)]
    near, far = goals[steps.argsort()]
    assert steps[0] != steps[1]
    at_near, at_far = (np.linalg.norm(seen[:, :2] - goal, axis=1) < 0.1 for goal in (near, far))
    slow = np.linalg.norm(seen[:, 2:], axis=1) < 0.5
    assert (at_near & slow).any()
    assert (at_near & slow).argmax() < at_far.argmax()
    assert at_far[-200:].all()


def test_the_tour_goes_where_goals_are_fulfilled():
    goals = np.array([(7, 1, -1), (3, 8, 1)])
    success, reached, _ = run(MAZE.tour(goals), goals, [0, 1], [0, 0])
    assert reached.all()
    assert success.sum() == 1
    with pytest.raises(GoalError):
        MAZE.tour(np.array([(0, 0)]))


def test_the_behaviour_script_does_what_the_data_shows():
    num = 25
    _, _, seen = run(MAZE.behaviour(), [(7, 1)] * num, range(num), range(num))
    data = collect(20_000, seed=0)
    assert np.ptp(LARGE.cell_index(seen[:, :, :2]), axis=0).min() > 0
    speeds = [np.linalg.norm(states[..., 2:], axis=-1).ravel() for states in (seen, data.observations)]
    for share in (0.25, 0.5, 0.75):
        assert np.quantile(speeds[0], share) == pytest.approx(np.quantile(speeds[1], share), rel=0.2, abs=0.1)
    assert np.linalg.norm(seen[:, 0] - seen[:, 1], axis=1).max() > 1.0  # episodes differ


def test_the_planned_script_drives_to_where_its_reward_is_highest():
    task, grid = MAZE.make_task(), MAZE.state_grid()
    goals = task.goals(np.array(TEN_GOALS))
    script = MAZE.planner(task.utility(grid.observations[grid.reachable][None], goals[:, None]))
    np.testing.assert_array_equal(script.ends[..., :2], np.repeat(goals[:, None, :2], 46, axis=1))
    assert not script.ends[..., 2:].any()
    assert task.success(script.ends, goals[:, None]).all()
    jobs = np.repeat(np.arange(10), 4)
    success, reached, seen = run(script, goals[jobs], jobs, range(40))
    assert success.all()
    assert reached.all()
    assert np.linalg.norm(seen[-1, :, :2] - goals[jobs, :2], axis=1).max() < 0.02  # it stops at the point


def test_the_driver_runs_through_straight_lines_and_stops_at_the_point():
    driver, rows = RouteDriver(LARGE, 1), np.array([0])
    goal = LARGE.cell_index(np.array([3, 6]))
    driver.set_out(rows, np.array([[3.0, 1.0]]), LARGE.next_cell[:, goal][None], np.array([[2.9, 5.8]]))
    for column in (1.0, 2.0, 4.0):
        np.testing.assert_array_equal(driver.act(np.array([[2.9, column, 0.0, 0.0]]), rows), [[0.0, 1.0]])
        assert not driver.has_stopped(np.array([[3.0, column, 0.0, 0.0]]), rows)[0]
    assert driver.has_stopped(np.array([[2.9, 5.75, 0.0, 0.1]]), rows)[0]
    assert not driver.has_stopped(np.array([[2.9, 5.75, 0.0, 0.6]]), rows)[0]
