"""`pluralbench plot`, `report` and `didactic`."""

from __future__ import annotations

import argparse

from pluralbench.benchmarks import didactic
from pluralbench.benchmarks.commands.arguments import check_folder_is_writable, device_for
from pluralbench.benchmarks.figures import draw_all
from pluralbench.benchmarks.reference import keep_as_reference
from pluralbench.benchmarks.report import compare_lines, environments_of, markdown_report, terminal_table
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.files import write_text


def plot(options: argparse.Namespace) -> None:
    """Draws every figure of a suite's folder again."""
    for figure in draw_all(options.folder):
        print(figure)


def report(options: argparse.Namespace) -> None:
    """Writes report.md and prints the tables; with `--as-reference` copies what results/reference/ keeps."""
    folder, reporter = options.folder, Reporter()
    write_text(folder / "report.md", markdown_report(folder))
    for environment in environments_of(folder):
        reporter.console.print(terminal_table(folder, environment))
        for line in compare_lines(folder, environment):
            reporter.line(line)
    reporter.line(f"{folder / 'report.md'}")
    if options.as_reference:
        reporter.line(f"reference: {keep_as_reference(folder)}")


def run_didactic(options: argparse.Namespace) -> None:
    """Runs the didactic experiment."""
    device, folder, reporter = device_for(options.device), options.out / "didactic", Reporter()
    check_folder_is_writable(folder)
    with reporter.stage("didactic experiment") as progress:
        didactic.run_didactic(folder, options.seed, device, progress)
    reporter.line(f"results and figure in {folder}")
