import numpy as np
import pytest

from pluralbench.envs import GoalError, environments, make_vector
from pluralbench.envs.ravens.pick_place_policy import BehaviourSettings, draw_episode
from pluralbench.envs.ravens.task import RavensTask

RAVENS = environments.get("ravens")
NUM = 6


@pytest.fixture(scope="module")
def vector():
    made = make_vector(RAVENS, NUM)
    yield made
    made.close()


def run(script, vector, goals, seeds):
    """Observations (26, B, 7), and whether each episode was a success and had reached its goal."""
    observations, _ = vector.reset(seed=list(seeds), options={"goal": goals})
    script.begin(observations, np.arange(NUM), np.asarray(seeds))
    seen = [observations]
    for _ in range(25):
        observations, _, _, truncated, infos = vector.step(script.act(observations, np.arange(NUM)))
        seen.append(observations)
    assert truncated.all()
    return np.array(seen), infos["success"], infos["reached"]


def test_the_tour_reaches_both_zones_the_nearest_first_and_succeeds_with_the_last(vector):
    zones, seeds = vector.task.zones, [0, 1, 2, 0, 1, 2]
    seen, success, reached = run(RAVENS.tour(zones), vector, np.repeat(zones, 3, axis=0), seeds)
    assert reached.all()
    np.testing.assert_array_equal(success[:3], ~success[3:])  # equal starts: it ends in one of the two
    placed = vector.task.success(seen[:, :, None], zones)  # (26, B, zones)
    nearest = np.linalg.norm(seen[0, :, None, 3:5] - zones, axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(placed.argmax(axis=0).argmin(axis=1), nearest)
    assert (placed.sum(axis=0) >= 2).all()  # it lies there for a step after it was placed


def test_the_behaviour_script_means_the_episodes_that_its_seeds_draw(vector):
    task, seeds = vector.task, range(20, 20 + NUM)
    kinds, zones = [], []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        zone = int(generator.integers(2))
        kinds.append(draw_episode(task, BehaviourSettings(), zone, generator).kind)
        zones.append(zone)
    assert len(set(zones)) == 2
    _, success, reached = run(RAVENS.behaviour(), vector, task.zones[zones], seeds)
    meant = np.array(kinds) == "zone"
    assert meant.sum() >= 3
    assert reached[meant].all()
    assert success[meant].all()


def test_each_layout_has_its_own_zones():
    four = RavensTask("four-zones").zones
    environments.get("ravens-four-zones").tour(four)
    with pytest.raises(GoalError, match="no zone at"):
        RAVENS.tour(four)
