"""A part of an experiment that needs nothing of the other parts but fitted reward models, and that gives files.

Whoever carries a task out makes data, users and answers anew from their seeds, in a folder of its own; they are checked
against those of the experiment. Nothing else is shared, so that a task may run anywhere, and again when it was lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from pluralbench.benchmarks.experiments.identity import Identity, clashes, digest
from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.experiments.plan import Plan, make_plan
from pluralbench.benchmarks.experiments.settings import Experiment, ExperimentError
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.stages.fit import FittedLearner, fit_learner
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.policies import train_policies
from pluralbench.benchmarks.stages.prepare import Prepared, SeedDraws, draw_seed, identity_of, prepare
from pluralbench.benchmarks.stages.runs import new_run
from pluralbench.benchmarks.stages.session import Session
from pluralbench.benchmarks.tracking import Trackers, make_tracker
from pluralbench.errors import InputError
from pluralbench.files import replace_file, write_text
from pluralbench.plugins import fault

Files = dict[str, bytes]
"""Contents by path, relative to a suite's folder."""
_MARK = "mark"


class UsersCodeError(InputError):
    """What code of the user's raised, and where; one line."""


@dataclass(frozen=True)
class Shared:
    """What the tasks of one experiment have in common."""

    experiment: Experiment
    device: str  # where networks live
    identity: Identity  # of the experiment: data and answers of a task must be those
    scratch: Path  # where tasks may leave checkpoints, on the disk of whoever runs the experiment
    mark: str  # what stands in a file there: who reads it has the same disk
    data_dir: Path | None  # where datasets are kept
    command: tuple[str, ...]  # with which the experiment was started ...
    started_in: Path  # ... and the folder; files that are named by relative paths are looked for there
    folder: Path  # the suite's; where it is on the same disk, trackers write into it
    track: tuple[str, ...]  # names of trackers


@dataclass(frozen=True)
class Done:
    """What became of a task."""

    files: Files
    said: tuple[str, ...]  # lines for whoever reads along
    seconds: float


@dataclass(frozen=True)
class Task(ABC):
    """A part of an experiment."""

    shared: Shared
    data_seed: int  # of the dataset

    @property
    @abstractmethod
    def title(self) -> str:
        """What it does, in some words."""

    @property
    @abstractmethod
    def seeds(self) -> tuple[int, ...]:
        """Whose users and answers it needs."""

    @property
    def needs(self) -> Files:
        """Files of the suite's folder that it works with."""
        return {}

    @abstractmethod
    def work(self, prepared: Prepared, draws: Sequence[SeedDraws], session: Session) -> None:
        """Does it; what it gives lies in the session's folder then."""

    @property
    def name(self) -> str:
        """Of a folder for it alone."""
        return digest([type(self).__name__, self.title, self.data_seed, self.shared.identity])


@dataclass(frozen=True)
class FitTask(Task):
    """Fits one learner on one seed's answers."""

    learner: str  # its specification
    seed: int

    @property
    def title(self) -> str:
        """The learner and its seed."""
        return f"reward model {self.learner}, seed {self.seed}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Its own."""
        return (self.seed,)

    def work(self, prepared: Prepared, draws: Sequence[SeedDraws], session: Session) -> None:
        """Fits it."""
        fit_learner(prepared, draws[0], self.learner, self.shared.identity, session)


@dataclass(frozen=True)
class PolicyTask(Task):
    """Trains or evaluates the policies of runs that belong together."""

    policy: str  # its specification
    runs: tuple[tuple[str, int], ...]  # (method as it was written, seed)
    models: Files  # the reward models of these runs
    first_seed: int  # of the experiment: of it pictures are made

    @property
    def title(self) -> str:
        """Policy and runs."""
        methods = " ".join(dict.fromkeys(method for method, _ in self.runs))
        return f"policies of {methods}, seeds {' '.join(map(str, self.seeds))}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its runs."""
        return tuple(dict.fromkeys(seed for _, seed in self.runs))

    @property
    def needs(self) -> Files:
        """The reward models."""
        return self.models

    def work(self, prepared: Prepared, draws: Sequence[SeedDraws], session: Session) -> None:
        """Reads the reward models and hands the runs to their policy's stage."""
        plan, identity = prepared.plan, self.shared.identity
        of_seed = {own.seed: own for own in draws}
        fitted: dict[tuple[str, int], FittedLearner] = {}
        silent = replace(session, reporter=Reporter(quiet=True), tracker=Trackers())  # of models all was said before
        runs = []
        for text, seed in self.runs:
            method = Method.parse(text, plan.experiment.policy)
            key = method.learner, seed
            if key not in fitted:
                fitted[key] = fit_learner(prepared, of_seed[seed], method.learner, identity, silent)
            runs.append(new_run(plan, method, fitted[key]))
        ledger = Ledger(prepared, identity, session, self.first_seed)
        train_policies(self.policy, prepared, runs, session, ledger)


def perform(task: Task) -> Done:
    """Carries a task out.

    Raises:
        ExperimentError: data or answers made here are not those of the experiment.
        UsersCodeError: code of the user's raised something; a traceback does not travel from process to process.
    """
    try:
        return _perform(task)
    except InputError:
        raise
    except Exception as error:
        if line := fault(error):
            raise UsersCodeError(line) from error
        raise


def _perform(task: Task) -> Done:
    shared, start, said = task.shared, time.perf_counter(), io.StringIO()
    sys.argv = list(shared.command)  # what results name as the command that made them
    with contextlib.suppress(OSError):
        os.chdir(shared.started_in)
    plan = make_plan(shared.experiment, shared.device)
    with _workplace(task) as folder:
        write_files(folder, task.needs)
        reporter = Reporter(Console(file=said, highlight=False, markup=False, emoji=False, soft_wrap=True))
        same_disk = folder.is_relative_to(shared.scratch)
        tracker = make_tracker(shared.track, shared.folder if same_disk else folder)
        session = Session(folder, True, shared.data_dir, reporter, tracker)
        prepared = prepare(plan, session, task.data_seed)
        draws = [draw_seed(prepared, seed) for seed in task.seeds]
        _check_same(task, plan, prepared, draws)
        try:
            task.work(prepared, draws, session)
        finally:
            tracker.close()
        files = _read(folder, leave_out=task.needs)
    return Done(files, tuple(said.getvalue().splitlines()), time.perf_counter() - start)


def mark(scratch: Path, text: str) -> None:
    """Marks a folder, so that who sees the mark knows that it is on the same disk."""
    write_text(scratch / _MARK, text)


@contextmanager
def _workplace(task: Task) -> Iterator[Path]:
    """A folder for the task: on the experiment's disk, to be found again after a failure, or else one that vanishes."""
    scratch = task.shared.scratch
    try:
        same_disk = (scratch / _MARK).read_text(encoding="utf-8") == task.shared.mark
    except (OSError, UnicodeDecodeError):
        same_disk = False
    if same_disk:
        yield scratch / task.name
        return
    with tempfile.TemporaryDirectory(prefix="pluralbench-") as folder:
        yield Path(folder)


def _check_same(task: Task, plan: Plan, prepared: Prepared, draws: Sequence[SeedDraws]) -> None:
    wanted = task.shared.identity
    made = identity_of({part: wanted[part] for part in wanted if part not in ("data", "answers")}, [(prepared, draws)])
    if names := clashes(wanted, made):
        raise ExperimentError(
            f"{plan.environment.name}: {names[0]} made here are not those of the experiment: do all machines have the "
            "same versions of PluralBench and its dependencies, and the same files?"
        )


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a suite's folder."""
    for name, content in files.items():
        with replace_file(folder / name) as partial:
            partial.write_bytes(content)


def _read(folder: Path, leave_out: Mapping[str, bytes]) -> Files:
    """What lies in a suite's folder, but for checkpoints and what was there before."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in leave_out and "checkpoints" not in path.relative_to(folder).parts:
            found[name] = path.read_bytes()
    return found
