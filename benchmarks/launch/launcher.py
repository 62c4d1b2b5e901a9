"""Hands tasks out and takes their results in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType

from pluralbench.benchmarks.launch.experiment import PartedExperiment
from pluralbench.benchmarks.launch.tasks import Done, Task
from pluralbench.benchmarks.reporter import Reporter

ATTEMPTS = 3
"""How often a task is handed out: a worker that is lost with the same task again and again is no accident."""


class Launcher(ABC):
    """Where tasks are carried out; to be used in a `with` block, at the end of which all workers are ended."""

    device: str
    """Where tasks keep their networks."""
    place: str
    """What it is, in some words."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Hands a task out, now or when a worker is free."""

    @abstractmethod
    def next_done(self) -> tuple[Task, Done]:
        """Waits for a task to be done.

        Raises:
            MachineError: its worker was lost `ATTEMPTS` times.
            Exception: whatever the task raised.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends all workers."""

    def __enter__(self) -> Launcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def run_in_parts(experiments: Sequence[PartedExperiment], launcher: Launcher, reporter: Reporter) -> None:
    """Runs all experiments to their ends: tasks of all of them are out at the same time."""
    owners: dict[str, PartedExperiment] = {}
    num_done = 0

    def hand_out(experiment: PartedExperiment, tasks: Sequence[Task]) -> None:
        for task in tasks:
            owners[task.name] = experiment
            launcher.submit(task)

    for experiment in experiments:
        hand_out(experiment, experiment.begin())
    with reporter.stage(f"tasks on {launcher.place}") as progress:
        while num_done < len(owners):
            progress(num_done, len(owners))
            task, done = launcher.next_done()
            num_done += 1
            reporter.line(f"{task.title}: {done.seconds:.1f} s")
            hand_out(owners[task.name], owners[task.name].finish(task, done))
    for experiment in experiments:
        experiment.end()
