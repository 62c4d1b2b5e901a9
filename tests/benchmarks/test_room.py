"""Places without permission, room or a possible name are refused before any work, and nothing is left behind."""

import shutil

import pytest

from pluralbench.benchmarks.commands import data, room
from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.commands.room import check_room_for
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.envs import collection
from pluralbench.folders import FolderError

MAZE = ("maze", "--preset", "smoke", "--methods", "btl")


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """Fails where work begins."""

    def collect(*_):
        raise AssertionError("work has begun")

    for module in (collection, data):
        monkeypatch.setattr(module, "collect", collect)


@pytest.fixture
def in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*MAZE, "--out", "file"), "file is a file"),
        ((*MAZE, "--out", "file/below"), "file is a file"),
        ((*MAZE, "--out", "loop"), "cannot write to loop"),
        ((*MAZE, "--out", "n" * 300), "too long a name"),
        ((*MAZE, "--out", "/".join(["n" * 100] * 60)), "too long a path"),
        ((*MAZE, "--data-dir", "file"), "name another folder for data with --data-dir"),
        ((*MAZE, "--data-dir", "~nobody-of-this-name"), "no such home folder"),
        ((*MAZE, "--suite", "../elsewhere"), "--suite names a folder below --out"),
        ((*MAZE, "--suite", "/elsewhere"), "--suite names a folder below --out"),
        ((*MAZE, "--suite", ""), "--suite names a folder below --out"),
        ((*MAZE, "--suite", "n" * 300), "too long a name"),
        ((*MAZE, "--set", "preferences.num_users=999999999"), "maze: data and answers take"),
        ((*MAZE, "--set", "iql.hidden_sizes=[65536,65536,65536,65536]"), "its disk has"),
        (("active", "--preset", "smoke", "--out", "file"), "file is a file"),
        (("users", "--preset", "smoke", "--out", "file"), "file is a file"),
        (("didactic", "--out", "file"), "file is a file"),
        (("didactic", "--out", "loop"), "cannot write to loop"),
        (("didactic", "--seed", "-1"), "a seed is a whole number from 0 to 4294967295, got '-1'"),
        (("speed", "--only", "labelling", "--out", "file"), "file is a file"),
        ((*MAZE, "--seed-list", "-1"), "a seed is a whole number"),
        ((*MAZE, "--seed-list", "4294967296"), "a seed is a whole number"),
        ((*MAZE, "--seeds", "1000000000"), "at most 10000"),
        (("data", "generate", "maze", "."), ". is a folder; name a file"),
        (("data", "generate", "maze", "file/data.hdf5"), "file is a file"),
        (
            ("data", "generate", "maze", "data.npz"),
            "data.npz should end in .hdf5 or .h5; `pluralbench data convert` makes",
        ),
        (("data", "generate", "maze", "data"), "data should end in .hdf5 or .h5"),
        (("data", "generate", "maze", "n" * 240 + ".hdf5"), "too long a name"),
        (("data", "generate", "maze", "data.hdf5", "--transitions", "999999999999"), "at most 1000000000"),
        (("data", "generate", "maze", "data.hdf5", "--seed", "x"), "a seed is a whole number"),
        (("plot", "n" * 300), "its name is too long"),
        (("report", "loop"), "holds no results"),
    ],
    ids=lambda part: " ".join(part)[:60] if isinstance(part, tuple) else "",
)
def test_nothing_is_begun_that_could_not_be_kept(arguments, message, in_the_way, monkeypatch, capsys):
    monkeypatch.chdir(in_the_way)
    monkeypatch.setenv("PLURALBENCH_DATA_DIR", str(in_the_way / "data"))
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert len(said) < 600
    assert files_in(in_the_way) == ["file", "loop"]


@pytest.mark.parametrize("place", ["results", "data"])
def test_a_disk_with_too_little_room_is_refused_by_name(place, tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda folder: usage._replace(free=10**5) if place in str(folder) else usage
    )
    for name in ("results", "data"):
        (tmp_path / name).mkdir()
    out = ("--out", str(tmp_path / "results"), "--data-dir", str(tmp_path / "data"))
    assert main([*MAZE, *out]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / place}/" in said
    assert "its disk has 100.0 kB left" in said
    assert files_in(tmp_path) == []


def test_room_is_asked_for_what_is_missing_only(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(room, "check_room", lambda folder, size, _: asked.update({folder.name: size}))
    changes = {"methods": ("vpl+spo", "btl"), "seeds": (0, 1), "data_per_seed": True}
    plan = make_plan(experiment_for("maze", "smoke", changes))
    options = room.argparse.Namespace(data_dir=tmp_path, resume=False)
    check_room_for([(tmp_path / "a", plan), (tmp_path / "b", plan)], options)
    dataset = 20_000 * (4 * (4 + 4 + 2 + 1) + 2)
    assert asked["transitions"] == 2 * dataset  # of two seeds, and shared by both suites
    fresh = asked["a"]
    kept = collection.cached_transitions_path(plan.environment, 20_000, 1, tmp_path)
    kept.parent.mkdir()
    kept.touch()
    check_room_for([(tmp_path / "a", plan)], room.argparse.Namespace(data_dir=tmp_path, resume=True))
    assert asked["transitions"] == dataset
    assert asked["a"] < fresh


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", "a\nb", "n" * 201, "back\\slash"])
def test_a_learner_whose_name_is_no_folders_is_refused(name, tmp_path, capsys):
    path = tmp_path / "own.py"
    path.write_text(
        "from pluralbench.reward_learning.no_reward import NoReward\n\n\n"
        f"class Own(NoReward):\n    name = {name!r}\n    asks_nobody = False\n"
    )
    assert main(["maze", "--preset", "smoke", "--methods", f"{path}:Own", "--out", str(tmp_path / "r")]) == 2
    assert ("name" if name else "Own lacks name") in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_the_folder_of_data_is_checked_even_where_nobody_asked_before(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="--data-dir"):
        collection.load_or_collect(make_plan(experiment_for("maze", "smoke")).environment, 5, 0, tmp_path / "file")
