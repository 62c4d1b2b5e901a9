"""Experiments in parts: on processes and on a Ray cluster they give what they give in one process, file by file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pluralbench.benchmarks.commands.cli import main
from pluralbench.envs.vectors import usable_processors

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("maze", "--preset", "smoke", "--seeds", "2", "--methods", "tour", "oracle", "btl", "vpl+spo")
FRAGILE = """
import os, signal
from pathlib import Path
from pluralbench.reward_learning.btl import BTL

HERE = Path(__file__).parent

class Fragile(BTL):
    name = "fragile"

    def fit(self, *arguments, **options):
        tries = HERE / f"tries-{os.environ.get('PLURALBENCH_TEST', '')}"
        with tries.open("a") as file:
            file.write("x")
        if tries.stat().st_size <= int((HERE / "deaths").read_text()):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(*arguments, **options)

class Faulty(BTL):
    name = "faulty"

    def fit(self, *arguments, **options):
        raise ZeroDivisionError("of mine")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Results of one process, and data for all."""
    folder = tmp_path_factory.mktemp("launch")
    start(folder, "here")
    return folder


def start(folder: Path, name: str, *more: str, arguments=SMALL, code=0) -> Path:
    """Runs the command line with one thread, as all processes have; gives the suite's folder."""
    place = ("--out", str(folder / name), "--suite", "own", "--data-dir", str(folder / "data"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pluralbench", *arguments, *place, *more]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == code, done.stderr
    (folder / f"{name}.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    return folder / name / "own"


def files(folder: Path) -> dict[str, object]:
    """All that an experiment wrote, but for checkpoints, times, and what made it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and "checkpoints" not in name and not name.endswith(".lock"):
            found[name] = without_times(json.loads(path.read_text())) if path.suffix == ".json" else path.read_bytes()
    return found


def without_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in ("seconds", "command", "commit")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("chosen", [("--jobs", "2"), ("--launcher", "local")])
def test_processes_give_the_same_files(place, chosen):
    name = chosen[0].strip("-")
    found, expected = files(start(place, name, *chosen)), files(place / "here" / "own")
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
    said = (place / f"{name}.txt").read_text()
    assert f"tasks on {2 if chosen[0] == '--jobs' else usable_processors()} processes" in said
    assert "reward model vpl, seed 1" in said
    assert not list((place / name).rglob(".tasks"))


@pytest.mark.slow
def test_what_is_there_is_not_done_again(place):
    folder = start(place, "again", "--jobs", "2")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")}
    start(place, "again", "--jobs", "2", "--resume")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("summary.json")} == before
    said = (place / "again.txt").read_text()
    assert "policies of" not in said
    lost = folder / "maze" / "btl" / "seed_1"
    (lost / "summary.json").unlink()
    start(place, "again", "--jobs", "2", "--resume")
    assert "policies of btl, seeds 1:" in (place / "again.txt").read_text()
    assert {path for path, time in before.items() if path.stat().st_mtime_ns != time} == {lost / "summary.json"}


def fragile(folder: Path, deaths: int) -> tuple[str, ...]:
    (folder / "fragile.py").write_text(FRAGILE, encoding="utf-8")
    (folder / "deaths").write_text(str(deaths), encoding="utf-8")
    return (*SMALL[:3], "--methods", "oracle", "fragile.py:Fragile")  # found from the folder where it was started


@pytest.mark.slow
def test_the_task_of_a_lost_process_is_done_again(place, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(place / "data")
    arguments = fragile(tmp_path, deaths=0)
    expected = files(start(tmp_path, "whole", arguments=arguments))
    monkeypatch.setenv("PLURALBENCH_TEST", "lost")
    fragile(tmp_path, deaths=2)
    found = files(start(tmp_path, "lost", "--jobs", "2", arguments=arguments))
    assert (tmp_path / "tries-lost").read_text() == "xxx"
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.slow
def test_a_task_that_is_lost_every_time_ends_in_a_line(place, tmp_path):
    (tmp_path / "data").symlink_to(place / "data")
    start(tmp_path, "lost", "--jobs", "2", arguments=fragile(tmp_path, deaths=99), code=2)
    said = (tmp_path / "lost.txt").read_text().splitlines()
    assert said[-1].startswith("pluralbench: reward model fragile.py:Fragile, seed 0: worker process ended")
    assert said[-1].endswith("3 times")


def test_faults_of_users_code_are_told_as_in_one_process(place, tmp_path):
    (tmp_path / "data").symlink_to(place / "data")
    fragile(tmp_path, deaths=0)
    arguments = (*SMALL[:3], "--methods", "oracle", "fragile.py:Faulty")
    last = []
    for name, more in (("one", ()), ("two", ("--jobs", "2"))):
        start(tmp_path, name, *more, arguments=arguments, code=2)
        last.append((tmp_path / f"{name}.txt").read_text().splitlines()[-1])
    assert "ZeroDivisionError: of mine" in last[0]
    assert last[0].startswith(last[1])  # it also says how to see the traceback


@pytest.mark.slow
def test_several_experiments_share_the_processes(place, tmp_path):
    (tmp_path / "data").symlink_to(place / "data")
    arguments = ("noise", "--preset", "smoke", "--methods", "oracle", "btl")
    expected = files(start(tmp_path, "here", arguments=arguments))
    found = files(start(tmp_path, "apart", "--jobs", "2", arguments=arguments))
    assert [name for name in expected if found.get(name) != expected[name]] == []


@pytest.mark.slow
def test_a_stack_is_taken_apart_where_that_is_asked_for(place, tmp_path):
    (tmp_path / "data").symlink_to(place / "data")
    folder = start(tmp_path, "single", "--jobs", "2", "--runs-per-task", "1")
    said = (tmp_path / "single.txt").read_text()
    assert all(f"policies of {method}, seeds {seed}: " in said for method in ("btl", "vpl+spo") for seed in (0, 1))
    assert len(list(folder.rglob("summary.json"))) == len(list((place / "here").rglob("summary.json"))) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--launcher", "slurm"], "unknown launcher 'slurm'; use local or ray"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--launcher", "ray", "--device", "cuda"], "--device cuda on Ray needs --gpus-per-task"),
        (["--launcher", "ray", "--device", "cpu", "--gpus-per-task", "1"], "--gpus-per-task is for --device cuda"),
        (["--launcher", "ray", "--jobs", "2"], "--jobs is for --launcher local"),
        (["--launcher", "ray", "--cpus-per-task", "0"], "--cpus-per-task must be at least 1"),
        (["--jobs", "2", "--runs-per-task", "-1"], "--runs-per-task must be at least 1"),
        (["--runs-per-task", "1"], "--runs-per-task is for several processes"),
    ],
)
def test_wrong_options_are_refused_before_any_work(options, message, tmp_path, capsys):
    assert main(["maze", "--preset", "smoke", "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_ray_the_command_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["maze", "--preset", "smoke", "--out", str(tmp_path / "out"), "--launcher", "ray"]) == 2
    assert 'pip install "pluralbench[ray]"' in capsys.readouterr().err


@pytest.mark.slow
def test_a_ray_cluster_of_two_nodes_that_loses_a_worker_gives_the_same_files(place):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_worker_niceness", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    killed = []
    try:
        cluster.add_node(num_cpus=1)

        def kill() -> None:
            """Kills the first worker that is in the middle of a task, and no other."""
            while not killed:
                time.sleep(0.2)
                for status in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        at_work = status.read_bytes().startswith(b"ray::_perform")
                    except OSError:
                        continue
                    if at_work:
                        time.sleep(1.0)
                        os.kill(int(status.parent.name), signal.SIGKILL)
                        killed.append(status.parent.name)
                        return

        threading.Thread(target=kill, daemon=True).start()
        folder = start(place, "ray", "--launcher", "ray", "--ray-address", cluster.address)
    finally:
        cluster.shutdown()
    assert killed
    assert "tasks on 2 Ray nodes" in (place / "ray.txt").read_text()
    found, expected = files(folder), files(place / "here" / "own")
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
