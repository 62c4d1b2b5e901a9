"""One contract for both simulators; habitat-sim's half is skipped where it is not installed."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import habitat_double
import numpy as np
import pytest

from pluralbench.envs.household import renderers
from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import Episode, Pose, upright
from pluralbench.envs.household.flat import CONTAINERS, FURNITURE, PLACES, RECEPTACLES
from pluralbench.envs.household.floor_plan import ROBOT_RADIUS, furnished_floor_plan
from pluralbench.envs.household.habitat_simulator import INSTALL_COMMAND, HabitatAssets, HabitatSimulator
from pluralbench.envs.household.simulator import (
    GRAVITY,
    HouseholdSimulator,
    HouseholdState,
    SimulatorError,
    SimulatorNotInstalledError,
    resting_place,
)
from pluralbench.envs.household.simulator_choice import make_simulator

NEEDS_HABITAT = pytest.mark.skipif(
    importlib.util.find_spec("habitat_sim") is None,
    reason=f"habitat-sim is not installed; `{INSTALL_COMMAND}` installs it",
)


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


def on(name: str, place: str, dx: float = 0.0, dy: float = 0.0, yaw: float = 0.0):
    x, y, z = RECEPTACLES[place].centre
    return upright(x + dx, y + dy, z + OBJECTS[name].half_height, yaw)


def episode(**lying_on: str) -> Episode:
    objects = {name: on(name, place) for name, place in lying_on.items()}
    return Episode("test", objects, dict(lying_on), tuple(objects), PLACES, (4.0, 3.2))


def numbers(simulator: HouseholdSimulator) -> np.ndarray:
    return np.array([[*pose.position, *pose.quaternion] for pose in simulator.objects().values()])


def lowest_point(name: str, pose: Pose) -> float:
    lows = []
    for part in OBJECTS[name].parts:
        middle = pose.position + pose.rotation @ np.array(part.position)
        turned = pose.rotation @ Pose((0.0, 0.0, 0.0), part.quaternion).rotation
        lows.append(middle[2] - (np.abs(turned) @ (np.array(part.size) / 2))[2])
    return float(min(lows))


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


def test_habitat_without_habitat_sim_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "habitat_sim", None)
    with pytest.raises(SimulatorNotInstalledError, match="conda install habitat-sim withbullet") as caught:
        make_simulator("habitat")
    assert "\n" not in str(caught.value)
    with pytest.raises(SimulatorNotInstalledError):
        make_simulator("auto", scene_id="apt_0")


def test_missing_files_and_unknown_simulators_are_named(tmp_path):
    with pytest.raises(SimulatorError, match=r"missing .*replica.scene_dataset_config.json; `python -m habitat_sim"):
        HabitatAssets("apt_0", str(tmp_path / "replica.scene_dataset_config.json"))
    with pytest.raises(SimulatorError, match=r"missing .*ycb"):
        make_simulator("habitat", object_configs=str(tmp_path / "ycb"))
    with pytest.raises(SimulatorError, match="unknown simulator 'bullet'; did you mean 'pybullet'"):
        make_simulator("bullet")
    with pytest.raises(SimulatorError, match="PyBullet has the flat of primitives alone"):
        make_simulator("pybullet", scene_id="apt_0")


@pytest.fixture(params=[pytest.param("habitat", marks=NEEDS_HABITAT), "habitat on a stand-in"])
def habitat(request):
    """Where a test is the same for both."""
    if request.param != "habitat":
        request.getfixturevalue("stand_in")


@pytest.fixture
def stand_in(monkeypatch):
    for name, module in habitat_double.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    for variable in ("HABITAT_SIM_LOG", "MAGNUM_LOG"):
        monkeypatch.delenv(variable, raising=False)


def scene_files(folder, margin=0.04, **more):
    """A dataset of one scene for the stand-in: a stage, and furniture in ReplicaCAD's names."""
    boxes = zip(HabitatAssets().places.values(), ((1, -1), (4, -1), (7, -1), (1, -5), (7, -5)), strict=True)
    objects = {f"{handle}_:0000": [x, 0.3, z, 0.5, 0.3, 0.4] for handle, (x, z) in boxes}
    file = folder / "flats.scene_dataset_config.json"
    file.write_text(json.dumps({"flat": {"margin": margin, "objects": objects, **more}}), encoding="utf-8")
    return {"scene_id": "flat", "scene_dataset_config": str(file)}


def test_gravity_is_the_same_on_both(habitat):
    simulator = make_simulator("habitat")
    assert list(simulator._sim.get_gravity()) == pytest.approx([0.0, -GRAVITY, 0.0])
    simulator.close()
    simulator = make_simulator("pybullet")
    found = simulator._client.getPhysicsEngineParameters()
    assert [found[f"gravityAcceleration{axis}"] for axis in "XYZ"] == pytest.approx([0.0, 0.0, -GRAVITY])
    simulator.close()


def test_habitat_keeps_quiet_unless_told_otherwise(stand_in, monkeypatch, capfd):
    make_simulator("habitat").close()
    assert capfd.readouterr().out == ""
    assert os.environ["MAGNUM_LOG"] == "quiet"
    monkeypatch.setenv("HABITAT_SIM_LOG", "warning")
    make_simulator("habitat").close()
    assert "no_lights" in capfd.readouterr().out


def test_a_missing_scene_is_a_line(habitat, tmp_path):
    files = scene_files(tmp_path)
    with pytest.raises(SimulatorError, match=r"^habitat-sim cannot open the scene .house. of .*: ESP_CHECK failed.*$"):
        make_simulator("habitat", **{**files, "scene_id": "house"})


def test_renderers_close_in_any_order(stand_in):
    older, newer = (make_simulator("habitat", render=True) for _ in range(2))
    contexts = habitat_double.Simulator.contexts
    assert len(contexts) == 2
    older.close()
    assert len(contexts) == 2  # it waits: closing it now would end the process
    with pytest.raises(SimulatorError, match="closed"):
        older.render()
    newer.restore(HouseholdState({}, (4.0, 3.2, 0.0)))
    assert newer.render().shape == (480, 640, 3)
    newer.close()
    assert contexts == []
    make_simulator("habitat", render=True)  # and never closed
    renderers.close_all()
    assert contexts == []


def test_opening_a_renderer_loads_no_maps_of_light_and_stays_here(stand_in):
    before = Path.cwd()
    simulator = make_simulator("habitat", render=True)
    assert not simulator._sim.maps_of_light
    assert Path.cwd() == before
    simulator.close()


def test_habitat_shows_the_flat_in_its_colours(habitat):
    simulator, other = make_simulator("habitat", render=True), make_simulator("pybullet")
    pictures = []
    for each in (simulator, other):
        each.restore(HouseholdState({"plate": on("plate", "room"), "pot": on("pot", "sofa")}, (4.0, 3.2, 0.0)))
        pictures.append(each.render().astype(float))
    assert np.abs(pictures[0] - pictures[1]).mean() < 25  # PyBullet draws meshes and shadows too
    whole = pictures[0]
    simulator.restore(HouseholdState({"pot": on("pot", "sofa")}, (4.0, 3.2, 0.0)))
    changed = (simulator.render() != whole).any(-1)
    assert 20 < changed.sum() < 5_000  # the plate is gone, and nothing else changed
    assert np.nonzero(changed)[0].min() > 240  # it lay at the front
    simulator.close()
    other.close()


def test_things_on_a_stages_floor_rest_at_its_margin(stand_in, tmp_path):
    simulator = make_simulator("habitat", **scene_files(tmp_path))
    places = simulator.receptacles()
    assert places["room"].centre[2] == pytest.approx(0.05)
    assert places["desk"].centre[2] == pytest.approx(0.6)  # furniture is found by a ray
    for name in ("pitcher", "cup", "plate"):
        pose = upright(*places["desk"].centre[:2], 0.6 + OBJECTS[name].half_height)
        scene = {"scene_id": "flat", "scene_dataset_config": simulator.scene_dataset_config}
        simulator.reset(Episode("test", {name: pose}, {}, (name,), PLACES, (4.0, 3.0), **scene))
        simulator.place(name, "room")
        assert simulator.settle()
        pose = simulator.objects()[name]
        assert lowest_point(name, pose) == pytest.approx(0.04, abs=0.005)
        assert resting_place(name, pose, places) == "room"
    simulator.close()


def test_islands_of_a_navigation_mesh_are_nowhere_to_be(stand_in, tmp_path):
    simulator = make_simulator("habitat", **scene_files(tmp_path, islands=[[-0.5, -3.0]]))  # outside the walls
    plan = simulator.floor_plan()
    assert plan.free_points[:, 0].min() > 0.0
    for place in simulator.receptacles().values():
        assert len(plan.path((-0.5, 3.0), place.access)) >= 1
    simulator.close()


def test_habitat_without_a_renderer_says_so(stand_in):
    simulator = make_simulator("habitat")
    with pytest.raises(SimulatorError, match="render=True"):
        simulator.render()
    simulator.close()
    with pytest.raises(SimulatorError, match="closed"):
        simulator.settle()


@NEEDS_HABITAT
@pytest.mark.parametrize("ending", ["a.close(); b.close()", "b.close(); a.close()", "a.close()", "pass"])
def test_a_process_with_two_real_renderers_ends_well_and_quietly(ending):
    script = (
        "from pluralbench.envs.household.simulator_choice import make_simulator\n"
        "a, b = (make_simulator('habitat', render=True) for _ in range(2))\n"
        f"{ending}\n"
    )
    quiet = {name: value for name, value in os.environ.items() if name not in ("HABITAT_SIM_LOG", "MAGNUM_LOG")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=quiet, timeout=300)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "no_lights" not in said
    assert "Renderer:" not in said


def test_robot_paths_keep_clear_of_the_furniture():
    plan = furnished_floor_plan()
    obstacles = [part for thing in FURNITURE if thing.obstacle for part in thing.parts]
    for start in RECEPTACLES.values():
        assert np.linalg.norm(plan.nearest_free(start.access) - start.access) < 0.1
        for goal in RECEPTACLES.values():
            corners = plan.path(start.access, goal.access)
            steps = np.linspace(0.0, 1.0, 30)[:, None]
            points = np.concatenate([a + steps * (b - a) for a, b in itertools.pairwise(corners)] or [corners])
            for part in obstacles:
                half = part.half_bounds
                gap = np.maximum(np.abs(points - part.position[:2]) - half[:2], 0.0)
                assert np.linalg.norm(gap, axis=1).min() > ROBOT_RADIUS - 0.08  # a cell's diagonal aside


def test_paths_are_the_shortest_and_every_free_cell_is_reached():
    plan = furnished_floor_plan()
    reach = [len(plan.path(point, RECEPTACLES["desk"].access)) for point in plan.free_points[::7]]
    assert min(reach) >= 1
    straight = plan.path((4.05, 3.05), (6.05, 3.05))
    assert len(straight) == 2
    door = plan.path(RECEPTACLES["counter"].access, RECEPTACLES["coffee table"].access)
    assert any(2.1 < y < 3.5 for x, y in door if abs(x - 2.8) < 0.8)  # through the door
