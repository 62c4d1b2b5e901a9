"""`pluralbench maze|...|run|all`: experiments from settings to table and figures."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from pluralbench.benchmarks.commands.arguments import changes_of
from pluralbench.benchmarks.commands.launching import device_of_tasks, is_in_turns, run_launched
from pluralbench.benchmarks.commands.places import removed_where_empty, suite_folder
from pluralbench.benchmarks.commands.room import check_room_for, make_folders_for
from pluralbench.benchmarks.experiments.plan import Plan, make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.figures import draw_all
from pluralbench.benchmarks.reference import compare_with_reference
from pluralbench.benchmarks.report import compare_lines, terminal_table
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.results.folder_lock import folder_lock
from pluralbench.benchmarks.stages.record import check_before_work
from pluralbench.benchmarks.stages.session import Session
from pluralbench.benchmarks.tracking import Tracker, make_tracker
from pluralbench.envs import environments


def run_benchmarks(options: argparse.Namespace) -> None:
    """Checks all experiments, then runs one after the other."""
    names = environments.names() if options.environment == "all" else [options.environment]
    changes, device = changes_of(options), device_of_tasks(options)
    plans = []
    for name in names:
        chosen = changes
        if options.environment == "all" and not environments.get(name).simulators:
            chosen = {key: value for key, value in changes.items() if key != "simulator"}
        plans.append(make_plan(experiment_for(name, options.preset, chosen), device))
    folders = [suite_folder(options, changes.get("population") and plan.population.name) for plan in plans]
    work = list(zip(folders, plans, strict=True))
    trackers = {folder: make_tracker(options.track, folder) for folder in folders}
    check_room_for(work, options)
    for folder, plan in work:
        check_before_work(folder, plan, options.resume)
    with removed_where_empty(folders):
        make_folders_for(work, options)
        _run(work, trackers, options)


def _run(work: Sequence[tuple[Path, Plan]], trackers: dict[Path, Tracker], options: argparse.Namespace) -> None:
    reporter, start = Reporter(), time.perf_counter()
    sessions = [
        (plan, Session(folder, options.resume, options.data_dir, reporter, trackers[folder])) for folder, plan in work
    ]
    with ExitStack() as stack:
        for tracker in trackers.values():
            stack.enter_context(closing(tracker))
        for together in [[one] for one in sessions] if is_in_turns(options) else [sessions]:
            run_launched(together, options)
            for plan, session in together:
                show(plan, session, start)
            start = time.perf_counter()


def show(plan: Plan, session: Session, start: float) -> None:
    """Draws figures; shows the table, how it compares with the reference, the time since `start`, and the figures."""
    reporter, folder = session.reporter, session.folder
    with folder_lock(folder, reporter.line):
        figures = draw_all(folder, reporter.line, plan.environment.name)
    episodes = (folder / f"{plan.environment.name}-rollouts{ending}" for ending in (".png", ".gif"))
    figures += [path for path in episodes if path.exists()]  # drawn when their run was finished
    for figure in figures:
        if figure.suffix == ".png":
            session.tracker.picture(figure)
    reporter.console.print(terminal_table(folder, plan.environment.name))
    for line in [*compare_lines(folder, plan.environment.name), *compare_with_reference(folder)]:
        reporter.line(line)
    reporter.line(f"{time.perf_counter() - start:.0f} s in all; results in {folder}, figures:")
    for figure in figures:
        reporter.line(f"  {figure}")
