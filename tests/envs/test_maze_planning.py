import numpy as np
import pytest

from pluralbench.envs.maze.maps import load_map
from pluralbench.envs.maze.planning import CELL_STEPS, best_moves, cell_rewards, ends_of
from pluralbench.envs.maze.task import MazeTask

TASK = MazeTask()
LARGE = load_map("large")
NUM = len(LARGE.free_cells)


def cell(*position):
    return int(LARGE.cell_index(np.array(position)))


def one_hot(*cells):
    return np.eye(NUM)[[cell(*position) for position in cells]]


def value_of(moves, rewards, rate):
    """Value (M,) of going on by `moves` (M,) for ever: the solution of V = r + rate P V."""
    return np.linalg.solve(np.eye(NUM) - rate * np.eye(NUM)[moves], rewards)


def test_a_cells_reward_is_the_mean_over_its_points_of_the_grid():
    grid = TASK.state_grid()
    states = grid.observations[grid.reachable]
    utility = TASK.utility(states[None], TASK.goals(LARGE.free_cells)[:, None])
    np.testing.assert_allclose(cell_rewards(TASK, utility), TASK._utility, atol=1e-6)
    slope = cell_rewards(TASK, states[None, :, 0] + 0.5 * states[None, :, 1])[0]
    middles = LARGE.free_cells - 0.2
    np.testing.assert_allclose(slope, middles @ (1.0, 0.5), atol=1e-5)
    with pytest.raises(ValueError, match="rewards"):
        cell_rewards(TASK, utility[:, :-1])


@pytest.mark.parametrize("kind", ["utility", "one cell"])
def test_the_best_way_to_a_single_best_cell_is_the_shortest_and_ends_there(kind):
    rewards = TASK._utility.astype(float) if kind == "utility" else np.eye(NUM)
    moves = best_moves(LARGE, rewards)
    goals = np.arange(NUM)
    for goal in goals:
        np.testing.assert_array_equal(LARGE.steps[moves[goal], goal], np.maximum(LARGE.steps[:, goal] - 1, 0))
    np.testing.assert_array_equal(ends_of(moves), np.repeat(goals[:, None], NUM, axis=1))


def test_no_single_change_of_a_move_makes_random_rewards_add_up_to_more():
    generator = np.random.default_rng(0)
    rewards, rate = generator.standard_normal((5, NUM)), 0.99**CELL_STEPS
    for own, moves in zip(rewards, best_moves(LARGE, rewards), strict=True):
        values = value_of(moves, own, rate)
        for here in range(NUM):
            options = [here, *np.flatnonzero(LARGE.steps[here] == 1)]
            assert moves[here] in options
            assert values[moves[here]] >= max(values[options]) - 1e-9


def test_the_discount_weighs_a_near_good_cell_against_a_far_better_one():
    rewards = one_hot((7, 1)) + 3.0 * one_hot((7, 10))
    start = cell(7, 2)
    assert ends_of(best_moves(LARGE, rewards, 0.9))[0, start] == cell(7, 1)
    assert ends_of(best_moves(LARGE, rewards, 0.999))[0, start] == cell(7, 10)


def test_where_nothing_is_better_it_stays():
    np.testing.assert_array_equal(best_moves(LARGE, np.full((1, NUM), 0.3))[0], np.arange(NUM))
    pair = one_hot((3, 3)) + one_hot((3, 4))
    moves = best_moves(LARGE, pair)[0]
    assert (moves[cell(3, 3)], moves[cell(3, 4)]) == (cell(3, 3), cell(3, 4))


def test_a_way_ends_after_as_many_moves_as_there_are():
    moves = best_moves(LARGE, one_hot((7, 10)))
    start, far = cell(7, 10), int(LARGE.steps[cell(7, 10)].argmax())
    assert ends_of(moves, 3)[0, start] == start
    assert LARGE.steps[ends_of(moves, 3)[0, far], far] == 3
    to_and_fro = np.arange(NUM)[None].copy()
    to_and_fro[0, [cell(3, 3), cell(3, 4)]] = cell(3, 4), cell(3, 3)
    assert ends_of(to_and_fro, 3)[0, cell(3, 3)] == cell(3, 4)
