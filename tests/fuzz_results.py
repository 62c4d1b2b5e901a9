"""The files of a folder of results for `fuzz.py`: tables, JSON and arrays as a benchmark writes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from pluralbench.benchmarks.results import (
    SuccessRate,
    read_config,
    read_metrics,
    read_record,
    read_success_rates,
    read_summary,
    write_metrics,
    write_success_rates,
)
from pluralbench.benchmarks.results.figure_arrays import (
    load_latents,
    load_reward_maps,
    save_latents,
    save_reward_maps,
)
from pluralbench.benchmarks.results.records import read_training
from pluralbench.files import write_json

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))
from result_folders import DIAGNOSTICS, write_record, write_run

GROUPS = ("wants (7, 1)", "möchte anderes")


def rates() -> list[SuccessRate]:
    """Two methods with two seeds for four users."""
    return [
        SuccessRate("maze", "points", method, seed, user, GROUPS[user % 2], 5, user, 4)
        for method in ("btl", "vpl+spo")
        for seed in (0, 1)
        for user in range(4)
    ]


def write_rates(folder: Path) -> None:
    """success_rates.csv and the experiment.json that it is read with."""
    write_success_rates(folder, rates())
    write_record(folder, ["btl", "vpl+spo"], [0, 1], [{"name": name, "taught": name == GROUPS[0]} for name in GROUPS])


def read_rates(folder: Path) -> Any:
    """Every row."""
    return [repr(rate) for rate in read_success_rates(folder)]


def write_one(name: str, folder: Path) -> None:
    """One file of a run: config.json, metrics.csv, summary.json or training.json; or the environment's record."""
    kept = folder / "kept"
    own = write_run(kept, [rate for rate in rates() if rate.run[2:] == ("btl", 0)], reward_model=DIAGNOSTICS)
    rows = [(stage, step, "mean", 0.125 * step) for stage in ("reward", "success", "answers") for step in (1, 2, 4)]
    write_metrics(own / "metrics.csv", rows)
    write_json(own / "training.json", {"digest": "0123", "rows": [{"update": 5.0, "loss": None}], "seconds": 1.5})
    write_record(kept, ["btl"], [0, 1], [{"name": GROUPS[0], "taught": True}])
    (own.parents[1] / name if name == "experiment.json" else own / name).rename(folder / name)
    for path in sorted(kept.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    kept.rmdir()


def read_one(name: str, folder: Path) -> Any:
    """What `write_one` wrote."""
    if name == "experiment.json":
        place = folder / "maze"
        place.mkdir(exist_ok=True)
        (place / name).write_bytes((folder / name).read_bytes())
        return read_record(folder, "maze")
    reader = {"config.json": read_config, "metrics.csv": read_metrics, "summary.json": read_summary}.get(
        name, read_training
    )
    found = reader(folder / name)
    return repr(found) if isinstance(found, list) else found


def write_maps(folder: Path) -> None:
    """Two rewards' maps."""
    rng = np.random.default_rng(0)
    maps = {"learned": rng.normal(size=(2, 3, 4)), "true": rng.normal(size=(2, 3, 4)), "users": GROUPS}
    named = {**maps, "rows": ["cup", "fork", "könig"], "columns": list("abcd")}
    save_reward_maps(folder / "a.npz", {"vpl+spo": named, "btl": named})


def write_latents(folder: Path) -> None:
    """Two learners' latents."""
    rng = np.random.default_rng(0)
    means = {"means": rng.normal(size=(6, 2)).astype(np.float32), "groups": [GROUPS[user % 2] for user in range(6)]}
    save_latents(folder / "a.npz", {"vpl": means, "lore": means})


def read_maps(folder: Path) -> Any:
    """What `write_maps` wrote."""
    return load_reward_maps(folder / "a.npz")


def read_latents(folder: Path) -> Any:
    """What `write_latents` wrote."""
    return load_latents(folder / "a.npz")
