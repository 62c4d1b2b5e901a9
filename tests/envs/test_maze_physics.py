from pathlib import Path

import numpy as np
import pytest

from pluralbench.envs.maze.maps import load_map
from pluralbench.envs.maze.physics import CONTACT_MARGIN, MazePhysics, build_model

HERE = Path(__file__).parent
STEPS = np.loadtxt(HERE / "maze_steps_mujoco_2.csv", delimiter=",")
FLIGHTS = np.loadtxt(HERE / "maze_flights_mujoco_2.csv", delimiter=",")

MASS = 1000.0 * 4.0 / 3.0 * np.pi * 0.1**3


@pytest.fixture(scope="module")
def physics():
    return MazePhysics(load_map("large"), num_threads=2)


@pytest.mark.parametrize("walls_touched", [0, 1, 2])
def test_single_steps_are_those_of_d4rl_on_mujoco_2(physics, walls_touched):
    rows = STEPS[STEPS[:, 10] == walls_touched]
    assert len(rows) >= 8
    after = physics.step(rows[:, :4], rows[:, 4:6])
    np.testing.assert_allclose(after, rows[:, 6:10], rtol=0, atol=1e-9)


def test_flights_of_400_steps_are_those_of_d4rl_on_mujoco_2(physics):
    states, actions = FLIGHTS[:, :4], FLIGHTS[:, 4:44].reshape(-1, 20, 2)
    for step in range(400):
        states = physics.step(states, actions[:, step // 20])
    np.testing.assert_allclose(states, FLIGHTS[:, 44:], rtol=0, atol=1e-6)


def test_the_contact_fix_is_what_makes_them_agree():
    physics = MazePhysics(load_map("large"), num_threads=1)
    physics._model.body_invweight0[physics._model.body("ball").id, 0] = 1.0 / MASS  # what MuJoCo 3 computes
    touching = STEPS[STEPS[:, 10] > 0]
    assert np.abs(physics.step(touching[:, :4], touching[:, 4:6]) - touching[:, 6:10]).max() > 1e-2


def test_a_free_step_is_semi_implicit_euler_with_implicit_damping(physics):
    states = np.array([[1.0, 1.0, 0.3, -7.0], [3.0, 3.0, 6.0, 0.0]])
    actions = np.array([[0.4, -1.0], [2.0, 0.1]])
    velocity = np.clip(states[:, 2:], -5.0, 5.0)
    force = 100.0 * np.clip(actions, -1.0, 1.0) - velocity
    velocity = velocity + 0.01 * force / (MASS + 0.01)
    expected = np.concatenate([states[:, :2] + 0.01 * velocity, velocity], axis=1)
    np.testing.assert_allclose(physics.step(states, actions), expected, atol=1e-12)


def impedance(depth):
    """MuJoCo's default solimp (0.9, 0.95, 0.001, 0.5, 2) at `depth` metres inside the margin."""
    x = min(depth / 0.001, 1.0)
    y = 2.0 * x**2 if x <= 0.5 else 1.0 - 2.0 * (1.0 - x) ** 2
    return 0.9 + 0.05 * y


@pytest.mark.parametrize(("gap", "speed", "action"), [(0.0018, 0.2, 0.0), (0.0, 1.0, 0.7), (-0.01, -0.1, 1.0)])
def test_a_wall_contact_follows_mujoco_2_soft_constraint(physics, gap, speed, action):
    """A ball that moves along the columns into the wall right of cell (1, 4), whose face lies at column 4.3."""
    after = physics.step(np.array([[0.8, 4.3 - 0.1 - gap, 0.0, speed]]), np.array([[0.0, action]]))[0]
    depth = CONTACT_MARGIN - gap
    free = (100.0 * action - speed) / MASS  # acceleration towards the wall without it
    stiffness, damping = 1.0 / (0.95 * 0.02) ** 2, 2.0 / (0.95 * 0.02)
    wanted = damping * speed + stiffness * impedance(depth) * depth  # acceleration away from the wall
    # MuJoCo 2: inverse weight averaged over three axes of which the ball moves along two
    softness = (1.0 - impedance(depth)) / impedance(depth) * 2.0 / (3.0 * MASS)
    push = max(0.0, (wanted + free) / (1.0 / MASS + softness))
    expected = speed + 0.01 * (MASS * free - push) / (MASS + 0.01)
    assert push > 0.0
    assert after[3] == pytest.approx(expected, abs=1e-9)
    assert after[1] == pytest.approx(4.2 - gap + 0.01 * expected, abs=1e-9)


def test_point_maze_large_flies_alike():
    """The confirmed mapping to gymnasium-robotics: x = col - 5.3, y = 3.8 - row, action (a1, -a0)."""
    gym = pytest.importorskip("gymnasium")
    robotics = pytest.importorskip("gymnasium_robotics")
    gym.register_envs(robotics)
    theirs = gym.make("PointMaze_Large-v3").unwrapped.point_env
    ours = MazePhysics(load_map("large"), num_threads=1)
    state = np.array([[5.0, 6.0, 0.1, -0.2]])
    theirs.reset(seed=0)
    theirs.set_state(np.array([6.0 - 5.3, 3.8 - 5.0]), np.array([-0.2, -0.1]))
    generator = np.random.default_rng(0)
    for _ in range(60):
        action = 0.3 * generator.uniform(-1.0, 1.0, size=2)
        state = ours.step(state, action[None])
        x, y, x_velocity, y_velocity = theirs.step(np.array([action[1], -action[0]]))[0]
        assert theirs.data.ncon <= 1  # the ground at most, which does not hinder
        np.testing.assert_allclose(state[0], [3.8 - y, x + 5.3, -y_velocity, x_velocity], atol=1e-9)
    assert np.abs(state[0, :2] - [5.0, 6.0]).max() > 0.05


def test_threads_company_and_history_do_not_matter():
    maze = load_map("large")
    generator = np.random.default_rng(0)
    states = np.concatenate([maze.free_cells + generator.uniform(-0.5, 0.15, (46, 2)), np.zeros((46, 2))], axis=1)
    actions = generator.uniform(-1.0, 1.0, size=(46, 2))
    one, three = MazePhysics(maze, num_threads=1), MazePhysics(maze, num_threads=3)
    together = three.step(states, actions)
    three.step(together, -actions)
    np.testing.assert_array_equal(one.step(states, actions), together)
    np.testing.assert_array_equal(three.step(states[5:9], actions[5:9]), together[5:9])
    assert one.step(np.zeros((0, 4)), np.zeros((0, 2))).shape == (0, 4)


def test_walls_hold_the_hardest_push():
    maze = load_map("large")
    physics = MazePhysics(maze, num_threads=1)
    states = np.concatenate([maze.free_cells, np.zeros((46, 2))], axis=1).astype(float)
    generator = np.random.default_rng(1)
    for step in range(300):
        if step % 30 == 0:
            actions = generator.choice([-1.0, 1.0], size=(46, 2))
        states = physics.step(states, actions)
        assert maze.is_free(states[:, :2]).all()


def test_an_action_that_is_no_number_is_refused(physics):
    with pytest.raises(ValueError, match="finite"):
        physics.step(np.zeros((1, 4)), np.array([[np.nan, 0.0]]))


@pytest.mark.parametrize("layout", ["umaze", "medium"])
def test_other_layouts_build_and_block(layout):
    maze = load_map(layout)
    model = build_model(maze)
    assert model.ngeom == maze.walls.sum() + 1
    physics = MazePhysics(maze, num_threads=1)
    state = np.array([[*maze.own_goal, 0.0, 0.0]], dtype=float)
    for _ in range(100):
        state = physics.step(state, np.array([[-1.0, 0.0]]))
    assert maze.is_free(state[:, :2]).all()
