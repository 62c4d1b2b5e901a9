"""`--track`: event files of TensorBoard and offline runs of W&B say what metrics.csv says."""

from __future__ import annotations

import csv
import json
import os
import struct
import subprocess
import sys
from collections import defaultdict

import pytest

from pluralbench.benchmarks.tracking import TrackingError, make_tracker, success_by_group

SMALL = ("maze", "--preset", "smoke", "--suite", "own", "--methods", "tour", "oracle", "btl")
pytestmark = pytest.mark.usefixtures("few_answers", "no_rollouts")


def events(folder):
    """(step, value) by tag of each run's event files."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = {}
    for path in sorted({file.parent for file in folder.rglob("events.out.*")}):
        reader = accumulators.EventAccumulator(str(path), size_guidance={"images": 0, "scalars": 0})
        reader.Reload()
        scalars = {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
        found[path.relative_to(folder).as_posix()] = scalars | dict.fromkeys(reader.Tags()["images"])
    return found


def rows(path, stage):
    """(step, value) by metric of a stage in metrics.csv."""
    found = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["stage"] == stage:
                found[row["metric"]].append((int(float(row["step"])), pytest.approx(float(row["value"]), rel=1e-4)))
    return found


def check(suite):
    found = events(suite / "tensorboard")
    table = suite / "maze" / "btl" / "seed_0" / "metrics.csv"
    tracked, trained = found["maze/btl/seed_0"], found["maze/reward_models/btl/seed_0"]
    for name, expected in rows(table, "policy").items():
        assert tracked[f"policy/{name}"] == expected
    for name, expected in rows(table, "reward").items():
        assert trained[f"reward/{name}"] == expected
    assert tracked["success/mean"] == rows(table, "success")["mean"]
    assert len(tracked["success/(7, 1)"]) == len(tracked["success/mean"]) == 2
    assert len(trained["reward/accuracy on test users"]) == 1
    assert [step for step, _ in found["maze/tour/seed_0"]["success/mean"]] == [0]
    return found


def stored_records(data):
    """The records of a `.wandb` file, in LevelDB's log format: blocks of 32 KiB, each record whole or in pieces."""
    position, pieces = 7, b""  # behind ":W&B", a magic number and the version
    while position + 7 <= len(data):
        if 32_768 - position % 32_768 < 7:
            position += 32_768 - position % 32_768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        pieces += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or its last piece
            yield pieces
            pieces = b""


def test_tensorboards_events_are_the_numbers_of_the_tables(run, tmp_path):
    assert run(*SMALL, "--track", "tensorboard") == 0
    found = check(tmp_path / "own")
    assert {"maze-success", "maze-curves", "maze-reward-maps"} <= found["figures"].keys()


@pytest.mark.slow
def test_processes_write_the_same_events(run, tmp_path):
    assert run(*SMALL, "--track", "tensorboard", "--jobs", "2") == 0
    check(tmp_path / "own")


@pytest.mark.slow
def test_wandb_writes_offline_runs_and_sends_nothing(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert run(*SMALL, "--track", "wandb") == 0
    folders = sorted((tmp_path / "own" / "wandb" / "wandb").glob("*run-*"))
    assert folders
    assert all(folder.name.startswith("offline-run-") for folder in folders)
    history = {}
    for folder in folders:
        name, kept = "", []
        for data in stored_records(next(folder.glob("*.wandb")).read_bytes()):
            record = Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                name = record.run.display_name
            if record.HasField("history"):
                items = record.history.item
                kept.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
        history[name] = kept
    table = tmp_path / "own" / "maze" / "btl" / "seed_0" / "metrics.csv"
    means = [(row["updates"], row["success/mean"]) for row in history["maze/btl/seed_0"] if "success/mean" in row]
    assert means == rows(table, "success")["mean"]
    assert any("maze-success" in row for row in history["figures"])


@pytest.mark.parametrize(("chosen", "reports"), [(None, "false"), ("true", "true")])
def test_wandb_reports_its_own_faults_to_nobody_unless_asked_to(tmp_path, chosen, reports):
    """Offline too it would look up the address of a server for them."""
    pytest.importorskip("wandb")
    told = {} if chosen is None else {"WANDB_ERROR_REPORTING": chosen}
    rest = {name: value for name, value in os.environ.items() if name != "WANDB_ERROR_REPORTING"}
    program = (
        "import sys, types; from pathlib import Path; from pluralbench.benchmarks.tracking import make_tracker\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'wandb':\n"
        "            import os; print(os.environ['WANDB_ERROR_REPORTING'])\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"make_tracker(['wandb'], Path({str(tmp_path)!r})).close()"
    )
    done = subprocess.run([sys.executable, "-c", program], env={**rest, **told}, capture_output=True, text=True)
    assert done.stdout.split() == [reports], done.stderr


def test_nothing_is_tracked_unless_asked_for(run, tmp_path):
    assert run(*SMALL[:3], "--suite", "own", "--methods", "tour") == 0
    assert not (tmp_path / "own" / "tensorboard").exists()


def test_what_cannot_track_is_told_before_any_work(run, tmp_path, monkeypatch, capsys):
    assert run(*SMALL, "--track", "tensorbord") == 2
    assert "unknown tracker 'tensorbord'; did you mean 'tensorboard'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert run(*SMALL, "--track", "wandb") == 2
    assert 'pip install "pluralbench[track]"' in capsys.readouterr().err
    assert not (tmp_path / "own").exists()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrackingError, match="TensorBoard is not installed"):
        make_tracker(["tensorboard"], tmp_path)


def test_success_is_told_by_group():
    found = success_by_group([1.0, 0.0, 0.5], [2, 0, 2], ["a", "b", "c"])
    assert found == {"success/mean": 0.5, "success/a": 0.0, "success/c": 0.75}
