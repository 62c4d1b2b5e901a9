"""Progress bars with the time left, and the lines that a person reads meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from pluralbench.progress import Progress as Advance

FILE_WIDTH = 120
"""Columns of tables where output goes to a file."""


class _AsItStands(Console):
    """Shows every text as it stands: brackets are no markup, colons no pictures; ends where nobody reads on."""

    def __init__(self, quiet: bool) -> None:
        super().__init__(quiet=quiet, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Leaves it to the command line to end quietly, instead of ending the process here."""
        raise BrokenPipeError


class Reporter:
    """Shows stages as progress bars on a terminal, and as one line each where output goes to a file."""

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or _AsItStands(quiet)
        if not self.console.is_terminal:
            self.console.width = FILE_WIDTH

    def line(self, text: str) -> None:
        """One line, as it is."""
        self.console.print(Text(text))

    @contextmanager
    def stage(self, title: str) -> Iterator[Advance]:
        """Yields a callable that takes (done, total); prints the stage's seconds at its end."""
        start = time.perf_counter()
        with Progress(
            TextColumn("{task.description}", markup=False),
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
