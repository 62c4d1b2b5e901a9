import importlib.metadata
from contextlib import closing
from pathlib import Path

import numpy as np
import pybullet
import pytest

from pluralbench.envs.ravens.arms import ArmError
from pluralbench.envs.ravens.table import Table
from pluralbench.envs.ravens.task import RavensTask

ZONES = RavensTask().zones


def random_episode(table, seed, steps=12):
    """The bytes of an episode in which the block is gripped, dropped and pushed by chance."""
    generator = np.random.default_rng(seed)
    table.reset(generator.uniform((0.45, -0.05), (0.55, 0.05)), generator.uniform(-0.7, 0.7))
    states = [table.state()]
    for _ in range(steps):
        near = states[-1][3:6] + generator.normal(0, 0.03, 3) + (0, 0, 0.02)
        table.step(np.clip(near, (0.25, -0.5, 0.0), (0.75, 0.5, 0.3)), suction=generator.random() < 0.7)
        states.append(table.state())
    return np.array(states)


@pytest.fixture
def table():
    with closing(Table(ZONES)) as table:
        yield table


def settle(table, target, suction, steps):
    for _ in range(steps):
        table.step(target, suction)
    return table.state()


def test_the_cup_reaches_its_target_within_the_speed_of_the_joints(table):
    table.reset((0.5, 0.0))
    first = settle(table, (0.6, -0.3, 0.1), False, 1)
    assert 0.05 < np.linalg.norm(first[:3] - (0.5, 0.0, 0.25)) < 0.3
    last = settle(table, (0.6, -0.3, 0.1), False, 5)
    np.testing.assert_allclose(last[:3], (0.6, -0.3, 0.1), atol=2e-3)


def test_pick_carry_drop(table):
    table.reset((0.52, 0.03), 0.5)
    settle(table, (0.52, 0.03, 0.12), True, 3)
    held = settle(table, (0.52, 0.03, 0.047), True, 3)
    assert held[6] == 1.0
    carried = settle(table, (0.5, 0.2, 0.25), True, 5)
    np.testing.assert_allclose(carried[3:6], (0.5, 0.2, 0.225), atol=5e-3)
    falling = settle(table, (0.5, 0.2, 0.25), False, 1)
    assert falling[6] == 0.0
    assert 0.03 < falling[5] < carried[5] - 0.02
    rested = settle(table, (0.5, 0.2, 0.25), False, 5)
    np.testing.assert_allclose(rested[3:6], (0.5, 0.2, 0.025), atol=0.01)


def test_suction_is_a_level_and_grips_only_what_it_touches(table):
    table.reset((0.5, 0.0))
    assert settle(table, (0.5, 0.0, 0.08), True, 4)[6] == 0.0, "suction in the air"
    assert settle(table, (0.5, 0.0, 0.047), False, 3)[6] == 0.0, "touch without suction"
    assert settle(table, (0.5, 0.0, 0.047), True, 1)[6] == 1.0
    assert settle(table, (0.5, 0.0, 0.15), True, 3)[6] == 1.0
    assert settle(table, (0.5, 0.0, 0.15), False, 1)[6] == 0.0
    table.reset((0.5, 0.0))
    assert settle(table, (0.57, 0.0, 0.047), True, 5)[6] == 0.0, "suction beside the block"


def test_the_block_can_be_pushed_and_falls_off_the_edge(table):
    table.reset((0.5, 0.0))
    settle(table, (0.4, 0.0, 0.03), False, 5)
    pushed = settle(table, (0.6, 0.0, 0.03), False, 5)
    assert pushed[3] > 0.55
    assert pushed[5] == pytest.approx(0.025, abs=5e-3)
    table.reset((0.91, 0.0))  # over the table's edge at 0.9
    assert settle(table, (0.5, 0.0, 0.25), False, 6)[5] < -0.2


def test_a_block_held_at_the_table_is_not_crushed_through_it(table):
    table.reset((0.5, 0.0))
    pressed = settle(table, (0.5, 0.0, 0.0), True, 8)
    assert pressed[5] > 0.02


def test_an_episode_depends_on_nothing_before_it():
    seeds = range(6)
    fresh = []
    for seed in seeds:
        with closing(Table(ZONES)) as table:
            fresh.append(random_episode(table, seed).tobytes())
    with closing(Table(ZONES)) as table:
        order = np.random.default_rng(0).integers(6, size=40)
        for count, seed in enumerate(order):
            if count % 3 == 0:
                random_episode(table, seed, steps=int(count % 11) + 1)  # cut anywhere
            assert random_episode(table, seed).tobytes() == fresh[seed]
    gripped = [np.frombuffer(episode).reshape(-1, 7)[:, 6].any() for episode in fresh]
    assert any(gripped)
    assert not all(gripped)


def test_graphics_change_no_motion():
    with closing(Table(ZONES)) as plain, closing(Table(ZONES, graphics=True)) as seen:
        assert random_episode(plain, 3).tobytes() == random_episode(seen, 3).tobytes()
        before = seen.image(24, 32)
        assert random_episode(plain, 4).tobytes() == random_episode(seen, 4).tobytes()
        assert before.shape == (24, 32, 3)


def clients_in_use():
    return sum(pybullet.isConnected(client) for client in range(1024))


def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from Linux's /proc")
def test_a_thousand_resets_and_many_tables_leave_nothing_behind():
    before = clients_in_use()
    with closing(Table(ZONES)) as table:
        assert clients_in_use() == before + 1

        def resets(count):
            for number in range(count):
                table.reset((0.5, 0.0))
                grips = number % 5 == 4
                assert settle(table, (0.5, 0.0, 0.047), True, 4 if grips else 1)[6] == grips
            return table._bullet.getNumBodies(), table._bullet.getNumConstraints(), resident_pages()

        bodies, constraints, pages = resets(100)
        assert (constraints, clients_in_use()) == (1, before + 1)
        later = resets(900)
        assert later[:2] == (bodies, constraints)
        assert later[2] - pages < 512, "more than 2 MB after 900 resets"
    for _ in range(5):
        Table(ZONES).close()
    assert clients_in_use() == before


def test_closing_twice_and_a_failed_start_leak_no_client():
    before = clients_in_use()
    table = Table(ZONES)
    table.close()
    table.close()
    with pytest.raises(ArmError, match="known: panda, ur5"):
        Table(ZONES, "pandas")
    assert clients_in_use() == before


def ur5_is_installed():
    try:
        return bool(importlib.metadata.version("example-robot-data"))
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.skipif(ur5_is_installed(), reason="its description is installed")
def test_a_missing_arm_says_what_to_install():
    with pytest.raises(ArmError, match="pip install example-robot-data"):
        Table(ZONES, "ur5")


@pytest.mark.skipif(not ur5_is_installed(), reason="needs example-robot-data (131 MB)")
def test_the_ur5_picks_as_the_panda_does():
    with closing(Table(ZONES, "ur5")) as table:
        table.reset((0.52, 0.03))
        np.testing.assert_allclose(table.state()[:3], (0.5, 0.0, 0.25), atol=1e-3)
        settle(table, (0.52, 0.03, 0.12), True, 3)
        settle(table, (0.52, 0.03, 0.047), True, 3)
        carried = settle(table, (0.5, -0.2, 0.25), True, 6)
        np.testing.assert_allclose(carried[3:6], (0.5, -0.2, 0.225), atol=5e-3)
