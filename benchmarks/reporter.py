"""Progress bars with the time left, and the lines that a person reads meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pluralbench.progress import Progress as Advance

FILE_WIDTH = 120
"""Columns of tables where output goes to a file."""


class Reporter:
    """Shows stages as progress bars on a terminal, and as one line each where output goes to a file."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or Console(quiet=quiet, highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = FILE_WIDTH

    def line(self, text: str) -> None:
        """One line, as it is: brackets are no markup."""
        self.console.print(text, markup=False)

    @contextmanager
    def stage(self, title: str) -> Iterator[Advance]:
        """Yields a callable that takes (done, total); prints the stage's seconds at its end."""
        start = time.perf_counter()
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ) as bars:
            task = bars.add_task(title, total=None)

            def advance(done: int, total: int) -> None:
                bars.update(task, completed=done, total=total)

            yield advance
        self.line(f"{title}: {time.perf_counter() - start:.1f} s")
