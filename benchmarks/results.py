"""The files that a benchmark writes, and reading them back.

<out>/<suite>/
success_rates.csv                    one row per environment, population, method, seed and held-out user
<env>-*.png, <env>-*.svg             figures
<env>-reward-maps.npz, ...           what the figures draw
<env>/<method>/seed_<k>/
config.json                        every setting, the git commit, package versions, machine
metrics.csv                        long: stage,step,metric,value
summary.json                       final success by user, last metrics of the policy, diagnostics of the reward, seconds
model/, policy/                    safetensors + JSON, not committed
"""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pluralbench.files import replace_file

COLUMNS = ("environment", "population", "method", "seed", "user", "group", "episodes", "successes", "success_rate")
PACKAGES = ("pluralbench", "torch", "numpy", "gymnasium", "mujoco", "pybullet", "scipy", "h5py")


class ResultsError(ValueError):
    """A folder or a file that holds no results; the message says what was expected where."""


@dataclass(frozen=True)
class SuccessRate:
    """Final success of one method for one held-out user: a row of success_rates.csv."""

    environment: str
    population: str
    method: str
    seed: int
    user: int
    group: str
    episodes: int
    successes: int

    @property
    def success_rate(self) -> float:
        """Successes over all episodes."""
        return self.successes / self.episodes

    @property
    def of_held_out_group(self) -> bool:
        """Whether no train user belongs to this user's group; populations name such groups so."""
        return self.group.startswith("held-out")

    @property
    def run(self) -> tuple[str, str, str, int]:
        """What a repeated run replaces."""
        return self.environment, self.population, self.method, self.seed


def seed_folder(suite_folder: Path, environment: str, method: str, seed: int) -> Path:
    """Where one seed of one method keeps its files."""
    return suite_folder / environment / method / f"seed_{seed}"


def write_json(path: Path, value: object) -> None:
    """Writes beside and renames; NaN and infinity become null, for they are not JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(_finite(value), indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; ResultsError names a file that holds none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ResultsError(f"{path} is no JSON file of a benchmark ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise ResultsError(f"{path} holds a {type(value).__name__}, expected an object")
    return value


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return None
    return value


def write_metrics(path: Path, rows: Sequence[tuple[str, float, str, float]]) -> None:
    """Writes (stage, step, metric, value) rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("stage", "step", "metric", "value"))
        writer.writerows((stage, f"{step:g}", metric, f"{value:.6g}") for stage, step, metric, value in rows)


def read_metrics(path: Path) -> list[tuple[str, float, str, float]]:
    """Reads what `write_metrics` wrote."""
    with path.open(newline="") as file:
        return [(r["stage"], float(r["step"]), r["metric"], float(r["value"])) for r in csv.DictReader(file)]


def merge_success_rates(suite_folder: Path, rows: Iterable[SuccessRate]) -> None:
    """Adds rows to success_rates.csv; those of the same environment, population, method and seed are replaced."""
    new = list(rows)
    path = suite_folder / "success_rates.csv"
    replaced = {row.run for row in new}
    kept = [row for row in (read_success_rates(suite_folder) if path.exists() else []) if row.run not in replaced]
    suite_folder.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in sorted(kept + new, key=lambda r: (*r.run, r.user)):
            writer.writerow((*row.run, row.user, row.group, row.episodes, row.successes, f"{row.success_rate:.4f}"))


def read_success_rates(suite_folder: Path) -> list[SuccessRate]:
    """The rows of success_rates.csv; ResultsError where there is none or its columns are others."""
    path = suite_folder / "success_rates.csv"
    if not path.is_file():
        raise ResultsError(f"{suite_folder} holds no results: no success_rates.csv in it")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ResultsError(f"{path}: expected the columns {','.join(COLUMNS)}")
        return [
            SuccessRate(
                r["environment"], r["population"], r["method"], int(r["seed"]), int(r["user"]), r["group"],
                int(r["episodes"]), int(r["successes"]),
            )
            for r in reader
        ]  # fmt: skip


def provenance(device: str) -> dict[str, Any]:
    """What made a number: command, commit, package versions, machine."""
    return {
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "commit": _git_commit(),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores",
        "device": device,
    }


def _git_commit() -> str | None:
    source = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", "*.py"],
            cwd=source.parent, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None  # installed without its repository
    return commit + ("+changes" if changed else "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
