"""One process at a time works in a folder of results, and whoever reads there meanwhile sees whole files."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from result_folders import write_suite

from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.report import markdown_report
from pluralbench.benchmarks.results import folder_lock as module
from pluralbench.benchmarks.results.folder_lock import FolderInUseError, check_not_in_use, folder_lock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nobody is refused there")

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from pluralbench.benchmarks.results.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1]), print):
    print("held", flush=True)
    sys.stdin.read()
"""
FORK = """
import os, sys, time
from pathlib import Path
from pluralbench.benchmarks.results.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1]), print):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    sys.stdin.read()
"""
WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from result_folders import write_suite
print("begun", flush=True)
for number in range(40):
    write_suite(Path(sys.argv[1]), {"vpl": (9, 5, 1), f"m{number}": (number % 10, 3, 2)})
"""


def start(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder `tmp_path/smoke`."""
    process = start(HOLD, tmp_path / "smoke")
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("command", ["maze", "active"])
def test_a_second_process_is_refused_in_one_line_before_any_work(holder, tmp_path, capsys, command):
    more = ["--environment", "habitat-rearrange"] if command == "active" else []
    arguments = [command, *more, "--preset", "smoke", "--suite", "smoke", "--out", str(tmp_path)]
    assert main([*arguments, "--data-dir", str(tmp_path / "data")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert f"another run (process {holder.pid} on " in line
    assert f") works in {tmp_path / 'smoke'}: " in line
    assert [path.name for path in (tmp_path / "smoke").iterdir()] == [".lock"]
    assert not list((tmp_path / "data").rglob("*.hdf5"))


def test_a_sweep_is_refused_where_another_process_works_at_a_later_point(tmp_path, capsys):
    folder = tmp_path / "s" / "0.25"
    process = start(HOLD, folder)
    assert process.stdout.readline() == "held\n"
    try:
        assert main(["noise", "--preset", "smoke", "--suite", "s", "--out", str(tmp_path)]) == 2
    finally:
        process.kill()
        process.communicate()
    assert f"works in {folder}" in capsys.readouterr().err


def test_a_killed_process_leaves_no_lock(holder, tmp_path):
    folder = tmp_path / "smoke"
    with pytest.raises(FolderInUseError), folder_lock(folder, print):
        pass
    with pytest.raises(FolderInUseError):
        check_not_in_use(folder)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (folder / ".lock").exists()
    check_not_in_use(folder)
    with folder_lock(folder, print):
        assert f"process {os.getpid()} on " in (folder / ".lock").read_text()
    assert not (folder / ".lock").exists()


def test_a_forked_worker_does_not_hold_its_parents_folder(tmp_path):
    process = start(FORK, tmp_path)
    child = int(process.stdout.readline())
    try:
        with pytest.raises(FolderInUseError), folder_lock(tmp_path, print):
            pass
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives on
        with folder_lock(tmp_path, print):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_may_take_its_own_folder_again(tmp_path):
    with folder_lock(tmp_path, print):
        with folder_lock(tmp_path / "." / "", print):
            check_not_in_use(tmp_path)
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_what_is_raised_lets_go_of_the_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), folder_lock(tmp_path, print):
        raise KeyboardInterrupt
    assert not (tmp_path / ".lock").exists()


def test_where_there_are_no_locks_one_is_told_and_nobody_refused(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(module.fcntl, "flock", no_locks)
    lines = []
    with folder_lock(tmp_path, lines.append), folder_lock(tmp_path, lines.append):
        pass
    (line,) = lines
    assert "no locks on this file system" in line


def test_whoever_reads_while_a_run_writes_sees_whole_files(tmp_path):
    write_suite(tmp_path, {"vpl": (9, 5, 1)})
    process = start(WRITE, tmp_path, Path(__file__).parent)
    assert process.stdout.readline() == "begun\n"
    seen = set()
    while process.poll() is None:
        text = markdown_report(tmp_path)
        assert "is damaged" not in text
        seen.add(text)
    assert process.wait() == 0
    assert len(seen) > 3
    assert "| m39 |" in markdown_report(tmp_path)
