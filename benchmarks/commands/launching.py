"""`--launcher`: experiments in this process, on several of this machine, or on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from pluralbench.benchmarks.commands.arguments import UsageError, device_for
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.launch.experiment import PartedExperiment
from pluralbench.benchmarks.launch.launcher import Launcher, run_in_parts
from pluralbench.benchmarks.launch.processes import LocalProcesses
from pluralbench.benchmarks.launch.ray import RayCluster, RaySettings
from pluralbench.benchmarks.results.folder_lock import folder_lock
from pluralbench.benchmarks.stages.pipeline import run_experiment
from pluralbench.benchmarks.stages.session import Session
from pluralbench.envs.vectors import usable_processors

MOST_JOBS = 1024


def device_of_tasks(options: argparse.Namespace) -> str:
    """Where networks live: on the device of this machine, or on that of the cluster's workers, which may differ.

    Raises:
        UsageError: options of the launcher that mean nothing; before any work, for plans need the device.
    """
    _check(options)
    if options.launcher != "ray":
        return device_for(options.device)
    if options.device == "cuda" and not options.gpus_per_task:
        raise UsageError("--device cuda on Ray needs --gpus-per-task: 1, or 0.25 for four tasks on one GPU")
    if options.device == "cpu" and options.gpus_per_task:
        raise UsageError("--gpus-per-task is for --device cuda or auto, not for cpu")
    return "cuda" if options.gpus_per_task else device_for(options.device if options.device != "auto" else "cpu")


def _check(options: argparse.Namespace) -> None:
    if options.launcher not in (None, "local", "ray"):
        raise UsageError(f"unknown launcher {options.launcher!r}; use local or ray")
    if options.jobs is not None and options.launcher == "ray":
        raise UsageError("--jobs is for --launcher local; what runs at once on Ray is --cpus-per-task's affair")
    if options.jobs is not None and not 1 <= options.jobs <= MOST_JOBS:
        raise UsageError(f"--jobs must be at least 1 and at most {MOST_JOBS}, is {options.jobs}")
    if options.runs_per_task < 0:
        raise UsageError(f"--runs-per-task must be at least 1, or 0 for whole stacks, is {options.runs_per_task}")
    if options.runs_per_task and not options.launcher and options.jobs in (None, 1):
        raise UsageError("--runs-per-task is for several processes: give --launcher local or ray")
    if options.cpus_per_task < 1 or options.gpus_per_task < 0:
        raise UsageError("--cpus-per-task must be at least 1, --gpus-per-task at least 0")


def is_in_turns(options: argparse.Namespace) -> bool:
    """Whether experiments are run one after the other, in this process."""
    return _launcher(options) is None


def run_launched(work: Sequence[tuple[Plan, Session]], options: argparse.Namespace) -> None:
    """Runs experiments to their results, figures aside.

    Raises:
        FolderInUseError: another process works in one of the folders.
        RayMissingError: no Ray, or no cluster.
    """
    if (make := _launcher(options)) is None:
        for plan, session in work:
            run_experiment(plan, session)
        return
    with ExitStack() as stack:
        for session in {session.folder: session for _, session in work}.values():
            stack.enter_context(folder_lock(session.folder, session.reporter.line))
        launcher = stack.enter_context(make())
        experiments = [PartedExperiment(plan, session, options.track, options.runs_per_task) for plan, session in work]
        run_in_parts(experiments, launcher, work[0][1].reporter)


def _launcher(options: argparse.Namespace) -> Callable[[], Launcher] | None:
    """What starts the launcher; None for this process."""
    device = device_of_tasks(options)
    if options.launcher == "ray":
        settings = RaySettings(options.ray_address, options.cpus_per_task, options.gpus_per_task)
        return partial(RayCluster, settings, device)
    if options.launcher == "local" or options.jobs not in (None, 1):
        return partial(LocalProcesses, options.jobs or usable_processors(), device)
    return None
