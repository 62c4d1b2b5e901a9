"""The files that a benchmark writes, and reading them back.

<out>/<suite>/
success_rates.csv                    one row per environment, population, method, seed and test user
<env>-*.png, <env>-*.pdf             figures
<env>-reward-maps.npz, ...           what the figures draw
<env>/experiment.json                what experiment this is: identity, methods, seeds, groups (`experiments.identity`)
<env>/<method>/seed_<k>/
config.json                          every setting, the git commit, package versions, machine
metrics.csv                          long: stage,step,metric,value
summary.json                         by user: final success, whether reward and policy were right; diagnostics, seconds
policy/                              safetensors + JSON, not committed
<env>/reward_models/<learner>/seed_<k>/   likewise
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.errors import InputError
from pluralbench.files import read_json, replace_file

_COLUMNS_BEFORE = (
    "environment",
    "population",
    "method",
    "seed",
    "user",
    "group",
    "episodes",
    "successes",
    "success_rate",
)
"""While an episode was a success as soon as its goal was reached."""
COLUMNS = (*_COLUMNS_BEFORE, "reached")


class ResultsError(InputError):
    """A folder or a file that holds no results; the message says what was expected where."""


@dataclass(frozen=True)
class SuccessRate:
    """Final success of one method for one test user: a row of success_rates.csv.

    `held_out` says that the user's group taught nothing; it stands in experiment.json, not in the row.
    """

    environment: str
    population: str
    method: str
    seed: int
    user: int
    group: str
    episodes: int
    successes: int  # episodes at the end of which things were as the user wants them
    reached: int  # episodes in which they were at any time, the papers' rule
    held_out: bool = False

    @property
    def success_rate(self) -> float:
        """Successes over all episodes."""
        return self.successes / self.episodes

    @property
    def reached_rate(self) -> float:
        """The same by the papers' rule."""
        return self.reached / self.episodes

    @property
    def run(self) -> tuple[str, str, str, int]:
        """What a repeated run replaces."""
        return self.environment, self.population, self.method, self.seed


def seed_folder(suite_folder: Path, environment: str, method: str, seed: int) -> Path:
    """Where one seed of one method keeps its files."""
    return suite_folder / environment / method / f"seed_{seed}"


def read_record(suite_folder: Path, environment: str) -> dict[str, Any]:
    """The environment's experiment.json; empty where there is none, as beside rates from elsewhere."""
    path = suite_folder / environment / "experiment.json"
    return read_json(path) if path.exists() else {}


def write_metrics(path: Path, rows: Sequence[tuple[str, float, str, float]]) -> None:
    """Writes (stage, step, metric, value) rows."""
    texts = ((stage, f"{step:g}", metric, f"{value:.6g}") for stage, step, metric, value in rows)
    _write_csv(path, [("stage", "step", "metric", "value"), *texts])


def _write_csv(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    with replace_file(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def read_metrics(path: Path) -> list[tuple[str, float, str, float]]:
    """Reads what `write_metrics` wrote.

    Raises:
        ResultsError: another file.
    """
    try:
        with path.open(newline="") as file:
            return [(r["stage"], float(r["step"]), r["metric"], float(r["value"])) for r in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ResultsError(f"{path}: expected the columns stage,step,metric,value ({error})") from error


def merge_success_rates(suite_folder: Path, rows: Iterable[SuccessRate]) -> None:
    """Adds rows to success_rates.csv; those of the same environment, population, method and seed are replaced."""
    new = list(rows)
    path = suite_folder / "success_rates.csv"
    replaced = {row.run for row in new}
    kept = [row for row in (read_success_rates(suite_folder) if path.exists() else []) if row.run not in replaced]
    write_success_rates(suite_folder, kept + new)


def write_success_rates(suite_folder: Path, rows: Iterable[SuccessRate]) -> None:
    """Writes success_rates.csv anew, its rows in order."""
    texts = (
        (*row.run, row.user, row.group, row.episodes, row.successes, f"{row.success_rate:.4f}", row.reached)
        for row in sorted(rows, key=lambda row: (*row.run, row.user))
    )
    _write_csv(suite_folder / "success_rates.csv", [COLUMNS, *texts])


def read_success_rates(suite_folder: Path) -> list[SuccessRate]:
    """The rows of success_rates.csv.

    Raises:
        ResultsError: there is none, its columns or numbers are none, or it was made while success meant `reached`.
    """
    path = suite_folder / "success_rates.csv"
    if not path.is_file():
        raise ResultsError(f"{suite_folder} holds no results: no success_rates.csv in it")
    held_out: dict[str, set[str]] = {}
    rates = []
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file)
            columns = tuple(reader.fieldnames or ())
            if columns == _COLUMNS_BEFORE:
                raise ResultsError(f"{path}: made before success was judged at the end of an episode: run it again")
            if columns != COLUMNS:
                raise ResultsError(f"{path}: expected the columns {','.join(COLUMNS)}")
            for row in reader:
                name = row["environment"]
                if name not in held_out:
                    groups = read_record(suite_folder, name).get("groups", [])
                    held_out[name] = {group["name"] for group in groups if not group["taught"]}
                rates.append(
                    SuccessRate(
                        name, row["population"], row["method"], int(row["seed"]), int(row["user"]), row["group"],
                        int(row["episodes"]), int(row["successes"]), int(row["reached"]),
                        row["group"] in held_out[name],
                    )
                )  # fmt: skip
    except InputError:
        raise
    except (TypeError, ValueError, csv.Error) as error:
        raise ResultsError(f"{path}: damaged ({error})") from error
    if not rates:
        raise ResultsError(f"{path} holds no row")
    return rates


def save_arrays(path: Path, arrays: dict[str, dict[str, Any]]) -> None:
    """One npz of named groups of arrays, `<name>/<part>`; stacks of pictures are stored in half precision."""
    small: dict[str, Any] = {}
    for name, parts in arrays.items():
        for part, value in parts.items():
            array = np.asarray(value)
            is_picture = array.dtype == np.float32 and array.ndim == 3
            small[f"{name}/{part}"] = array.astype(np.float16) if is_picture else array
    with replace_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **small)


def load_arrays(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """The arrays by name and part; nothing where there is no such file."""
    if not path.exists():
        return {}
    arrays: dict[str, dict[str, NDArray[Any]]] = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            name, _, part = key.rpartition("/")
            arrays.setdefault(name, {})[part] = file[key]
    return arrays
