"""A benchmark killed wherever SIGKILL strikes and resumed ends with the numbers of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

METHODS = ("oracle", "btl", "vpl+spo")


def _start(out: Path, data: Path, *more: str) -> subprocess.Popen[bytes]:
    arguments = ["maze", "--preset", "smoke", "--methods", *METHODS, "--out", str(out), "--data-dir", str(data), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "pluralbench", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _numbers(out: Path) -> dict[str, str]:
    folder = out / "smoke"
    files = [folder / "success_rates.csv", *sorted(folder.glob("maze/*/seed_0/metrics.csv"))]
    assert len(files) == 1 + len(METHODS)
    return {str(file.relative_to(out)): file.read_text() for file in files}


@pytest.mark.slow
def test_a_benchmark_killed_at_three_random_moments_ends_the_same(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert _start(tmp_path / "first", data).wait() == 0  # collects the data
    began = time.monotonic()
    assert _start(tmp_path / "undisturbed", data).wait() == 0
    duration = time.monotonic() - began
    moments = random.Random(int(os.environ.get("PLURALBENCH_KILL_SEED", "0")))
    killed = tmp_path / "killed"
    for attempt in range(3):
        process = _start(killed, data, *(["--resume"] if attempt else []))
        time.sleep(duration * moments.uniform(0.3, 0.95))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert _start(killed, data, "--resume").wait() == 0
    assert _numbers(killed) == _numbers(tmp_path / "undisturbed") == _numbers(tmp_path / "first")
