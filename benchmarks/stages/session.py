"""Where a run works and how it is told of: one object instead of five arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.tracking import Tracker, Trackers


@dataclass(frozen=True)
class Session:
    """One start of the program."""

    folder: Path  # the suite's folder, in which results go
    resume: bool = False  # go on from what an interrupted run of the same experiment left there
    data_dir: Path | None = None  # where datasets are kept; the user's cache folder by default
    reporter: Reporter = field(default_factory=Reporter)  # told of progress
    tracker: Tracker = field(default_factory=Trackers)  # told of numbers and figures
