"""One contract for both simulators; habitat-sim's half is skipped where it is not installed."""

from __future__ import annotations

import sys

import habitat_double
import numpy as np
import pytest
from household_scenes import NEEDS_HABITAT, episode, lowest_point, on

from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import Episode, upright
from pluralbench.envs.household.flat import CONTAINERS, PLACES, RECEPTACLES
from pluralbench.envs.household.habitat_simulator import HabitatSimulator
from pluralbench.envs.household.simulator import (
    HouseholdSimulator,
    HouseholdState,
    SimulatorError,
    resting_place,
)
from pluralbench.envs.household.simulator_choice import make_simulator


@pytest.fixture(
    scope="module", params=["pybullet", pytest.param("habitat", marks=NEEDS_HABITAT), "habitat on a stand-in"]
)
def simulator(request):
    if request.param != "habitat on a stand-in":
        made = make_simulator(request.param)
        yield made
        made.close()
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, module in habitat_double.modules().items():
            patch.setitem(sys.modules, name, module)
        made = HabitatSimulator()
    yield made  # outside: later tests must not find the stand-in
    made.close()


def numbers(simulator: HouseholdSimulator) -> np.ndarray:
    return np.array([[*pose.position, *pose.quaternion] for pose in simulator.objects().values()])


def test_it_is_a_household_simulator(simulator):
    assert isinstance(simulator, HouseholdSimulator)
    assert set(simulator.receptacles()) >= {*PLACES, *CONTAINERS, "counter"}


def test_reset_puts_everything_where_the_episode_says(simulator):
    pose = upright(5.1, 4.0, 0.6, yaw=0.7)
    simulator.reset(Episode("test", {"pan": pose, "cup": on("cup", "desk")}, {}, ("pan",), PLACES, (3.5, 3.0)))
    objects = simulator.objects()
    assert list(objects) == ["pan", "cup"]
    assert objects["pan"].position == pytest.approx(pose.position, abs=1e-6)
    assert objects["pan"].rotation == pytest.approx(pose.rotation, abs=1e-5)
    assert simulator.state().robot[:2] == (3.5, 3.0)
    simulator.reset(episode(fork="sofa"))
    assert list(simulator.objects()) == ["fork"]


@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_rests_where_it_is_put(simulator, name):
    for place in ("desk", "sofa", "left box"):
        simulator.reset(episode(**{name: "counter"}))
        simulator.place(name, place, (0.03, -0.02), yaw=0.4)
        assert resting_place(name, simulator.objects()[name], RECEPTACLES) in (place, None)  # still in the air
        assert simulator.settle()
        pose = simulator.objects()[name]
        assert resting_place(name, pose, RECEPTACLES) == place
        assert lowest_point(name, pose) == pytest.approx(
            RECEPTACLES[place].centre[2], abs=0.012
        )  # on the surface, not in it or above


@pytest.mark.parametrize("place", RECEPTACLES)
def test_every_place_carries_a_bowl(simulator, place):
    simulator.reset(episode(bowl="counter" if place != "counter" else "desk"))
    simulator.place("bowl", place)
    assert simulator.settle()
    assert resting_place("bowl", simulator.objects()["bowl"], RECEPTACLES) == place


@pytest.mark.parametrize("name", ["bowl", "pot", "cutting board"])
def test_what_is_put_on_an_edge_slides_off(simulator, name):
    simulator.reset(episode(**{name: "counter"}))
    simulator.place(name, "coffee table", (0.0, -RECEPTACLES["coffee table"].half_extents[1] - 0.03))
    simulator.settle(10.0)
    pose = simulator.objects()[name]
    assert resting_place(name, pose, RECEPTACLES) != "coffee table"
    assert pose.position[2] < 0.3


def test_the_same_calls_give_the_same_result_whatever_came_before(simulator):
    def run() -> np.ndarray:
        simulator.restore(HouseholdState({"plate": on("plate", "room"), "pan": on("pan", "left box")}, (4.0, 3.2, 0.0)))
        simulator.place("plate", "left box", (0.1, 0.02), yaw=1.0)
        simulator.settle()
        return numbers(simulator)

    first = run()
    for place in ("sofa", "left box", "desk"):
        simulator.reset(episode(plate="room", cup="counter"))
        simulator.place("plate", place, yaw=0.3)
        simulator.settle()
        assert np.array_equal(run(), first)


def test_a_restored_state_is_the_state(simulator):
    simulator.reset(episode(bowl="desk", spoon="sofa"))
    simulator.settle()
    state = simulator.state()
    simulator.place("bowl", "room")
    simulator.settle()
    simulator.restore(state)
    again = simulator.state()
    assert again.robot == state.robot
    for name, pose in state.objects.items():
        assert again.objects[name].position == pytest.approx(pose.position, abs=1e-6)
    assert simulator.settle()  # nothing moves
    for name, pose in state.objects.items():
        assert simulator.objects()[name].position == pytest.approx(pose.position, abs=2e-3)


def test_what_rests_sleeps_until_something_touches_it(simulator):
    if simulator.name != "pybullet":
        pytest.skip("habitat-sim wakes bodies by its own rules")
    simulator.reset(episode(pot="left box", cup="desk"))
    simulator.settle()
    state = simulator.state()
    simulator.restore(state)
    before = numbers(simulator)
    for _ in range(200):
        simulator._step()
    assert np.array_equal(numbers(simulator), before)  # bodies that are awake creep, by up to a centimetre a second
    simulator.reset(episode(pot="left box", cup="desk", **{"cutting board": "counter"}))
    simulator.settle()
    simulator.restore(simulator.state())
    before = numbers(simulator)
    simulator.place("cutting board", "left box", (0.12, 0.0))
    simulator.settle()
    moved = np.abs(numbers(simulator) - before).max(1)
    assert moved[0] > 1e-4  # the pot, which the board hits
    assert moved[1] == 0.0  # the cup, far away


def test_an_object_is_put_on_top_of_another_not_into_it(simulator):
    simulator.reset(episode(pot="desk", **{"cutting board": "room"}))
    simulator.settle()
    simulator.place("cutting board", "desk")
    assert simulator.objects()["cutting board"].position[2] > simulator.objects()["pot"].position[2]
    simulator.settle()
    assert simulator.objects()["cutting board"].position[2] > simulator.objects()["pot"].position[2] + 0.05


def test_carrying_moves_the_robot_and_the_object_along(simulator):
    simulator.reset(episode(bowl="counter"))
    path = simulator.floor_plan().path((4.0, 3.2), RECEPTACLES["desk"].access)
    simulator.carry("bowl", path)
    assert simulator.state().robot[:2] == pytest.approx(tuple(path[-1]))
    held = simulator.objects()["bowl"].position
    assert np.hypot(held[0] - path[-1][0], held[1] - path[-1][1]) < 0.5
    assert held[2] > 0.9


def test_unknown_names_are_refused_in_one_line(simulator):
    simulator.reset(episode(bowl="desk"))
    with pytest.raises(SimulatorError, match=r"unknown receptacle 'dask'; did you mean 'desk'\? \(known: desk, "):
        simulator.place("bowl", "dask")
    with pytest.raises(SimulatorError, match=r"unknown object 'pot' \(known: bowl\)|unknown object 'pot'; did"):
        simulator.place("pot", "desk")


def test_a_scene_that_is_not_open_is_refused(simulator):
    with pytest.raises(SimulatorError, match="'apt_0'"):
        simulator.reset(Episode("far", {}, {}, (), PLACES, (1.0, 1.0), scene_id="apt_0"))


def test_pybullet_shows_the_flat():
    simulator = make_simulator("pybullet")
    simulator.reset(episode(plate="room"))
    picture = simulator.render(320, 240)
    assert picture.shape == (240, 320, 3)
    assert picture.dtype == np.uint8
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    simulator.restore(HouseholdState({"plate": on("plate", "dining table")}, simulator.state().robot))
    assert (simulator.render(320, 240) != picture).any(-1).sum() > 20
    simulator.close()
    simulator.close()
    with pytest.raises(SimulatorError, match="closed"):
        simulator.objects()


def test_pybullet_leaks_no_bodies():
    simulator = make_simulator("pybullet")
    counts = set()
    for _ in range(50):
        simulator.reset(episode(bowl="desk", pan="sofa"))
        simulator.place("bowl", "room")
        counts.add(simulator._client.getNumBodies())
    assert len(counts) == 1
    simulator.close()
