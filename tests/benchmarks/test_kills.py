"""A benchmark that is killed, or whose disk is full, loses nothing that it had finished, and resumed ends the same.

Moments are drawn with PLURALBENCH_KILL_SEED, 0 by default. Finished is a file of data, a reward model with its
training.json, and a run with its summary.json: neither these nor anything beside them is ever written a second time.
"""

import ctypes
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of Unix")]

ROOT = Path(__file__).resolve().parents[2]
SUITES = {
    "iql": ("maze", "--preset", "smoke", "--suite", "own", "--methods", "oracle", "btl", "vpl+spo"),
    "greedy": ("habitat-rearrange", "--preset", "smoke", "--suite", "own", "--methods", "tour", "btl", "vpl"),
}
STAGES = ("data of the behaviour policy", "reward model", "reward model", "policies")
"""What stands in the last line of each stage: a kill falls between one of them and the next."""
KILLED_AT_A_RENAME = """
import os, pathlib, signal, sys
count, moment, name = int(sys.argv.pop(1)), sys.argv.pop(1), sys.argv.pop(1)
replace = pathlib.Path.replace
def counted(self, target):
    global count
    count -= pathlib.Path(target).name.endswith(name)
    if count <= 0 and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(self, target)
    if count <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.replace = counted
from pluralbench.benchmarks.commands.cli import main
sys.exit(main())
"""
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


class Place:
    """Where one experiment is run, again and again."""

    def __init__(self, suite, folder, data=None):
        self.folder = folder / "out" / "own"
        self.data = data or folder / "data"
        self._arguments = [*SUITES[suite], "--out", str(folder / "out"), "--data-dir", str(self.data)]

    def start(self, *more, code=None, **options):
        program = ["-m", "pluralbench"] if code is None else ["-c", code[0], *map(str, code[1:])]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, *program, *self._arguments, *more],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
        )  # fmt: skip

    def run(self, *more, **options):
        """Runs to the end; gives exit code, output and errors."""
        process = self.start(*more, **options)
        output, errors = process.communicate()
        return process.returncode, output, errors

    def numbers(self):
        files = [self.folder / "success_rates.csv", *self.folder.glob("*/*/seed_0/metrics.csv")]
        assert len(files) == 4
        return {str(file.relative_to(self.folder)): file.read_text() for file in files}

    def finished(self):
        """When each finished file was written."""
        last = [*self.data.rglob("*.hdf5"), *self.folder.rglob("training.json"), *self.folder.rglob("summary.json")]
        files = {path for end in last for path in ([end] if end.suffix == ".hdf5" else end.parent.rglob("*"))}
        return {
            path: path.stat().st_mtime_ns for path in files if path.is_file() and not path.name.endswith(".partial")
        }


@pytest.fixture(scope="module", params=SUITES)
def undisturbed(request, tmp_path_factory):
    """Name of the suite, its numbers, and for each stage how long it takes after which line."""
    place = Place(request.param, tmp_path_factory.mktemp("undisturbed"))
    process = place.start()
    lines = [(time.monotonic(), line) for line in process.stdout]
    assert process.wait() == 0, process.stderr.read()
    ends, at = [], 0
    for word in STAGES:
        at = next(number for number in range(at + 1, len(lines)) if word in lines[number][1])
        ends.append(at)
    windows = [(lines[begin][1], lines[end][0] - lines[begin][0]) for begin, end in zip([0, *ends], ends, strict=False)]
    return request.param, place.numbers(), windows, place.data


def _stage(line):
    """What a line tells of, without the seconds that it took, nor whether it was done or found done."""
    return line.rpartition(":")[0].removesuffix(" is kept")


def kill_within(place, begins, seconds, moments):
    """Kills at a random moment of the stage that begins after a line, whose seconds at its end do not count."""
    process = place.start("--resume")
    for line in process.stdout:
        if _stage(line) == _stage(begins):
            break
    time.sleep(moments.uniform(0, seconds))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_killed_in_every_stage_and_while_writing_it_ends_the_same_and_does_nothing_twice(undisturbed, tmp_path):
    suite, numbers, windows, _ = undisturbed
    moments = random.Random(int(os.environ.get("PLURALBENCH_KILL_SEED", "0")))
    place, kept = Place(suite, tmp_path), {}
    for begins, seconds in windows:  # data, a reward model, another, policies with their evaluations
        kill_within(place, begins, seconds, moments)
        kept |= place.finished()
    for count, moment, name in (
        (moments.randint(2, 12), "before", ""),
        (1, "after", "rates.csv"),
        (1, "after", "summary.json"),
    ):
        assert place.run("--resume", code=(KILLED_AT_A_RENAME, count, moment, name))[0] == -signal.SIGKILL
        kept |= place.finished()
    code, output, errors = place.run("--resume")
    assert code == 0, errors
    assert place.numbers() == numbers
    assert {path.name for path in kept} > {"model.safetensors", "training.json", "metrics.csv", "summary.json"}
    assert any(path.suffix == ".hdf5" for path in kept)
    now = place.finished()
    assert {path: now[path] for path in kept} == kept
    assert "missing" not in output
    assert not list(tmp_path.rglob(".lock"))


def limit_files(num_bytes):
    """For a process about to start: no file of its may grow larger; with SIGXFSZ ignored, as Python does."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


@pytest.mark.parametrize("undisturbed", ["iql"], indirect=True)
def test_files_that_must_not_grow_end_it_in_one_line_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    suite, numbers, _, data = undisturbed
    place, kept, reached = Place(suite, tmp_path, data), {}, []
    for num_bytes in (1_000, 6_000, 20_000):
        code, _, errors = place.run("--resume", preexec_fn=limit_files(num_bytes))
        assert (code, len(errors.splitlines())) == (2, 1), errors
        assert errors.startswith("pluralbench: ")
        kept |= place.finished()
        reached.append(len(kept))
        assert not list(place.folder.rglob("*.partial"))
    assert reached[-1] > reached[0]
    assert place.run("--resume")[0] == 0
    assert place.numbers() == numbers
    now = place.finished()
    assert {path: now[path] for path in kept} == kept


@contextmanager
def small_disk(folder, num_bytes, *options):
    """A file system of its own at `folder`; skips where none may be mounted."""
    folder.mkdir()
    given = ",".join([f"size={num_bytes}", *options])
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", given, "tmpfs", str(folder)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("undisturbed", ["greedy"], indirect=True)
def test_a_disk_that_fills_up_ends_it_in_one_line_and_resumed_it_ends_the_same(undisturbed, tmp_path):
    suite, numbers, windows, data = undisturbed
    with small_disk(tmp_path / "disk", 32 << 20) as disk:
        place = Place(suite, disk, data)
        process = place.start()
        for line in process.stdout:
            if _stage(line) == _stage(windows[2][0]):  # some reward models are fitted
                break
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        _, errors = process.communicate()
        assert (process.returncode, len(errors.splitlines())) == (2, 1), errors
        assert "full" in errors
        kept = place.finished()
        assert [path for path in kept if path.name == "training.json"]
        filler.unlink()
        assert place.run("--resume")[0] == 0
        assert place.numbers() == numbers
        now = place.finished()
        assert {path: now[path] for path in kept} == kept


def obey_permissions():
    """For a process about to start: root, too, may not write where nobody may."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                os._exit(77)


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    place = Place("iql", tmp_path)
    place.folder.parent.mkdir()
    place.folder.parent.chmod(0o555)
    try:
        code, output, errors = place.run(preexec_fn=obey_permissions)
    finally:
        place.folder.parent.chmod(0o755)
    if code == 77:
        pytest.skip("root may write anywhere here")
    assert (code, output, len(errors.splitlines())) == (2, "", 1)
    assert str(place.folder.parent) in errors
    assert not list(place.folder.parent.iterdir())
    assert not list(tmp_path.rglob("*.hdf5"))
