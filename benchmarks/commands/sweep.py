"""`pluralbench users|noise|minority`: the benchmark once for each point, and success over the points."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, closing
from dataclasses import replace

from pluralbench.benchmarks.commands.arguments import changes_of
from pluralbench.benchmarks.commands.launching import device_of_tasks, run_launched
from pluralbench.benchmarks.commands.places import suite_folder
from pluralbench.benchmarks.commands.room import check_room_for, make_folders_for
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.experiments.sweeps import SWEEPS, check_changes, sweep_points
from pluralbench.benchmarks.figures.sweep import draw_sweep
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.results.records import sweep_path
from pluralbench.benchmarks.stages.record import check_before_work
from pluralbench.benchmarks.stages.session import Session
from pluralbench.benchmarks.sweep_report import terminal_sweep
from pluralbench.benchmarks.tracking import make_tracker
from pluralbench.files import write_json


def run_sweep(options: argparse.Namespace) -> None:
    """Checks all points, runs one after the other, shows the table over them, and draws the figure."""
    sweep, (environment, points) = SWEEPS[options.sweep], sweep_points(options.sweep, options.environment)
    changes, device = changes_of(options), device_of_tasks(options)
    check_changes(options.sweep, points.values(), changes)
    plans = {
        label: make_plan(experiment_for(environment, options.preset, point, changes), device)
        for label, point in points.items()
    }
    some_plan = next(iter(plans.values()))
    name, population = some_plan.environment.name, some_plan.population.name if "population" in changes else None
    folder = suite_folder(options, population, options.sweep)
    folders = {label: folder / label.replace(":", "-") for label in plans}
    work = [(folders[label], plan) for label, plan in plans.items()]
    trackers = {label: make_tracker(options.track, folders[label]) for label in plans}
    check_room_for(work, options)
    for own, plan in work:
        check_before_work(own, plan, options.resume)
    make_folders_for(work, options)
    record = {
        "sweep": options.sweep,
        "environment": name,
        "x_label": sweep.x_label,
        "worst_group": sweep.worst_group,
        "points": {label: own.name for label, own in folders.items()},
    }
    write_json(sweep_path(folder, name, options.sweep), record)
    session = Session(folder, options.resume, options.data_dir, Reporter())
    session.reporter.line(f"{sweep.x_label}: {', '.join(plans)}")
    points_of = {label: replace(session, folder=folders[label], tracker=trackers[label]) for label in plans}
    with ExitStack() as stack:
        for tracker in trackers.values():
            stack.enter_context(closing(tracker))
        run_launched([(plan, points_of[label]) for label, plan in plans.items()], options)
    session.reporter.console.print(terminal_sweep(folder, record))
    session.reporter.line(f"figure: {draw_sweep(folder, record)}")
