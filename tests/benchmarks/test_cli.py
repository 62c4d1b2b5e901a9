"""The command line as a user meets it: the smoke benchmark whole, and wrong input in one line."""

import csv
import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.commands.parser import make_parser
from pluralbench.benchmarks.experiments.methods import REFERENCE_ROWS
from pluralbench.envs import load_transitions
from pluralbench.iql.settings import IQLSettings

SMOKE = ["maze", "--preset", "smoke", "--set", "evaluation.episodes=1", "evaluation.curve_episodes=1"]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory, few_answers):
    folder = tmp_path_factory.mktemp("smoke")
    arguments = [*SMOKE, "--suite", "own", "--out", str(folder / "results"), "--data-dir", str(folder / "data")]
    assert main(arguments) == 0
    return folder, arguments


def test_the_smoke_benchmark_writes_what_the_layout_promises(smoke):
    suite = smoke[0] / "results" / "own"
    with (suite / "success_rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(dict.fromkeys(row["method"] for row in rows)) == sorted({*REFERENCE_ROWS, "btl", "vpl", "vpl+spo"})
    assert {row["group"] for row in rows} == {"(7, 1)", "(7, 10)"}
    assert all(row["episodes"] == "1" for row in rows)
    for method in dict.fromkeys(row["method"] for row in rows):
        folder = suite / "maze" / method / "seed_0"
        config = json.loads((folder / "config.json").read_text())
        assert config["experiment"]["methods"] == [method]
        assert config["packages"]["torch"]
        summary = json.loads((folder / "summary.json").read_text())
        assert len(summary["users"]) == 2
        assert ("accuracy" in summary["reward_model"]) == (method not in ("behaviour", "bc", "tour"))
        assert "success" in (folder / "metrics.csv").read_text()
    for figure in ("success", "curves", "diagnostics", "reward-maps", "latents"):
        for ending in ("png", "pdf"):
            assert (suite / f"maze-{figure}.{ending}").stat().st_size > 2_000
        assert (suite / f"maze-{figure}.png").stat().st_size < 300_000


def test_the_same_command_gives_the_same_numbers_and_resume_repeats_nothing(smoke):
    folder, arguments = smoke
    suite = folder / "results" / "own"
    before = (suite / "success_rates.csv").read_bytes(), (suite / "maze/vpl/seed_0/metrics.csv").read_bytes()
    assert main([*arguments, "--resume"]) == 0
    after = (suite / "success_rates.csv").read_bytes(), (suite / "maze/vpl/seed_0/metrics.csv").read_bytes()
    assert before == after


def test_figures_and_report_come_from_the_files_alone(smoke, capsys):
    suite = smoke[0] / "results" / "own"
    assert main(["plot", str(suite)]) == 0
    assert "maze-success.png" in capsys.readouterr().out
    assert main(["report", str(suite)]) == 0
    assert "who beats whom (" in capsys.readouterr().out
    text = (suite / "report.md").read_text()
    assert "| vpl+spo |" in text
    assert "| learner | accuracy |" in text
    assert "commit" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["maze", "--methods", "vlp"], "did you mean 'vpl'"),
        (["maze", "--methods", "oracle,btl"], "methods are separated by spaces, not by commas: oracle btl"),
        (["maze", "--methods", "vpl+sop"], "did you mean 'spo'"),
        (["maze", "--methods", "vpl+spo+spo"], "learner[+scaling][@policy]"),
        (["maze", "--methods", "vpl", "vpl+none"], "named twice"),
        (["maze", "--methods", "maxmin@maxmni"], "did you mean 'maxmin'"),
        (["maze", "--methods", "btl@maxmin"], "a learner of groups (maxmin)"),
        (["maze", "--methods", "maxmin+spo-pairs@maxmin"], "knows no groups"),
        # formerly taken: rewards of a classifier that has nothing of these learners in it
        (["maze", "--methods", "maxmin+spo-pairs"], "the classifier of spo-pairs knows no groups, and maxmin consists"),
        (["maze", "--methods", "individual+spo-pairs"], "fits one network for all users, and individual has one for"),
        (["maze", "--methods", "oracle+spo-pairs"], "learns from answers, and oracle knows the truth"),
        (
            ["maze", "--set", "learner_settings.spo-pairs.num_update=1"],
            "did you mean 'learner_settings.spo-pairs.num_u",
        ),
        (["maze", "--set", "learner_settings.spo-pears.num_updates=1"], "did you mean 'learner_settings.spo-pairs'"),
        (["maze", "--set", "learner_settings.spo-pairs.num_layers=0"], "num_layers must be at least 1"),
        (["maze", "--set", "group_weights.rate=fast"], "group_weights.rate"),
        (["maze", "--set", "group_weights.rate=-1"], "must not be negative"),
        (["maze", "--preset", "quik"], "did you mean 'quick'"),
        (["maze", "--seeds", "0"], "--seeds must be at least 1"),
        (["maze", "--seeds", "two"], "invalid int value"),
        (["maze", "--seed-list", "3", "3"], "each another one"),
        (["maze", "--seeds", "2", "--seed-list", "3"], "not allowed with"),
        (["maze", "--population", "two-gaols"], "did you mean 'two-goals'"),
        (["maze", "--population", "nowhere.py:Mine"], "no file nowhere.py"),
        (["maze", "--population", "five-rankings"], "does not suit"),
        (["maze", "--teacher", "rationl"], "did you mean 'rational'"),
        (["maze", "--teacher", "mistake_rat=0.2"], "did you mean 'mistake_rate'"),
        (["maze", "--teacher", "mistake_rate"], "a teacher's mistake_rate is written mistake_rate=VALUE"),
        (["maze", "--dataset", "nowhere.hdf5"], "no file nowhere.hdf5"),
        (["maze", "--dataset", "d4rl:maze2d-large-v1"], "pluralbench[d4rl]"),
        (["maze", "--dataset", "mine.hdf5", "--data-per-seed"], "leave dataset empty"),
        (["maze", "--device", "quantum"], "use auto, cpu or cuda"),
        (["maze", "--set", "iql.num_updates"], "KEY=VALUE"),
        (["maze", "--set", "iql.num_updates=9", "--set", "iql.num_updates=9"], "iql.num_updates is set twice"),
        (["maze", "--set", "iql.num_updates=9", 'iql={"n_step": 2}'], "iql is set twice: give it once"),
        (["maze", "--set", "methods=btl", "--methods", "oracle"], "--methods and --set methods set the same: give one"),
        (["maze", "--set", "preferences=5", "--teacher", "rational"], "--teacher and --set preferences.teacher set"),
        (["maze", "--set", "seeds=[1]", "--seed-list", "2"], "--seed-list and --set seeds set the same"),
        (["maze", "--set", "data_per_seed=false", "--data-per-seed"], "--data-per-seed and --set data_per_seed set"),
        (["maze", "--set", "iql.updates=3"], "did you mean 'iql.num_updates'"),
        (["maze", "--set", "preferences.segment_length=0"], "at least 1"),
        # formerly ignored in silence
        (["maze", "--set", "learner_settings.*.kl_wieght=1"], "did you mean 'learner_settings.*.kl_weight'?\n"),
        (["maze", "--set", "learner_settings.vpl.foo=1"], "unknown setting 'learner_settings.vpl.foo'; known: "),
        (["maze", "--set", "learner_settings.vlp.kl_weight=1"], "did you mean 'learner_settings.vpl'"),
        (["maze", "--set", "learner_settings.btl.kl_weight=1"], "learner_settings.btl.kl_weight"),
        # formerly found out after other fits or after training
        (["maze", "--set", "learner_settings.vpl.num_updates=0"], "num_updates must be at least 1"),
        (["maze", "--set", "learner_settings.*.learning_rate=NaN"], "finite"),
        (["maze", "--set", "iql.learning_rate=NaN"], "iql.learning_rate must be a finite number"),
        (["maze", "--set", "iql.temperature=Infinity"], "iql.temperature must be a finite number"),
        (["maze", "--set", "iql.advantage_clip=nan"], "iql.advantage_clip must be a finite number"),
        (["maze", "--set", "iql.hidden_sizes=32,32"], "iql.hidden_sizes: a list is written [32,32], got '32,32'"),
        (["maze", "--set", "iql=5"], "expected settings by name"),
        (["maze", "--set", "iql.discount=0.9", "iql=5"], "iql"),
        (["maze", "--set", "iql.features.wavelengths=[2.0]", "iql.features.sinusoid_columns=[]"], "belong together"),
        (["maze", "--set", "iql.implementation=reference", "iql.precision=bfloat16"], "float32"),
        (
            ["maze", "--methods", "maxmin@maxmin", "--set", "iql.implementation=reference"],
            "use iql.implementation=fast",
        ),
        (["mase"], "unknown command 'mase'; did you mean 'maze'?"),
        (["own.py:OWN"], "'own.py:OWN' is no command; a file's environment: pluralbench run own.py:OWN"),
        (["run", "mase"], "did you mean 'maze'"),
        (["run", "nowhere.py:MINE"], "no file nowhere.py"),
        (["active", "--environment", "maze", "--preset", "smoke"], "no one-step outcome model"),
        (["active", "--environment", "habitat-tidi"], "did you mean 'habitat-tidy'"),
        (["users", "--environment", "maze"], "environment with this sweep"),
        ([], "COMMAND"),
        (["plot", "no-such-folder"], "there is no folder no-such-folder"),
        (["report", "no-such-folder"], "there is no folder no-such-folder"),
        (["speed", "--only", "laballing"], "did you mean 'labelling'"),
        (["data", "inspect", "no-such-file.hdf5"], "no-such-file.hdf5"),
        (["data", "generate", "maze", "x.hdf5", "--transitions", "0"], "at least 1"),
    ],
)
def test_wrong_input_is_one_line_with_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert len(output.err.strip().splitlines()) == 1
    assert "Traceback" not in output.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_pictures")
def test_settings_that_belong_together_are_checked_together(run):
    """Formerly either of the two failed for want of the other."""
    words = ("iql.features.sinusoid_columns=[0,1]", "iql.features.wavelengths=[4.0]", "iql.num_updates=1e1",
             "evaluation.episodes=1", "evaluation.curve_episodes=1")  # fmt: skip
    assert run("maze", "--preset", "smoke", "--methods", "oracle", "--suite", "own", "--set", *words) == 0


def test_an_output_folder_that_cannot_be_written_is_said_before_any_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([*SMOKE, "--out", str(tmp_path / "file")]) == 2
    assert "choose another folder with --out" in capsys.readouterr().err


def test_config_json_holds_every_setting_as_used(smoke):
    """Formerly without latent_size, encoder and annealing_cycles, and with `"precision": "auto"`."""
    config = json.loads((smoke[0] / "results/own/maze/vpl/seed_0/config.json").read_text())["experiment"]
    assert {"latent_size", "encoder", "annealing_cycles", "kl_weight"} <= set(config["learner_settings"]["vpl"])
    assert config["iql"]["precision"] in ("float32", "bfloat16")
    names = {field.name for field in dataclasses.fields(IQLSettings)}
    assert set(config["iql"]) == names
    assert config["iql"]["features"]["wavelengths"] == [8.0, 4.0, 2.0]


def test_help_and_list_answer_without_torch():
    code = (
        "import sys, contextlib, io\n"
        "from pluralbench.benchmarks.commands.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main([sys.argv[1]])\n"
        "print([name for name in ('torch', 'mujoco', 'pybullet', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    for command in ("--help", "list", "--version"):
        done = subprocess.run([sys.executable, "-c", code, command], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


def test_no_cuda_is_said_before_any_work(capsys, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    assert main(["maze", "--device", "cuda", "--out", str(tmp_path / "r")]) == 2
    assert "no CUDA device here" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("content", [b"just some text\n", b"\x89HDF\r\n\x1a\n" + b"\0" * 64, b""])
def test_a_file_that_is_no_dataset_is_named(content, capsys, tmp_path):
    path = tmp_path / "data.hdf5"
    path.write_bytes(content)
    assert main(["maze", "--dataset", str(path), "--out", str(tmp_path / "results")]) == 2
    assert "data.hdf5" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("*.json"))
    assert main(["data", "inspect", str(path)]) == 2
    output = capsys.readouterr().err
    assert "data.hdf5" in output
    assert len(output.strip().splitlines()) == 1


@pytest.mark.usefixtures("no_pictures")
def test_data_goes_through_files(capsys, tmp_path):
    source, target = tmp_path / "maze.hdf5", tmp_path / "maze.npz"
    assert main(["data", "generate", "maze", str(source), "--transitions", "2000"]) == 0
    assert main(["data", "inspect", str(source)]) == 0
    assert "transitions   2" in capsys.readouterr().out
    assert main([*SMOKE, "--methods", "oracle", "--dataset", str(source), "--out", str(tmp_path / "results")]) == 0
    assert main(["ravens", "--preset", "smoke", "--dataset", str(source), "--out", str(tmp_path / "results")]) == 2
    assert "ravens has (7, 4)" in capsys.readouterr().err
    assert main(["data", "convert", str(source), str(target)]) == 0
    assert target.stat().st_size > 1000
    assert main(["data", "convert", str(source), str(tmp_path / "maze.txt")]) == 2


def test_data_goes_through_minari_in_the_working_directory(capsys, tmp_path, monkeypatch):
    pytest.importorskip("minari")
    monkeypatch.chdir(tmp_path)
    assert main(["data", "generate", "maze", "maze.hdf5", "--transitions", "1000"]) == 0
    assert main(["data", "convert", "maze.hdf5", "maze-own-v0"]) == 0
    assert main(["data", "convert", "maze-own-v0", "again.hdf5"]) == 0
    first, again = load_transitions("maze.hdf5"), load_transitions("again.hdf5")
    np.testing.assert_array_equal(first.observations, again.observations)
    np.testing.assert_array_equal(first.timeouts, again.timeouts)


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in ("maze", "two-goals", "rational", "vpl", "spo", "quick", "worst-off group"):
        assert name in text


def test_an_option_of_several_values_may_be_given_several_times():
    """Formerly the last one won, and what stood in the others was lost without a word."""
    words = "maze --set a=1 b=2 --set c=3 --methods btl --methods vpl vpl+spo --seed-list 7 --seed-list 8 9"
    options = make_parser().parse_args(words.split())
    assert options.set == ["a=1", "b=2", "c=3"]
    assert options.methods == ["btl", "vpl", "vpl+spo"]
    assert options.seed_list == [7, 8, 9]
    assert make_parser().parse_args(["maze"]).set == []
    assert make_parser().parse_args(["speed", "--only", "a", "--only", "b"]).only == ["a", "b"]


def test_descriptions_stand_below_each_other_however_long_names_are(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.split("policies")[0].split("populations\n")[1].splitlines()
    columns = {len(line) - len(re.sub(r"^  \S+ +", "", line)) for line in lines if line.strip()}
    assert len(columns) == 1


def test_a_run_that_is_refused_leaves_no_empty_folders(run, tmp_path):
    (tmp_path / "bad.hdf5").write_text("?")
    command = ("maze", "--preset", "smoke", "--methods", "oracle", "--dataset", tmp_path / "bad.hdf5")
    assert run(*command, out=tmp_path / "results") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bad.hdf5"]
    (tmp_path / "results").mkdir()  # not ours to remove
    assert run(*command, out=tmp_path / "results") == 2
    assert list((tmp_path / "results").iterdir()) == []


@pytest.mark.usefixtures("no_pictures")
def test_resume_says_where_there_is_nothing_to_go_on_from(run, capsys):
    command = ("maze", "--preset", "smoke", "--methods", "oracle", "--suite", "never", "--set", "iql.num_updates=2",
               "evaluation.episodes=1")  # fmt: skip
    assert run(*command, "--resume") == 0
    assert "never has nothing of maze to go on from: begun anew\n" in capsys.readouterr().out
    assert run(*command, "--resume") == 0
    assert "nothing" not in capsys.readouterr().out
