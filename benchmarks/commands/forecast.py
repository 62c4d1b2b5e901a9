"""`pluralbench forecast`: how long `all` would take on so many workers, from small rehearsals on this machine."""

from __future__ import annotations

import argparse

from rich.table import Table

from pluralbench.benchmarks.commands.arguments import UsageError, changes_of, device_for
from pluralbench.benchmarks.commands.places import check_result_folder, suite_folder
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.figures.forecast import HOUR, draw_forecast
from pluralbench.benchmarks.launch.rehearsal import Rehearsed, rehearse
from pluralbench.benchmarks.launch.schedule import Job, finish_time, longest_chain
from pluralbench.benchmarks.provenance import provenance
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.envs import environments
from pluralbench.files import write_json

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128)


def run_forecast(options: argparse.Namespace) -> None:
    """Rehearses every environment, simulates its graph, prints a table, and writes `forecast.json` and the figure."""
    changes, device = changes_of(options), device_for(options.device)
    if options.runs_per_task < 1:
        raise UsageError(f"--runs-per-task must be at least 1, is {options.runs_per_task}")
    names = options.environments or environments.names()
    plans = [make_plan(experiment_for(name, options.preset, changes), device) for name in names]
    folder = suite_folder(options, None, "forecast")
    check_result_folder(folder)
    reporter = Reporter()
    rehearsed = [rehearse(plan, reporter) for plan in plans]
    apart = f"at most {options.runs_per_task} run{'s' * (options.runs_per_task > 1)} in a task"
    graphs = {"whole stacks": _graph(rehearsed, 0), apart: _graph(rehearsed, options.runs_per_task)}
    seconds = {label: {num: finish_time(jobs, num) for num in WORKERS} for label, jobs in graphs.items()}
    table = Table("workers", *graphs, title=f"{' '.join(names)} at {options.preset}: until all would be done")
    for num in WORKERS:
        table.add_row(str(num), *(_in_words(own[num]) for own in seconds.values()))
    table.add_row("longest chain", *(_in_words(longest_chain(jobs)) for jobs in graphs.values()))
    reporter.console.print(table)
    tasks = {label: [{"name": job.name, "seconds": job.seconds} for job in jobs] for label, jobs in graphs.items()}
    begins = {own.plan.environment.name: own.begin_seconds for own in rehearsed}
    write_json(
        folder / "forecast.json", {"seconds": seconds, "data and answers": begins, "tasks": tasks, **provenance(device)}
    )
    figure = draw_forecast(seconds, f"all tasks at preset {options.preset}, simulated", folder / "forecast")
    reporter.line(f"figure: {figure}")


def _in_words(seconds: float) -> str:
    return f"{seconds / HOUR:.1f} h" if seconds >= HOUR else f"{seconds:.0f} s"


def _graph(rehearsed: list[Rehearsed], runs_per_task: int) -> list[Job]:
    """The tasks of all experiments; one process draws the data of one after the other."""
    jobs: list[Job] = []
    release = 0.0
    for experiment in rehearsed:
        jobs += experiment.jobs(runs_per_task, release)
        release += experiment.begin_seconds
    return jobs
