"""`pluralbench plot`, `report` and `didactic`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pluralbench.benchmarks.commands.arguments import check_folder_is_writable, device_for
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.files import write_text


def plot(folder: Path) -> None:
    """Draws every figure of a suite's folder again."""
    from pluralbench.benchmarks.figures import draw_all

    for figure in draw_all(folder):
        print(figure)


def report(folder: Path, as_reference: bool) -> None:
    """Writes report.md and prints the tables; with `as_reference` copies into results/reference/ what is kept there."""
    from pluralbench.benchmarks.reference import keep_as_reference
    from pluralbench.benchmarks.report import environments_of, markdown_report, terminal_table

    write_text(folder / "report.md", markdown_report(folder))
    reporter = Reporter()
    for environment in environments_of(folder):
        reporter.console.print(terminal_table(folder, environment))
    reporter.line(f"{folder / 'report.md'}")
    if as_reference:
        reporter.line(f"reference: {keep_as_reference(folder)}")


def run_didactic(options: argparse.Namespace) -> None:
    """Runs the didactic experiment."""
    from pluralbench.benchmarks import didactic

    device, folder, reporter = device_for(options.device), options.out / "didactic", Reporter()
    check_folder_is_writable(folder)
    with reporter.stage("didactic experiment") as progress:
        didactic.run_didactic(folder, options.seed, device, progress)
    reporter.line(f"results and figure in {folder}")
