"""What a user meets around habitat-sim: on a stand-in that behaves as the real one was seen to, and on the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import habitat_double
import numpy as np
import pytest
from household_scenes import NEEDS_HABITAT, lowest_point, on

from pluralbench.envs.household import renderers
from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import Episode, upright
from pluralbench.envs.household.flat import PLACES
from pluralbench.envs.household.habitat_simulator import HabitatAssets
from pluralbench.envs.household.simulator import (
    GRAVITY,
    HouseholdState,
    SimulatorError,
    SimulatorNotInstalledError,
    resting_place,
)
from pluralbench.envs.household.simulator_choice import make_simulator


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


def test_a_scene_that_lacks_furniture_leaves_no_renderer_open(stand_in, tmp_path):
    files = scene_files(tmp_path)
    path = Path(files["scene_dataset_config"])
    scenes = json.loads(path.read_text(encoding="utf-8"))
    scenes["flat"]["objects"].popitem()
    path.write_text(json.dumps(scenes), encoding="utf-8")
    with pytest.raises(SimulatorError, match="this scene has no object"):
        make_simulator("habitat", **files)
    assert habitat_double.Simulator.contexts == []


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
