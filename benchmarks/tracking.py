"""Metrics and figures as they come, for TensorBoard or Weights & Biases, beside the csv files that are always written.

A run's name is `<environment>/<method>/seed_<k>`, a reward model's `<environment>/reward_models/<learner>/seed_<k>`.
Tags are `reward/<metric>`, `policy/<metric>`, `success/mean` and `success/<group>`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from pluralbench.errors import InputError
from pluralbench.registry import unknown_name

TRACKERS = ("tensorboard", "wandb")
FIGURES = "figures"
"""Name of the run that holds the figures."""


class TrackingError(InputError):
    """No such tracker, or its package is not installed; one line."""


class Tracker(ABC):
    """Told of numbers and pictures while an experiment runs."""

    @abstractmethod
    def scalars(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Numbers by tag after `step` updates of a run."""

    @abstractmethod
    def picture(self, path: Path) -> None:
        """A figure that has just been drawn."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is not written yet; `contextlib.closing` calls it."""


class Trackers(Tracker):
    """Several at once, or none."""

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self._trackers = tuple(trackers)

    def scalars(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """Tells all."""
        for tracker in self._trackers:
            tracker.scalars(run, step, values)

    def picture(self, path: Path) -> None:
        """Tells all."""
        for tracker in self._trackers:
            tracker.picture(path)

    def close(self) -> None:
        """Closes all."""
        for tracker in self._trackers:
            tracker.close()


class TensorBoard(Tracker):
    """Event files in `folder`, one folder in it for each run: `tensorboard --logdir folder`."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise TrackingError('TensorBoard is not installed; `pip install "pluralbench[track]"`') from error
        self._folder, self._make = folder, SummaryWriter
        self._writers: dict[str, Any] = {}

    def _writer(self, run: str) -> Any:
        if run not in self._writers:
            self._writers[run] = self._make(str(self._folder / run))
        return self._writers[run]

    def scalars(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """One event each, on the disk at once."""
        writer = self._writer(run)
        for tag, value in values.items():
            writer.add_scalar(tag, value, step)
        writer.flush()

    def picture(self, path: Path) -> None:
        """An image under the file's name."""
        with Image.open(path) as image:
            self._writer(FIGURES).add_image(path.stem, np.asarray(image.convert("RGB")), dataformats="HWC")
        self._writer(FIGURES).flush()

    def close(self) -> None:
        """Closes all files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


class WeightsAndBiases(Tracker):
    """Runs of W&B in `folder`, offline unless WANDB_MODE says otherwise: `wandb sync folder/wandb/offline-run-*`."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # of W&B's own faults, looked up when it is imported
        try:
            import wandb
        except ImportError as error:
            raise TrackingError('W&B is not installed; `pip install "pluralbench[track]"`') from error
        self._wandb, self._folder = wandb, folder
        self._mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._runs: dict[str, Any] = {}

    def _run(self, name: str) -> Any:
        if name not in self._runs:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._runs[name] = self._wandb.init(
                project="pluralbench",
                group=self._folder.parent.name,
                name=name,
                dir=str(self._folder),
                mode=self._mode,
                reinit="create_new",
                settings=self._wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
            )
        return self._runs[name]

    def scalars(self, run: str, step: int, values: Mapping[str, float]) -> None:
        """A row of the run's history, with the number of updates as a column: models and policies count their own."""
        self._run(run).log({"updates": step, **values})

    def picture(self, path: Path) -> None:
        """An image under the file's name."""
        self._run(FIGURES).log({path.stem: self._wandb.Image(str(path))})

    def close(self) -> None:
        """Ends all runs."""
        for run in self._runs.values():
            run.finish()
        self._runs = {}


def make_tracker(names: Sequence[str], suite_folder: Path) -> Tracker:
    """The trackers of these names, which write into folders of the suite's that are called so.

    Raises:
        TrackingError: no such tracker, or its package is not installed.
    """
    makers = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}
    for name in names:
        if name not in makers:
            raise TrackingError(unknown_name("tracker", name, list(TRACKERS)))
    return Trackers([makers[name](suite_folder / name) for name in dict.fromkeys(names)])


def success_by_group(rates: ArrayLike, groups: ArrayLike, names: Sequence[str]) -> dict[str, float]:
    """Tags of success rates (U,) of users whose groups are rows (U,) of `names`: the mean, and each group's mean."""
    rates, groups = np.asarray(rates, dtype=np.float64), np.asarray(groups)
    found = {"success/mean": float(rates.mean())}
    for group in np.unique(groups):
        found[f"success/{names[group]}"] = float(rates[groups == group].mean())
    return found
