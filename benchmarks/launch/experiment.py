"""An experiment as a graph of tasks: reward models first, then the policies of all runs that need them."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pluralbench.benchmarks import results
from pluralbench.benchmarks.experiments.identity import Identity
from pluralbench.benchmarks.experiments.methods import policies
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.launch.tasks import (
    Done,
    Files,
    FitTask,
    PolicyTask,
    Shared,
    Task,
    mark,
    write_files,
)
from pluralbench.benchmarks.results.records import SUMMARY
from pluralbench.benchmarks.results.success_rates import FILE as RATES
from pluralbench.benchmarks.stages.fit import has_model, model_folder
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.pipeline import announce, runs_of, write_pictures
from pluralbench.benchmarks.stages.prepare import Prepared, SeedDraws
from pluralbench.benchmarks.stages.record import begin, check_before_work
from pluralbench.benchmarks.stages.runs import Run
from pluralbench.benchmarks.stages.session import Session

SCRATCH = ".tasks"
"""Folder of what tasks leave behind, beside the runs."""


class PartedExperiment:
    """One experiment on its way: `begin`, `finish` for every task, `end`. The caller holds the folder's lock.

    Args:
        plan: what is run, its precision that of the device on which tasks are carried out.
        session: where results go; with `resume` only what is missing there is done.
        track: names of trackers that tasks tell of their numbers.
        runs_per_task: runs of one task of policies at most; 0 keeps those together that one process trains together.
    """

    def __init__(self, plan: Plan, session: Session, track: Sequence[str] = (), runs_per_task: int = 0) -> None:
        self.plan, self.session, self._track, self._runs_per_task = plan, session, tuple(track), runs_per_task
        self._scratch = session.folder / plan.environment.name / SCRATCH
        self._here = replace(plan, device="cpu")  # this process only reads models and draws pictures
        self._waiting: list[set[str]] = []  # for each dataset, names of the fits that are not finished
        self._drawn: list[tuple[Prepared, list[SeedDraws]]] = []
        self._identity: Identity = {}

    def begin(self) -> list[Task]:
        """Draws data, users and answers, and gives the first tasks.

        Raises:
            ExperimentError: the folder holds another experiment.
        """
        check_before_work(self.session.folder, self.plan, self.session.resume)
        announce(self.plan, self.session)
        self._drawn, self._identity = begin(self._here, self.session)
        if not self.session.resume:
            shutil.rmtree(self._scratch, ignore_errors=True)
        data_dir = self.session.data_dir
        self._shared = Shared(
            experiment=self.plan.experiment,
            device=self.plan.device,
            identity=self._identity,
            scratch=self._scratch.absolute(),
            mark=secrets.token_hex(8),
            data_dir=None if data_dir is None else data_dir.absolute(),
            command=tuple(sys.argv),
            started_in=Path.cwd(),
            folder=self.session.folder.absolute(),
            track=self._track,
        )
        mark(self._scratch, self._shared.mark)
        tasks: list[Task] = []
        for prepared, draws in self._drawn:
            fits = self._fits(prepared, draws)
            self._waiting.append({fit.name for fit in fits})
            tasks += fits if fits else self._policies(prepared, draws)
        return tasks

    def finish(self, task: Task, done: Done) -> list[Task]:
        """Takes in what a task gave, and gives the tasks that could not be done before."""
        for line in done.said if isinstance(task, PolicyTask) else ():
            if line.startswith("  "):  # warnings; the stages' own lines are told by the launcher
                self.session.reporter.line(line)
        self._take_in(done.files)
        shutil.rmtree(self._scratch / task.name, ignore_errors=True)
        for (prepared, draws), waiting in zip(self._drawn, self._waiting, strict=True):
            if task.name in waiting:
                waiting.remove(task.name)
                return [] if waiting else self._policies(prepared, draws)
        return []

    def end(self) -> None:
        """Removes what tasks left behind."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _fits(self, prepared: Prepared, draws: Sequence[SeedDraws]) -> list[Task]:
        """The reward models that are still to be fitted."""
        learners = dict.fromkeys(method.learner for method in self.plan.methods)
        return [
            FitTask(self._shared, prepared.data_seed, learner, own.seed)
            for own in draws
            for learner in learners
            if not (self.session.resume and has_model(prepared, own, learner, self._identity, self.session))
        ]

    def _policies(self, prepared: Prepared, draws: Sequence[SeedDraws]) -> list[Task]:
        """The runs that are not finished, once all reward models are there: those that belong together in one task.

        The largest task comes first: one that began last would keep a worker busy when the others have nothing to do.
        """
        known = Session(self.session.folder, True, self.session.data_dir, self.session.reporter)
        runs = runs_of(prepared, draws, self._identity, known)
        first_seed = min(results.read_record(self.session.folder, self.plan.environment.name)["seeds"])
        write_pictures(prepared, [run for run in runs if run.seed == first_seed], self.session)
        ledger = Ledger(prepared, self._identity, self.session, first_seed)
        tasks: list[PolicyTask] = []
        for policy in dict.fromkeys(method.policy for method in self.plan.methods):
            own = [run for run in runs if run.method.policy == policy]
            for part in policies.get(policy)().parts(prepared, own):
                pending = [run for run in part if not ledger.is_finished(run)]
                size = self._runs_per_task or len(part)
                for first in range(0, len(pending), size):
                    tasks.append(self._policy_task(prepared, policy, pending[first : first + size], first_seed))
        return [*sorted(tasks, key=lambda task: -len(task.runs))]

    def _policy_task(self, prepared: Prepared, policy: str, runs: Sequence[Run], first_seed: int) -> PolicyTask:
        written = dict(zip((method.name for method in self.plan.methods), self.plan.experiment.methods, strict=True))
        named = tuple((written[run.method.name], run.seed) for run in runs)
        models: Files = {}
        for run in runs:
            folder = model_folder(self.plan, run.method.learner, run.seed, self.session)
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    models[path.relative_to(self.session.folder).as_posix()] = path.read_bytes()
        return PolicyTask(self._shared, prepared.data_seed, policy, named, models, first_seed)

    def _take_in(self, files: Files) -> None:
        """Writes a task's files into the suite's folder: a run's summary, which says that it is whole, last."""
        rows: list[results.SuccessRate] = []
        if RATES in files:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, RATES).write_bytes(files[RATES])
                rows = results.read_rows(Path(folder))
        summaries = {name: content for name, content in files.items() if name.endswith(f"/{SUMMARY}")}
        before = {name: content for name, content in files.items() if name != RATES and name not in summaries}
        write_files(self.session.folder, before)
        if rows:
            results.merge_success_rates(self.session.folder, rows)
        write_files(self.session.folder, summaries)
