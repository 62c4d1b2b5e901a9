"""Users answer queries: many at once, in memory or streamed to a file, the same numbers either way.

Users are served in chunks whose size depends only on the shape of the queries. Each chunk has its own generators,
spawned from the seed, so that answers do not depend on how many other chunks follow or on where they are put.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.lines import kind_of
from pluralbench.plugins import name_of
from pluralbench.preference_oracles.preference_storage import COLUMNS, write_preferences
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.queries import (
    STRATEGIES,
    QueryError,
    RatedSegments,
    SegmentPool,
    draw_pairs,
    rate_segments,
    segment_pool,
    segments_at,
)
from pluralbench.preference_oracles.teachers import Answers, Teacher, TeacherError
from pluralbench.preference_oracles.thresholds import Thresholds, stack_thresholds
from pluralbench.preference_oracles.users import Users
from pluralbench.progress import Progress
from pluralbench.registry import unknown_name

CHUNK_NUMBERS = 1 << 21
"""Observations' numbers in one chunk: about 8 MB of segments, small enough for the processor's cache to help."""
MAX_REFERENCE_GOALS = 16
"""Goals whose utilities the strategies `stratified` and `near-tie` look at, drawn from the users'."""
MAX_REFERENCE_PAIRS = 65_536
MIN_REFERENCE_PAIRS = 512
REFERENCE_STEPS = 1 << 22
"""Utilities computed at once when thresholds are resolved; sets the number of reference pairs between the bounds."""
_PURPOSES = ("queries", "answers", "reference goals", "thresholds")


def collect_preferences(
    task: MultiGoalTask,
    dataset: TransitionDataset,
    users: Users,
    num_comparisons: int,
    segment_length: int,
    seed: int,
    episodes: ArrayLike | None = None,
    strategy: str = "random",
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> PreferenceDataset:
    """Every user answers `num_comparisons` queries of their own.

    Args:
        task: whose utility the users hold.
        dataset: N transitions to take segments from.
        users: U users.
        num_comparisons: K >= 1.
        segment_length: T >= 1.
        seed: determines queries and answers.
        episodes: indices of the episodes to take segments from (to hold queries out); None for all.
        strategy: how pairs are chosen, see `queries`.
        provenance: added to what is recorded anyway (environment, teacher, seed, realised rates).
        progress: told how many users of how many are done.

    Returns:
        (U, K) labels on (U, K, 2, T, S) segments, in memory.

    Raises:
        QueryError: T longer than every episode, K < 1, or an unknown strategy.
    """
    plan = _Plan(task, dataset, users, num_comparisons, segment_length, seed, episodes, strategy)
    columns = {name: np.empty(shape, dtype=COLUMNS[name]) for name, shape in plan.shapes().items()}
    for start, rows in plan.chunks(progress):
        for name, values in rows.items():
            columns[name][start : start + len(values)] = values
    return PreferenceDataset(**columns, group_names=users.group_names, provenance=plan.provenance(provenance))


def stream_preferences(
    path: Path,
    task: MultiGoalTask,
    dataset: TransitionDataset,
    users: Users,
    num_comparisons: int,
    segment_length: int,
    seed: int,
    episodes: ArrayLike | None = None,
    strategy: str = "random",
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Path:
    """As `collect_preferences`, written to `path` chunk by chunk: memory does not grow with the number of answers.

    `PreferenceDataset.load(path, lazy=True)` reads it without loading it whole. Returns `path`.
    """
    plan = _Plan(task, dataset, users, num_comparisons, segment_length, seed, episodes, strategy)
    chunks, path = plan.chunks(progress), Path(path)
    write_preferences(path, plan.shapes(), chunks, users.group_names, lambda: plan.provenance(provenance))
    return path


def answer_queries(
    task: MultiGoalTask,
    segments: NDArray[np.float32],
    goals: NDArray[np.float64],
    teacher: Teacher,
    generator: np.random.Generator,
    thresholds: Thresholds | None = None,
) -> Answers:
    """What users with `goals` (U, G) answer to the pairs `segments` (U, K, 2, T, S).

    The label rests on the whole segment: utilities of all its steps, summed as the teacher sums them. Thresholds are
    those of `resolve_thresholds`.
    """
    utilities = task.utility(segments, goals[:, None, None, None, :])  # (U, K, 2, T)
    answers = teacher.answer(utilities[:, :, 0], utilities[:, :, 1], generator, thresholds)
    return answers if type(teacher) is Teacher else _checked(teacher, answers, utilities.shape[:2])


def _checked(teacher: Teacher, answers: object, shape: tuple[int, ...]) -> Answers:
    """The answers of a teacher of the user's own; TeacherError where they are none."""
    what = f"{name_of(type(teacher))}.answer gave"
    if not isinstance(answers, Answers):
        raise TeacherError(f"{what} {kind_of(answers)}, not pluralbench.preference_oracles.teachers.Answers")
    for name in ("labels", "mask", "flipped"):
        found = np.shape(getattr(answers, name))
        if found != shape:
            raise TeacherError(f"{what} {name} of shape {found}, not one for each pair, {shape}")
    if not np.isin(answers.labels, (0.0, 0.5, 1.0)).all():
        raise TeacherError(f"{what} labels that are not 0, 0.5 or 1")
    return answers


def resolve_thresholds(
    task: MultiGoalTask, dataset: TransitionDataset, pool: SegmentPool, users: Users, generator: np.random.Generator
) -> Thresholds | None:
    """Each user's thresholds, from random pairs of segments out of the pool; None where no user needs any.

    The pairs stand for the data, so they are random whatever strategy chooses the queries.
    """
    if not users.teacher.needs_thresholds:
        return None
    fractions = [users.teacher.skip_fraction, users.teacher.equal_fraction]
    own = [np.asarray(f)[:, None] for f in fractions if not isinstance(f, float)]
    kinds, first, kind_of_user = np.unique(
        np.concatenate([users.goals, *own], axis=1), axis=0, return_index=True, return_inverse=True
    )
    length = pool.segment_length
    num_pairs = int(np.clip(REFERENCE_STEPS // (2 * length * len(kinds)), MIN_REFERENCE_PAIRS, MAX_REFERENCE_PAIRS))
    pairs = segments_at(dataset, draw_pairs(pool, num_pairs, generator), length)  # (R, 2, T, S)
    block = max(1, REFERENCE_STEPS // (2 * length * num_pairs))
    parts = []
    for start in range(0, len(kinds), block):
        rows = first[start : start + block]
        utilities = task.utility(pairs, users.goals[rows][:, None, None, None, :])  # (block, R, 2, T)
        parts.append((len(rows), users.teacher.take(rows).thresholds(utilities[:, :, 0], utilities[:, :, 1])))
    return stack_thresholds(parts).take(kind_of_user.reshape(-1))


@dataclass
class _Plan:
    """All that is settled before the first chunk, and counts of what was answered since."""

    task: MultiGoalTask
    dataset: TransitionDataset
    users: Users
    num_comparisons: int
    segment_length: int
    seed: int
    episodes: ArrayLike | None
    strategy: str

    def __post_init__(self) -> None:
        if self.num_comparisons < 1:
            raise QueryError(f"each user answers at least 1 query, not {self.num_comparisons}")
        if self.strategy not in STRATEGIES:
            raise QueryError(unknown_name("strategy", self.strategy, STRATEGIES))
        task, dataset, users = self.task, self.dataset, self.users
        self.pool = segment_pool(dataset, self.segment_length, self.episodes)
        self.rated: RatedSegments | None = None
        self.thresholds: Thresholds | None = None
        self.tally: Counter[str] = Counter()
        if self.strategy != "random" and len(users):
            generator = self._generator("reference goals")
            some = generator.permutation(len(users))[: 64 * MAX_REFERENCE_GOALS]
            goals = generator.permutation(np.unique(users.goals[some], axis=0))[:MAX_REFERENCE_GOALS]
            self.rated = rate_segments(task, dataset, self.pool, goals, generator)
        if len(users):
            self.thresholds = resolve_thresholds(task, dataset, self.pool, users, self._generator("thresholds"))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        num, comparisons = len(self.users), self.num_comparisons
        return {
            "segments": (num, comparisons, 2, self.segment_length, self.dataset.observations.shape[1]),
            "labels": (num, comparisons),
            "mask": (num, comparisons),
            "user_ids": (num,),
            "group_index": (num,),
            "goals": self.users.goals.shape,
        }

    def chunks(self, progress: Progress | None) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """First row and columns of one chunk of users after another."""
        num = len(self.users)
        numbers = int(np.prod(self.shapes()["segments"][1:]))
        size = max(1, CHUNK_NUMBERS // numbers)
        for index, start in enumerate(range(0, num, size)):
            rows = np.arange(start, min(start + size, num))
            users = self.users.take(rows)
            generator, num_queries = self._generator("queries", index), len(rows) * self.num_comparisons
            pairs = draw_pairs(self.pool, num_queries, generator, self.strategy, self.rated)
            pairs = pairs.reshape(len(rows), self.num_comparisons, 2)
            segments = segments_at(self.dataset, pairs, self.segment_length)
            thresholds = None if self.thresholds is None else self.thresholds.take(rows)
            generator = self._generator("answers", index)
            answers = answer_queries(self.task, segments, users.goals, users.teacher, generator, thresholds)
            self._count(answers)
            columns = {
                "segments": segments,
                "labels": answers.labels,
                "mask": answers.mask,
                "user_ids": users.ids,
                "group_index": users.group_index,
                "goals": users.goals,
            }
            yield start, columns
            if progress is not None:
                progress(start + len(rows), num)

    def _count(self, answers: Answers) -> None:
        decided = answers.mask & (answers.labels != 0.5)
        self.tally["asked"] += answers.mask.size
        self.tally["given"] += int(answers.mask.sum())
        self.tally["decided"] += int(decided.sum())
        self.tally["flipped"] += int(answers.flipped.sum())
        self.tally["first"] += int((answers.labels[decided] == 1).sum())

    def provenance(self, more: Mapping[str, Any] | None) -> dict[str, Any]:
        asked, given, decided = (self.tally[name] for name in ("asked", "given", "decided"))
        return {
            "environment": self.task.name,
            "teacher": self.users.teacher.summary(),
            "seed": self.seed,
            "strategy": self.strategy,
            "segment_length": self.segment_length,
            "num_comparisons": self.num_comparisons,
            "realised_rates": {
                "skip": (asked - given) / max(asked, 1),
                "equal": (given - decided) / max(given, 1),
                "flip": self.tally["flipped"] / max(decided, 1),
                "first_preferred": self.tally["first"] / max(decided, 1),
            },
            **(more or {}),
        }

    def _generator(self, purpose: str, chunk: int = 0) -> np.random.Generator:
        """One generator for each purpose and chunk: another teacher is asked the same queries."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(_PURPOSES.index(purpose), chunk)))
