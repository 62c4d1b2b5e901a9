"""Episode files in habitat-lab's format."""

from __future__ import annotations

import gzip
import importlib.util
import json

import numpy as np
import pytest

from pluralbench.envs.household.episodes import (
    Episode,
    EpisodeError,
    Pose,
    from_habitat,
    load_episodes,
    quaternion_of,
    to_habitat,
    upright,
)
from pluralbench.envs.household.flat import CONTAINERS, PLACES
from pluralbench.envs.household.rearrange import HabitatRearrange
from pluralbench.envs.household.simulator import SimulatorNotInstalledError
from pluralbench.envs.household.tidy import HabitatTidy


def example() -> Episode:
    return Episode(
        "7",
        {"bowl": upright(7.5, 3.2, 0.8, 0.6), "fork": Pose((1.0, 2.0, 0.5), (0.5, 0.5, 0.5, 0.5))},
        {"bowl": "desk"},
        ("bowl",),
        PLACES,
        (4.0, 2.5),
        info={"note": "by hand"},
    )


def as_habitat_lab_writes_it(episode) -> dict:
    """RearrangeEpisode's JSON; y up."""
    y_up = np.array([to_habitat(axis) for axis in np.eye(3)]).T

    def matrix(pose):
        result = np.eye(4)
        result[:3, :3], result[:3, 3] = y_up @ pose.rotation @ y_up.T, to_habitat(pose.position)
        return result.tolist()

    return {
        "episode_id": episode.episode_id,
        "scene_id": episode.scene_id,
        "scene_dataset_config": episode.scene_dataset_config,
        "additional_obj_config_paths": [],
        "start_position": list(to_habitat((*episode.start, 0.0))),
        "start_rotation": [0.0, 0.0, 0.0, 1.0],
        "ao_states": {},
        "rigid_objs": [[f"{name}.object_config.json", matrix(pose)] for name, pose in episode.objects.items()],
        "targets": {f"{name}_:0000": matrix(episode.objects[name]) for name in episode.to_move},
        "markers": [],
        "target_receptacles": [[episode.lying_on.get(name, ""), None] for name in episode.to_move],
        "goal_receptacles": [[name, None] for name in episode.choices],
        "name_to_receptacle": {f"{name}_:0000": place for name, place in episode.lying_on.items()},
        "info": {"object_labels": {f"{name}_:0000": "TARGET" for name in episode.to_move}, **episode.info},
    }


def save_episodes(episodes, path) -> None:
    text = json.dumps({"config": None, "episodes": [as_habitat_lab_writes_it(episode) for episode in episodes]})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


@pytest.mark.parametrize("name", ["episodes.json", "episodes.json.gz"])
def test_what_habitat_lab_writes_is_read(tmp_path, name):
    save_episodes([example()], tmp_path / name)
    (loaded,) = load_episodes(tmp_path / name)
    for field in ("episode_id", "lying_on", "to_move", "choices", "start", "scene_id", "scene_dataset_config", "info"):
        assert getattr(loaded, field) == getattr(example(), field)
    for kind, pose in example().objects.items():
        assert loaded.objects[kind].position == pytest.approx(pose.position)
        assert loaded.objects[kind].quaternion == pytest.approx(pose.quaternion)


def test_positions_in_the_file_have_y_up(tmp_path):
    save_episodes([example()], tmp_path / "episodes.json")
    (entry,) = json.loads((tmp_path / "episodes.json").read_text())["episodes"]
    handle, matrix = entry["rigid_objs"][0]
    assert handle == "bowl.object_config.json"
    assert np.array(matrix)[:3, 3].tolist() == pytest.approx([7.5, 0.8, -3.2])
    assert np.array(matrix)[:3, :3] @ [0, 1, 0] == pytest.approx([0, 1, 0])
    assert entry["start_position"] == pytest.approx([4.0, 0.0, -2.5])


def test_axes_and_quaternions_go_both_ways():
    generator = np.random.default_rng(0)
    for _ in range(50):
        vector = generator.normal(size=3)
        assert from_habitat(to_habitat(vector)) == pytest.approx(tuple(vector))
        quaternion = generator.normal(size=4)
        quaternion *= np.sign(quaternion[3]) / np.linalg.norm(quaternion)
        pose = Pose((0.0, 0.0, 0.0), tuple(quaternion))
        assert quaternion_of(pose.rotation) == pytest.approx(tuple(quaternion))
    a, b = generator.normal(size=(2, 3))
    assert np.cross(to_habitat(a), to_habitat(b)) == pytest.approx(to_habitat(np.cross(a, b)))  # no mirror image


def write(path, change) -> None:
    save_episodes([example()], path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def lack_objects(content):
    del content["episodes"][0]["rigid_objs"]


def unknown_object(content):
    content["episodes"][0]["rigid_objs"].append(["sofa_bed.object_config.json", np.eye(4).tolist()])


def bad_pose(content):
    content["episodes"][0]["rigid_objs"][0][1] = [[1, 2], [3, 4]]


def sheared_pose(content):
    content["episodes"][0]["rigid_objs"][0][1][0][1] = 3.0


def twice(content):
    content["episodes"][0]["rigid_objs"] *= 2


def other_shape(content):
    content["episodes"][0]["rigid_objs"] = 5


def missing_scene(content):
    content["episodes"][0]["scene_id"] = "apt_0"
    content["episodes"][0]["scene_dataset_config"] = "nowhere/replicaCAD.scene_dataset_config.json"


def no_episodes(content):
    content["episodes"] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lack_objects, "episode 0 lacks 'rigid_objs'"),
        (unknown_object, "unknown object 'sofa_bed'"),
        (bad_pose, "must be a 4 x 4 matrix"),
        (sheared_pose, "holds no rotation"),
        (twice, "has an object twice"),
        (other_shape, "not written as habitat-lab writes it"),
        (missing_scene, "nowhere/replicaCAD.scene_dataset_config.json is missing"),
        (no_episodes, "expected habitat-lab's JSON object with a list of 'episodes'"),
    ],
)
def test_a_file_of_another_format_is_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "episodes.json"
    write(path, change)
    with pytest.raises(EpisodeError, match=message) as caught:
        load_episodes(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("episodes: none")
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(b"{}")[:-6])
    (tmp_path / "c.json.gz").write_bytes(b"plain")
    (tmp_path / "d.json").write_text("[" * 100_000)
    (tmp_path / "e.json.gz").write_bytes(gzip.compress(bytes(1 << 25)))
    damaged = bytearray(gzip.compress(b'{"episodes": []}' * 99))
    damaged[15] ^= 0xFF
    (tmp_path / "f.json.gz").write_bytes(damaged)
    (tmp_path / "g.json").mkdir()
    for name in (
        "a.json", "b.json.gz", "c.json.gz", "d.json", "e.json.gz", "f.json.gz", "g.json", "missing.json", "x" * 300,
    ):  # fmt: skip
        with pytest.raises(EpisodeError, match=name) as caught:
            load_episodes(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_an_environment_goes_through_the_episodes_of_a_file(tmp_path):
    source = HabitatRearrange()
    episodes = []
    for seed in range(3):
        source.reset(seed=seed)
        episodes.append(source.episode)
    save_episodes(episodes, tmp_path / "episodes.json")
    env = HabitatRearrange(source.simulator, episodes=tmp_path / "episodes.json")
    for seed in (0, 1, 2, 0):
        seen, _ = env.reset(seed=99)
        expected, _ = source.reset(seed=seed)
        assert seen == pytest.approx(expected, abs=1e-4)
        assert env.step(3)[4]["rests_on"] == 3
    source.close()


def test_a_tidy_episode_by_hand_is_played(tmp_path):
    objects = {"pan": upright(7.5, 3.2, 0.77), "fork": upright(5.3, 3.9, 0.43)}
    by_hand = Episode("0", objects, {"pan": "desk", "fork": "coffee table"}, ("pan", "fork"), CONTAINERS, (4.0, 2.5))
    save_episodes([by_hand], tmp_path / "tidy.json")
    env = HabitatTidy(episodes=tmp_path / "tidy.json", goal=(0, 1, 0, 0, 0))
    env.reset(seed=0)
    assert env.step(0)[4]["right_disputed"] == 1
    _, _, terminated, _, info = env.step(0)
    assert terminated
    assert info["success"]
    env.close()


@pytest.mark.skipif(importlib.util.find_spec("habitat_sim") is not None, reason="habitat-sim would open the scene")
def test_episodes_of_a_scene_ask_for_habitat(tmp_path):
    dataset = tmp_path / "replicaCAD.scene_dataset_config.json"
    dataset.write_text("{}")
    far = Episode("0", {}, {}, (), PLACES, (0.0, 0.0), scene_id="apt_0", scene_dataset_config=str(dataset))
    save_episodes([far], tmp_path / "far.json")
    with pytest.raises(SimulatorNotInstalledError, match="conda install"):
        HabitatRearrange(episodes=tmp_path / "far.json")
