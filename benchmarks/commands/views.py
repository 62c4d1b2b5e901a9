"""`pluralbench plot`, `report` and `didactic`."""

from __future__ import annotations

import argparse
from pathlib import Path

from pluralbench.benchmarks import didactic
from pluralbench.benchmarks.commands.arguments import device_for
from pluralbench.benchmarks.commands.places import check_result_folder
from pluralbench.benchmarks.figures import draw_all
from pluralbench.benchmarks.figures.sweep import draw_sweep
from pluralbench.benchmarks.reference import keep_as_reference
from pluralbench.benchmarks.report import (
    compare_lines,
    environments_of,
    markdown_report,
    run_lines,
    terminal_table,
)
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.results import ResultsError, read_sweeps, suite_folders
from pluralbench.benchmarks.sweep_report import markdown_sweeps, missing_lines, terminal_sweep
from pluralbench.files import write_text


def plot(options: argparse.Namespace) -> None:
    """Draws every figure of a suite's folder again, or of a sweep's.

    Raises:
        ResultsError: figures were left out as what they draw is damaged; all others are there.
    """
    folder, reporter = options.folder, Reporter()
    _check_own_folder(folder)
    suites, sweeps = suite_folders(folder), read_sweeps(folder)
    left_out: list[str] = []
    for suite in suites:
        for figure in draw_all(suite, left_out.append):
            print(figure)
    for sweep in sweeps:
        print(draw_sweep(folder, sweep))
    for suite in suites:
        for line in run_lines(suite):
            if not any(told.endswith(line) for told in left_out):
                reporter.line(line if suite == folder else f"{suite}: {line}")
    for sweep in sweeps:
        for line in missing_lines(folder, sweep):
            reporter.line(line)
    if left_out:
        raise ResultsError("; ".join(left_out))


def report(options: argparse.Namespace) -> None:
    """Writes report.md and prints the tables; with `--as-reference` copies what results/reference/ keeps."""
    folder, reporter = options.folder, Reporter()
    _check_own_folder(folder)
    for suite in suite_folders(folder):
        write_text(suite / "report.md", markdown_report(suite))
        for environment in environments_of(suite):
            if suite != folder:
                reporter.line(f"{suite}:")
            reporter.console.print(terminal_table(suite, environment))
            for line in compare_lines(suite, environment):
                reporter.line(line)
    sweeps = read_sweeps(folder)
    if sweeps:
        write_text(folder / "report.md", markdown_sweeps(folder))
    for sweep in sweeps:
        reporter.console.print(terminal_sweep(folder, sweep))
        for line in missing_lines(folder, sweep):
            reporter.line(line)
    reporter.line(f"{folder / 'report.md'}")
    if options.as_reference:
        reporter.line(f"reference: {keep_as_reference(folder)}")


def run_didactic(options: argparse.Namespace) -> None:
    """Runs the didactic experiment."""
    device, folder, reporter = device_for(options.device), options.out / "didactic", Reporter()
    check_result_folder(folder)
    with reporter.stage("didactic experiment") as progress:
        didactic.run_didactic(folder, options.seed, device, progress)
    reporter.line(f"results and figure in {folder}")


def _check_own_folder(folder: Path) -> None:
    """Raises FolderError where figures or a report could not be written beside the results that they show."""
    if folder.is_dir():  # another one is for the reader to refuse
        check_result_folder(folder)
