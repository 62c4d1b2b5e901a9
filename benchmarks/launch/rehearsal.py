"""How long an experiment's tasks would take: they are carried out small, and what they grow with is multiplied out.

seconds = c + a updates + b episodes + d transitions. The coefficients come from one small rehearsal and three more, in
each of which one of the three sizes is doubled. What is evaluated grows with the test users as well. A stack of S seeds
is taken to cost S times what one seed's does: on a processor it does, on a GPU it costs less.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pluralbench.benchmarks.experiments.methods import policies
from pluralbench.benchmarks.experiments.plan import Plan, make_plan
from pluralbench.benchmarks.experiments.settings import Experiment, ExperimentError
from pluralbench.benchmarks.launch.experiment import PartedExperiment
from pluralbench.benchmarks.launch.schedule import Job
from pluralbench.benchmarks.launch.tasks import FitTask, PolicyTask, Task, perform
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.stages.immediate_policies import ImmediatePolicy
from pluralbench.benchmarks.stages.session import Session

LEARNER_UPDATES, POLICY_UPDATES, EPISODES = 8, 100, 1
TRANSITIONS_SHARE = 400
"""Of the transitions one in so many is rehearsed with, but no fewer than `FEWEST_TRANSITIONS`."""
FEWEST_TRANSITIONS = 4_000
USERS_PER_GROUP = 4
TRAIN_USERS = 1_000

_Seconds = tuple[float, Mapping[str, tuple[Task, float]]]
"""Until data, users and answers are drawn; then of each task, by title."""


@dataclass(frozen=True)
class Line:
    """Seconds that a task takes."""

    constant: float
    by_update: float
    by_episode: float  # of every user
    by_transition: float

    @classmethod
    def through(cls, sizes: Sequence[int], small: float, *doubled: float) -> Line:
        """From what a rehearsal of these sizes took, and with each size doubled; more work makes no task faster."""
        slopes = [max(0.0, (seconds - small) / size) for seconds, size in zip(doubled, sizes, strict=True)]
        rest = small - sum(slope * size for slope, size in zip(slopes, sizes, strict=True))
        return cls(max(0.0, rest), *slopes)

    def at(self, updates: int, episodes: int, transitions: int, share_of_users: float = 1.0) -> float:
        """Seconds at these sizes, for so many times the rehearsal's test users."""
        evaluation = share_of_users * (self.constant + self.by_episode * episodes)
        return evaluation + self.by_update * updates + self.by_transition * transitions


@dataclass(frozen=True)
class Rehearsed:
    """What four rehearsals of an experiment tell of its tasks, those of its first seed."""

    plan: Plan
    begin: Line
    tasks: tuple[tuple[Task, Line], ...]

    def jobs(self, runs_per_task: int = 0, release: float = 0.0) -> list[Job]:
        """The whole experiment's tasks with their lengths, none before `release` and the drawing of the data.

        Args:
            runs_per_task: of a stack at most so many runs in a task; 0: whole stacks.
            release: seconds after which the experiment begins.
        """
        experiment, begin = self.plan.experiment, release + self.begin_seconds
        fits = [
            Job(f"{self._name}: reward model {task.learner}, seed {seed}", self._fit_seconds(task, line), release=begin)
            for task, line in self.tasks
            if isinstance(task, FitTask)
            for seed in experiment.seeds
        ]
        needs = frozenset(job.name for job in fits)
        sized: list[tuple[int, Job]] = []
        for task, line in self.tasks:
            if isinstance(task, PolicyTask):
                each = self._policy_seconds(task, line) / len(task.runs)
                methods = " ".join(method for method, _ in task.runs)
                for part, size in enumerate(self._parts(task, runs_per_task)):
                    name = f"{self._name}: policies of {methods}, part {part}"
                    sized.append((size, Job(name, size * each, needs, begin)))
        return [*fits, *(job for _, job in sorted(sized, key=lambda pair: -pair[0]))]

    @property
    def begin_seconds(self) -> float:
        """Seconds until data, users and answers are drawn."""
        return self.begin.at(0, 0, self.plan.experiment.num_transitions)

    @property
    def _name(self) -> str:
        return self.plan.environment.name

    def _fit_seconds(self, task: FitTask, line: Line) -> float:
        updates = int(self.plan.settings_of(task.learner).get("num_updates", LEARNER_UPDATES))
        return line.at(updates, 0, self.plan.experiment.num_transitions)

    def _policy_seconds(self, task: PolicyTask, line: Line) -> float:
        """Of one seed."""
        experiment = self.plan.experiment
        settings, updates, episodes = experiment.evaluation, experiment.iql.num_updates, experiment.evaluation.episodes
        if not _is_immediate(task):
            episodes += (settings.num_curve_points - 1) * settings.curve_episodes
        return line.at(updates, episodes, experiment.num_transitions, settings.users_per_group / _num_users(experiment))

    def _parts(self, task: PolicyTask, runs_per_task: int) -> list[int]:
        """Numbers of runs of the tasks that this one, of one seed, stands for."""
        num_seeds, own = len(self.plan.experiment.seeds), len(task.runs)
        if _is_immediate(task):
            return [own] * num_seeds
        runs, size = own * num_seeds, runs_per_task or own * num_seeds
        return [min(size, runs - begin) for begin in range(0, runs, size)]


def rehearse(plan: Plan, reporter: Reporter) -> Rehearsed:
    """Four small starts of the experiment's first seed, in this process and in folders that vanish.

    Raises:
        ExperimentError: every seed has data of its own, or they come from a file: the rehearsal is with other data.
    """
    experiment = plan.experiment
    if experiment.data_per_seed or experiment.dataset:
        raise ExperimentError("a forecast is for data that all seeds share and that the suite collects")
    num = min(experiment.num_transitions, max(FEWEST_TRANSITIONS, experiment.num_transitions // TRANSITIONS_SHARE))
    small = (1, EPISODES, num)
    sizes = [small, *(tuple(2 * own if at == doubled else own for at, own in enumerate(small)) for doubled in range(3))]
    few = replace(experiment, methods=experiment.methods[:2])
    _start(replace(plan, experiment=few), 1, 1, FEWEST_TRANSITIONS)  # the first of all loads libraries
    with reporter.stage(f"{plan.environment.name}: four rehearsals") as progress:
        found: list[_Seconds] = []
        for times, episodes, transitions in sizes:
            found.append(_start(plan, times, episodes, transitions))
            progress(len(found), len(sizes))
    begin = Line.through((1, EPISODES, num), *(seconds for seconds, _ in found))
    lines = []
    for title, (task, _) in found[0][1].items():
        updates = LEARNER_UPDATES if isinstance(task, FitTask) else POLICY_UPDATES
        lines.append((task, Line.through((updates, EPISODES, num), *(tasks[title][1] for _, tasks in found))))
    return Rehearsed(plan, replace(begin, by_update=0.0, by_episode=0.0), tuple(lines))


def _start(plan: Plan, times: int, episodes: int, transitions: int) -> _Seconds:
    """With so many times the updates of a rehearsal."""
    small = make_plan(_small(plan.experiment, times, episodes, transitions), plan.device)
    seconds: dict[str, tuple[Task, float]] = {}
    with TemporaryDirectory(prefix="pluralbench-") as folder:
        session = Session(Path(folder) / "suite", data_dir=Path(folder) / "data", reporter=Reporter(quiet=True))
        experiment, start = PartedExperiment(small, session), time.perf_counter()
        waiting = deque(experiment.begin())
        begin = time.perf_counter() - start
        while waiting:
            task = waiting.popleft()
            done = perform(task)
            seconds[task.title] = task, done.seconds
            waiting += experiment.finish(task, done)
    return begin, seconds


def _small(experiment: Experiment, times: int, episodes: int, transitions: int) -> Experiment:
    updates = times * LEARNER_UPDATES
    learner_settings = {name: {**own} for name, own in experiment.learner_settings.items()}
    learner_settings.setdefault("*", {})["num_updates"] = updates
    for own in learner_settings.values():
        if "num_updates" in own:
            own["num_updates"] = updates
    return replace(
        experiment,
        seeds=experiment.seeds[:1],
        num_transitions=transitions,
        learner_settings=learner_settings,
        preferences=replace(experiment.preferences, num_users=min(experiment.preferences.num_users, TRAIN_USERS)),
        iql=replace(experiment.iql, num_updates=times * POLICY_UPDATES),
        evaluation=replace(
            experiment.evaluation,
            users_per_group=_num_users(experiment),
            episodes=episodes,
            num_curve_points=1,
        ),
    )


def _num_users(experiment: Experiment) -> int:
    return min(experiment.evaluation.users_per_group, USERS_PER_GROUP)


def _is_immediate(task: PolicyTask) -> bool:
    """Whether nothing is trained, so that every run is a task."""
    return issubclass(policies.get(task.policy), ImmediatePolicy)
