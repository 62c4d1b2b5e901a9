"""`pluralbench active`: success against the number of questions to a test user."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from pluralbench.benchmarks.commands.arguments import UsageError, changes_of, device_for
from pluralbench.benchmarks.commands.places import suite_folder
from pluralbench.benchmarks.commands.room import check_room_for, make_folders_for
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.experiments.sweeps import check_changes, sweep_points
from pluralbench.benchmarks.figures.active import draw_active
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.stages import active
from pluralbench.benchmarks.stages.record import check_before_work
from pluralbench.benchmarks.stages.session import Session
from pluralbench.lines import shown


def run_active(options: argparse.Namespace) -> None:
    """Runs the experiment and draws its figure."""
    default, points = sweep_points("active", None)
    given = changes_of(options)
    check_changes("active", points.values(), given)
    if given.get("policy", "greedy") != "greedy":
        raise UsageError(f"active has the policy greedy, not {shown(given['policy'])}: leave it out")
    changes = {**given, "policy": "greedy"}
    experiment = experiment_for(options.environment or default, options.preset, *points.values(), changes)
    plan = make_plan(experiment, device_for(options.device))
    folder = suite_folder(options, changes.get("population") and plan.population.name, "active")
    check_room_for([(folder, plan)], options)
    check_before_work(folder, plan, options.resume)
    make_folders_for([(folder, plan)], options)
    session, name = Session(folder, options.resume, options.data_dir, Reporter()), plan.environment.name
    found = [asdict(point) for point in active.run_active(plan, session)]
    figure = draw_active(found, folder / f"{name}-active", name, plan.methods[0].name)
    session.reporter.line(f"figure: {figure}")
