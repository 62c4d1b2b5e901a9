"""Where results and data go: refused before any work where they cannot be written, have no room or no possible name."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pluralbench.benchmarks.commands.arguments import UsageError, suite_name
from pluralbench.envs import MultiGoalTask
from pluralbench.folders import check_names, check_room, make_writable

OUT_ADVICE = "choose another folder with --out"
SMALL_RESULTS = 4 * 1000**2
"""Bytes of the tables and figures of one experiment, roughly."""
NUMBER_BYTES = 4
"""Of a float32."""


def suite_folder(options: argparse.Namespace, population: str | None, sweep: str | None = None) -> Path:
    """The folder of results below `--out`.

    Raises:
        UsageError: `--suite` leads elsewhere.
    """
    name = Path(suite_name(options, population, sweep))
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise UsageError(f"--suite names a folder below --out, got {str(name)!r}; for another place give --out FOLDER")
    return Path(options.out / name)


@contextmanager
def removed_where_empty(folders: Iterable[Path]) -> Iterator[None]:
    """Where what is done within fails: takes away those of the folders and their parents that it made for nothing."""
    missing = {place for folder in folders for place in (folder, *folder.parents) if not place.exists()}
    try:
        yield
    except BaseException:
        for place in sorted(missing, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):  # it holds something, or was never made
                place.rmdir()
        raise


def check_result_folder(folder: Path) -> None:
    """Makes a folder that tables and figures are going to be written into.

    Raises:
        FolderError: that cannot be; the message says why and what to do.
    """
    check_names(folder, ["figure.png"], OUT_ADVICE)
    check_room(folder, SMALL_RESULTS, OUT_ADVICE)
    make_writable(folder, OUT_ADVICE)


def check_target(path: Path, num_bytes: int = 0) -> None:
    """As `check_result_folder`, for one file.

    Raises:
        UsageError: there is a folder of this name.
        FolderError: it cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    advice = "choose another place"
    check_names(path.parent, [path.name], advice)
    check_room(path.parent, num_bytes, advice)
    make_writable(path.parent, advice)


def dataset_bytes(task: MultiGoalTask, num_transitions: int) -> int:
    """Of a file of so many transitions: observations before and after, action, reward, and two flags of one byte."""
    numbers = 2 * task.observation_size + task.action_size + 1
    return num_transitions * (NUMBER_BYTES * numbers + 2)
