import numpy as np
import pytest

from pluralbench.envs.maze.maps import (
    HELD_OUT_GOALS,
    LAYOUTS,
    TEN_GOALS,
    TWO_GOALS,
    LayoutError,
    load_map,
    normalised_values,
    optimal_value,
)
from pluralbench.envs.maze.task import MazeTask
from pluralbench.envs.multigoal import GoalError, MultiGoalTask

LARGE = MazeTask("large")


def at(*positions):
    positions = np.array(positions, dtype=np.float32)
    return np.concatenate([positions, np.zeros_like(positions)], axis=-1)


def q_iteration(walls, goal, discount, num_iterations):
    """max_a Q of every free cell by Q-iteration: five moves, bumping into a wall stays, 1 for a move from the goal."""
    cells = [tuple(cell) for cell in np.argwhere(~walls)]
    value = dict.fromkeys(cells, 0.0)
    for _ in range(num_iterations):
        following = {}
        for row, col in cells:
            moves = [(row, col), (row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
            best = max(value[move] if not walls[move] else value[row, col] for move in moves)
            following[row, col] = float((row, col) == goal) + discount * best
        value = following
    return np.array([value[cell] for cell in cells])


@pytest.mark.parametrize("goal", [(7, 1), (3, 8)])
def test_values_are_those_of_q_iteration(goal):
    maze = load_map("large")
    column = int(maze.cell_index(np.array(goal)))
    brute = q_iteration(maze.walls, goal, 0.99, 500)
    np.testing.assert_allclose(optimal_value(maze.steps, 0.99, 500)[:, column], brute, rtol=1e-12)
    brute = (brute - brute.min()) / (brute.max() - brute.min())
    np.testing.assert_allclose(normalised_values(maze.steps)[:, column], brute, atol=1e-12)


def test_maps_have_the_sizes_of_d4rl():
    assert {name: len(load_map(name).free_cells) for name in LAYOUTS} == {
        "open": 15,
        "umaze": 7,
        "medium": 26,
        "large": 46,
    }
    assert load_map("large").own_goal == (7, 9)
    assert load_map("medium").own_goal == (6, 6)
    assert load_map("open").own_goal == (2, 3)
    with pytest.raises(LayoutError, match="large"):
        MazeTask("lage")


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_shortest_paths_are_consistent(layout):
    maze = load_map(layout)
    num = len(maze.free_cells)
    np.testing.assert_array_equal(maze.steps, maze.steps.T)
    here, goal = np.divmod(np.arange(num * num), num)
    after = maze.next_cell[here, goal]
    move = np.abs(maze.free_cells[after] - maze.free_cells[here]).sum(axis=1)
    np.testing.assert_array_equal(move, here != goal)
    np.testing.assert_array_equal(maze.steps[after, goal], np.maximum(maze.steps[here, goal] - 1, 0))


def test_cells_are_the_squares_between_the_walls():
    maze = load_map("large")
    for index, cell in enumerate(maze.free_cells):
        corners = cell - 0.7 + np.array([[0.001, 0.001], [0.001, 0.999], [0.999, 0.001], [0.999, 0.999]])
        assert (maze.cell_index(corners) == index).all()
        assert maze.cell_index(cell) == index  # D4RL's point of the cell
    # PointMaze_Large-v3 has the middle of cell (row, col) at (col - 5.5, 4 - row), and x = q1 - 5.3, y = 3.8 - q0
    row, col = maze.free_cells.T
    middle = np.stack([3.8 - (4 - row), (col - 5.5) + 5.3], axis=1)
    np.testing.assert_allclose(middle, maze.free_cells - 0.7 + 0.5)


def test_no_position_takes_the_value_of_a_wall():
    """Pitfall 12: positions that round to a wall, or that lie in one, take the value of the cell they belong to."""
    goal = LARGE.goal((7, 1))
    for (row, col), wrong in [((0.45, 3.0), (0, 3)), ((2.29, 1.0), None), ((6.31, 1.0), (6, 1))]:
        assert LARGE.map.is_free(np.array([row, col]))
        if wrong is not None:
            assert LARGE.map.walls[wrong]
        cell = np.floor([row + 0.7, col + 0.7])
        assert LARGE.utility(at((row, col)), goal) == LARGE.utility(at(cell), goal)
    # 5 cm inside the wall between (1, 4) and (1, 6), from either side, and outside the whole map
    assert LARGE.utility(at((0.8, 4.35)), goal) == LARGE.utility(at((1, 4)), goal)
    assert LARGE.utility(at((0.8, 5.25)), goal) == LARGE.utility(at((1, 6)), goal)
    assert LARGE.utility(at((9.0, 12.0)), goal) == LARGE.utility(at((7, 10)), goal)
    assert LARGE.utility(at((1, 4)), goal) != LARGE.utility(at((1, 6)), goal)


def test_utility_is_one_at_the_goal_and_falls_with_every_step():
    generator = np.random.default_rng(0)
    positions = LARGE.map.low + generator.random((20_000, 2)) * (LARGE.map.high - LARGE.map.low)
    for goal in (*TEN_GOALS, *HELD_OUT_GOALS):
        utility = LARGE.utility(at(*positions), LARGE.goal(goal))
        assert utility.dtype == np.float32
        assert utility.min() >= 0.0
        assert utility.max() <= 1.0
        assert LARGE.utility(at(goal), LARGE.goal(goal)) == 1.0
        steps = LARGE.map.steps[int(LARGE.map.cell_index(np.array(goal)))]
        order = np.argsort(steps)
        values = LARGE.utility(at(*LARGE.map.free_cells), LARGE.goal(goal))[order]
        np.testing.assert_array_equal(np.sign(np.diff(values)), -np.sign(np.diff(steps[order])))
        assert values[-1] == 0.0


def test_many_goals_broadcast_against_many_observations():
    assert isinstance(LARGE, MultiGoalTask)
    generator = np.random.default_rng(1)
    goals = LARGE.sample_goals(5, generator)
    goals[::2, 2] = -1.0
    observations = at(*LARGE.sample_goals(7, generator)[:, :2])
    utility = LARGE.utility(observations[None], goals[:, None])
    success = LARGE.success(observations[None], goals[:, None])
    assert utility.shape == success.shape == (5, 7)
    for row in range(5):
        for column in range(7):
            assert utility[row, column] == LARGE.utility(observations[column], goals[row])
            assert success[row, column] == LARGE.success(observations[column], goals[row])


def test_at_the_goal_is_within_its_cell_or_half_a_metre_of_its_point():
    goal = LARGE.goal((7, 9))
    positions = at((7.0, 8.51), (7.0, 8.31), (7.0, 8.29), (6.55, 9.25), (6.55, 9.35), (7.0, 9.49), (7.0, 9.51))
    reached = [True, False, False, False, False, True, False]
    success = [True, True, False, True, False, True, False]  # the cell is 6.3 to 7.3 by 8.3 to 9.3
    np.testing.assert_array_equal(LARGE.reached(positions, goal), reached)
    np.testing.assert_array_equal(LARGE.success(positions, goal), success)


def test_every_state_of_highest_utility_is_a_success():
    generator = np.random.default_rng(2)
    goals = LARGE.sample_goals(20, generator)
    goals[::2, 2] = -1.0
    observations = at(*(LARGE.map.low + generator.random((2_000, 2)) * (LARGE.map.high - LARGE.map.low)))
    best = LARGE.utility(observations[None], goals[:, None]) == 1.0
    assert best.any(axis=1).all()
    assert LARGE.success(observations[None], goals[:, None])[best].all()


def test_away_from_a_goal_is_the_opposite():
    goal = LARGE.goal((7, 1))
    away = LARGE.opposite(goal)
    np.testing.assert_array_equal(away, LARGE.goal((7, 1, -1)))
    np.testing.assert_array_equal(LARGE.opposite(away), goal)
    observations = at(*LARGE.map.free_cells)
    np.testing.assert_allclose(LARGE.utility(observations, goal) + LARGE.utility(observations, away), 1.0, atol=1e-6)
    steps = LARGE.map.steps[int(LARGE.map.cell_index(goal[:2]))]
    np.testing.assert_array_equal(LARGE.success(observations, away), steps == steps.max())
    np.testing.assert_array_equal(LARGE.utility(observations, away) == 1.0, steps == steps.max())


def test_ties_for_the_furthest_cell_all_count():
    task = MazeTask("medium")
    ties = (task.map.steps == task.map.steps.max(axis=1, keepdims=True)).sum(axis=1)
    tied = int(np.argmax(ties))
    assert ties[tied] >= 2
    goal = task.goal((*task.map.free_cells[tied], -1))
    assert task.success(at(*task.map.free_cells), goal).sum() == len(task.targets(goal)) == ties[tied]


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ((0, 0), r"\(0, 0\) lies in a wall.*nearest free cells are \(1, 1\)"),
        ((6, 1), "wall"),
        ((40, 1), "outside"),
        ((7, 1, 0.5), "valence"),
        ((7,), "finite numbers"),
        ((7, np.nan), "finite numbers"),
        (7, "finite numbers"),
        ("seven", r"\(row, col\)"),
        (((7, 1), (7, 10)), "one goal"),
    ],
)
def test_impossible_goals_are_refused(goal, message):
    with pytest.raises(GoalError, match=message) as error:
        LARGE.goal(goal)
    assert "\n" not in str(error.value)


def test_fractional_goals_are_positions():
    goal = LARGE.goal((6.5, 1.25))
    assert LARGE.goal_name(goal) == "(6.50, 1.25)"
    assert LARGE.utility(at((7, 1)), goal) == 1.0
    assert LARGE.success(at((6.5, 1.25)), goal)
    assert LARGE.goal_name(LARGE.goal((7, 1, -1))) == "away from (7, 1)"


def test_sampled_goals_fill_what_the_ball_can_reach():
    goals = LARGE.sample_goals(46_000, np.random.default_rng(0))
    np.testing.assert_array_equal(goals, LARGE.sample_goals(46_000, np.random.default_rng(0)))
    np.testing.assert_array_equal(LARGE.goals(goals), goals)
    assert LARGE.map.is_reachable(goals[:, :2]).all()
    # a cell's share is its reachable area: estimated on a fine grid
    fine = np.stack(np.meshgrid(*(np.arange(0.005, 1.0, 0.01) - 0.7,) * 2), axis=-1).reshape(-1, 2)
    area = np.array([LARGE.map.is_reachable(cell + fine).mean() for cell in LARGE.map.free_cells])
    counts = np.bincount(LARGE.map.cell_index(goals[:, :2]), minlength=46)
    expected = len(goals) * area / area.sum()
    assert (np.abs(counts - expected) < 5.0 * np.sqrt(expected)).all()
    assert 0.8**2 <= area.min() < area.max() <= 1.0


def test_the_ball_reaches_to_its_radius_from_the_walls():
    maze = load_map("large")
    reachable = maze.is_reachable(np.array([[0.401, 1.0], [0.399, 1.0], [1.0, 1.0], [0.0, 1.0], [2.9, 3.21]]))
    np.testing.assert_array_equal(reachable, [True, False, True, False, True])


def test_named_goals_are_free_cells_of_the_large_map():
    assert set(TWO_GOALS) <= set(TEN_GOALS)
    assert len(set(TEN_GOALS)) == 10
    assert not set(TEN_GOALS) & set(HELD_OUT_GOALS)
    LARGE.goals(np.array([*TEN_GOALS, *HELD_OUT_GOALS]))
