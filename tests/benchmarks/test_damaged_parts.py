"""Damaged parts of a folder of results are named, and made again under --resume; nothing else is touched."""

import json
import shutil

import pytest

from pluralbench.benchmarks.commands import benchmark
from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.figures.suite import read_suite
from pluralbench.benchmarks.results.figure_arrays import load_latents, load_reward_maps
from pluralbench.benchmarks.stages.ledger import Ledger

QUICKLY = ("evaluation.episodes=2", "evaluation.curve_episodes=1", "iql.num_updates=4")
COMMAND = ("maze", "--preset", "smoke", "--suite", "own", "--methods", "btl", "vpl", "--set", *QUICKLY)


@pytest.fixture(scope="module", autouse=True)
def no_pictures_here():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "_is_shown", lambda *_: False)
        patch.setattr(benchmark, "draw_all", lambda *_: [])
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folders of results and of data of a finished experiment with two methods."""
    place = tmp_path_factory.mktemp("finished")
    assert main([*COMMAND, "--out", str(place / "out"), "--data-dir", str(place / "data")]) == 0
    return place


@pytest.fixture
def suite(finished, tmp_path):
    """A copy of the finished suite."""
    shutil.copytree(finished / "out", tmp_path / "out")
    return tmp_path / "out" / "own"


@pytest.fixture
def again(finished, tmp_path, capsys):
    """Runs the experiment again and gives exit code, output lines and the line of the error."""

    def call(*more, command=COMMAND):
        capsys.readouterr()
        code = main([*command, *more, "--out", str(tmp_path / "out"), "--data-dir", str(finished / "data")])
        output = capsys.readouterr()
        return code, output.out.splitlines(), output.err

    return call


def files(suite):
    return {str(path.relative_to(suite)): path for path in sorted(suite.rglob("*")) if path.is_file()}


def times(suite):
    return {name: path.stat().st_mtime_ns for name, path in files(suite).items()}


def flip(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def empty_object(path):
    path.write_text("{}")


def one_more_word(path):
    path.write_text(f"{path.read_text()}success\n")


def other_number(path):
    values = json.loads(path.read_text())
    values["seed"] = 7
    path.write_text(json.dumps(values))


MODEL, RUN = "maze/reward_models/btl/seed_0", "maze/btl/seed_0"


@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        (f"{MODEL}/model.safetensors", cut, "seed 0: reward model btl is damaged ("),
        (f"{MODEL}/model.json", empty_object, "seed 0: reward model btl is damaged ("),
        (f"{MODEL}/training.json", empty_object, "seed 0: reward model btl is damaged ("),
        (f"{RUN}/summary.json", cut, "btl seed 0 is damaged ("),
        (f"{RUN}/config.json", other_number, "btl seed 0 is damaged ("),
        (f"{RUN}/metrics.csv", one_more_word, "btl seed 0 is damaged ("),
        (f"{RUN}/policy/policy.safetensors", flip, "btl seed 0 is damaged ("),
        (f"{RUN}/users.npz", flip, "btl seed 0 is damaged ("),
    ],
)
def test_a_damaged_part_is_told_of_and_made_again(suite, again, name, damage, told):
    before, good, table = times(suite), (suite / name).read_bytes(), (suite / "success_rates.csv").read_bytes()
    damage(suite / name)
    code, lines, _ = again("--resume")
    assert code == 0
    (line,) = [line for line in lines if line.startswith(told)]
    assert (suite / name).name in line
    assert line.endswith(": fitted again" if name.startswith(MODEL) else ": run again")
    assert (suite / "success_rates.csv").read_bytes() == table
    if name.endswith(("safetensors", "metrics.csv", "npz")):
        assert (suite / name).read_bytes() == good
    untouched = [other for other in before if other.startswith(("maze/vpl/", "maze/reward_models/vpl/"))]
    assert len(untouched) == 9
    after = times(suite)
    assert {other: after[other] for other in untouched} == {other: before[other] for other in untouched}
    assert read_suite(suite, "maze").runs.faults == ()


@pytest.mark.parametrize("damage", [empty_object, cut, lambda path: path.unlink()], ids=["empty", "cut", "lost"])
def test_an_experiment_json_is_made_again_of_what_its_runs_say(suite, again, damage):
    path = suite / "maze/experiment.json"
    good, before = json.loads(path.read_text()), times(suite)
    damage(path)
    code, _, error = again()
    assert code == 2
    assert all(words in error for words in (str(path), "--resume", "--suite NAME"))
    assert len(error.splitlines()) == 1
    code, lines, _ = again("--resume")
    assert code == 0
    assert [line for line in lines if line.startswith(str(path)) and line.endswith("again from its runs' config.json")]
    assert json.loads(path.read_text()) == good
    assert times(suite)[f"{RUN}/summary.json"] == before[f"{RUN}/summary.json"]


def test_an_experiment_json_is_not_made_of_runs_that_contradict_each_other(suite, again):
    (suite / "maze/experiment.json").write_text("?")
    path = suite / "maze/vpl/seed_0/config.json"
    path.write_text(path.read_text().replace('"num_updates": 4', '"num_updates": 5'))
    code, _, error = again("--resume")
    assert code == 2
    assert "vpl/seed_0/config.json: another iql.num_updates than the runs before" in error


def test_another_experiment_is_refused_whatever_is_damaged(suite, again):
    (suite / "maze/experiment.json").write_text("?")
    code, _, error = again("--resume", command=[word.replace("episodes=2", "episodes=3") for word in COMMAND])
    assert code == 2
    assert "evaluation.episodes (there 2, here 3)" in error


def test_a_damaged_experiment_json_beside_nothing_is_no_obstacle(suite, again):
    for name in ("maze/btl", "maze/vpl"):
        shutil.rmtree(suite / name)
    (suite / "success_rates.csv").unlink()
    (suite / "maze/experiment.json").write_text("?")
    code, lines, _ = again()
    assert code == 0
    assert [line for line in lines if "experiment.json: is no JSON file" in line and line.endswith(": made anew")]


def test_a_damaged_table_is_made_again_of_its_runs_and_kept_aside(suite, again):
    path = suite / "success_rates.csv"
    good, before = path.read_bytes(), times(suite)
    damaged = good.replace(b"0.", b"7.", 1)
    path.write_bytes(damaged)
    code, _, error = again()
    assert code == 2
    assert all(words in error for words in ("success_rates.csv, line 2: the success rate is '7.", "--resume"))
    code, lines, _ = again("--resume")
    assert code == 0
    assert [
        line
        for line in lines
        if line.endswith("made again from the runs, the damaged one is kept as success_rates.csv.damaged")
    ]
    assert path.read_bytes() == good
    assert path.with_name("success_rates.csv.damaged").read_bytes() == damaged
    assert times(suite)[f"{RUN}/summary.json"] == before[f"{RUN}/summary.json"]


def test_lost_and_changed_rows_of_a_finished_run_are_put_back(suite, again):
    path = suite / "success_rates.csv"
    good = path.read_text()
    path.write_text("".join(line for line in good.splitlines(keepends=True) if ",vpl," not in line))
    code, lines, _ = again("--resume")
    assert code == 0
    assert [
        line for line in lines if line.startswith("vpl seed 0: its rows in success_rates.csv are missing or others")
    ]
    assert path.read_text() == good.replace("\r\n", "\n")


@pytest.mark.parametrize(("name", "load"), [("maze-latents", load_latents), ("maze-reward-maps", load_reward_maps)])
def test_damaged_arrays_of_figures_are_made_again(suite, again, name, load):
    path = suite / f"{name}.npz"
    good = load(path)
    flip(path)
    code, lines, _ = again("--resume")
    assert code == 0
    assert [line for line in lines if line.startswith(str(path)) and line.endswith(": made again")]
    assert load(path).keys() == good.keys()
