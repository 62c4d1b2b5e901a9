"""How the program ends as a process: signals at any moment, output that nobody reads, files that may not grow."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pluralbench.envs import TransitionDataset, save_transitions

SMOKE = ("maze", "--preset", "smoke", "--methods", "btl", "--out", "results", "--data-dir", "data")
UNDER_TEST = {name: value for name, value in os.environ.items() if name != "PLURALBENCH_TRACEBACK"}


def start(*arguments, folder, options=(), limit=None, **streams):
    """Starts the program as a shell would: signals are not ignored."""

    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, *options, "-m", "pluralbench", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(command, cwd=folder, env=UNDER_TEST, text=True, preexec_fn=prepare, **streams)


def children_of(pid):
    """The processes that a process started and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.8])
def test_ctrl_c_while_modules_are_imported_is_one_line_and_130(seconds, tmp_path):
    process = start(*SMOKE, folder=tmp_path, options=("-X", "importtime"), stdout=subprocess.DEVNULL)
    while "| argparse" not in " ".join(process.stderr.readline().split()):  # the first import of the command line
        assert process.poll() is None
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    said = [line for line in process.communicate()[1].splitlines() if not line.startswith("import time:")]
    assert process.returncode == 130
    assert [line.partition(";")[0] for line in said] == ["pluralbench: interrupted"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes where Linux shows them")
def test_sigterm_at_work_ends_the_workers_and_leaves_nothing_half_written(tmp_path):
    process = start("data", "generate", "ravens", "data.hdf5", "--transitions", "1000000", folder=tmp_path)
    while len(workers := children_of(process.pid)) < min(2, len(os.sched_getaffinity(0))):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    output, said = process.communicate(timeout=60)
    assert (process.returncode, output, said) == (143, "", "pluralbench: stopped by SIGTERM\n")
    for _ in range(500):  # one that was just about to start ends when it finds nobody there
        if not [pid for pid in workers if Path(f"/proc/{pid}").exists()]:
            break
        time.sleep(0.02)
    else:
        pytest.fail(f"still running: {workers}")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_that_nobody_reads_ends_it_without_a_word(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    process = start("list", folder=tmp_path, stdout=writing)
    os.close(writing)
    assert process.communicate()[1] == ""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_output_that_cannot_be_written_is_one_line(tmp_path):
    with Path("/dev/full").open("w") as full:
        process = start("list", folder=tmp_path, stdout=full)
        said = process.communicate()[1]
    assert (process.returncode, said) == (2, "pluralbench: a file cannot be read or written: the disk is full\n")


def test_a_file_that_may_not_grow_is_named_and_not_left_half_written(tmp_path):
    """Formerly HDF5 said so twenty times and crashed."""
    columns = np.zeros((5_000, 4), np.float32)
    never = np.zeros(5_000, np.bool_)
    save_transitions(TransitionDataset(columns, columns, columns, columns[:, 0], never, never), tmp_path / "all.hdf5")
    process = start("data", "convert", "all.hdf5", "small.hdf5", folder=tmp_path, limit=20_000)
    said = process.communicate()[1]
    line = "pluralbench: small.hdf5: the file grows larger than the system allows\n"
    assert (process.returncode, said) == (2, line)
    assert [path.name for path in tmp_path.iterdir()] == ["all.hdf5"]


@pytest.mark.parametrize("arguments", [("list",), ("maze", "--nonsense-naïve", "[/x]")])
def test_a_terminal_that_knows_few_letters_is_no_reason_to_fail(arguments, tmp_path, monkeypatch):
    monkeypatch.setitem(UNDER_TEST, "LC_ALL", "C")
    monkeypatch.setitem(UNDER_TEST, "PYTHONIOENCODING", "ascii")
    process = start(*arguments, folder=tmp_path)
    said = process.communicate()[1]
    assert process.returncode == (0 if arguments == ("list",) else 2)
    assert said.count("\n") == process.returncode // 2
