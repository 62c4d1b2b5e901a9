"""What figures and tables are made of: one environment's results out of a suite's folder, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pluralbench.benchmarks import aggregate, results
from pluralbench.benchmarks.aggregate import Interval, SeedUsers, SuccessIntervals
from pluralbench.benchmarks.experiments.methods import REFERENCE_ROWS
from pluralbench.benchmarks.results import SuccessRate
from pluralbench.benchmarks.results.metrics import Row
from pluralbench.benchmarks.results.runs import Runs, judged, read_runs

NOT_WHOLE = "*"
"""Stands behind the name of a method of which a run is missing, not finished or damaged."""

_NEVER_LINES = ("behaviour", "tour")  # scripts, which are neither trained nor read answers: no colour is spent on them


@dataclass(frozen=True)
class SuiteResults:
    """One environment's results in a suite's folder."""

    folder: Path  # of the suite
    environment: str  # its name
    rates: tuple[SuccessRate, ...]  # final success of every method, seed and test user
    methods: tuple[str, ...]  # reference rows first, then in the order of the experiment, those of other runs last
    seeds: tuple[int, ...]  # all that any method was run with
    runs: Runs = field(default_factory=Runs, compare=False)  # their other files, and which of them are not whole

    @property
    def num_groups(self) -> int:
        """Groups of users that were served."""
        return len({rate.group for rate in self.rates})

    @property
    def marks(self) -> str:
        """What `NOT_WHOLE` says behind the names of methods; empty where none has it."""
        return f"{NOT_WHOLE} runs are missing or damaged" if self.runs.faults else ""

    @property
    def taught(self) -> tuple[SuccessRate, ...]:
        """Rates of users whose group taught the reward model; all of them where no group did."""
        return tuple(rate for rate in self.rates if not rate.held_out) or self.rates

    @property
    def held_out(self) -> tuple[SuccessRate, ...]:
        """Rates of users whose group taught nothing."""
        return tuple(rate for rate in self.rates if rate.held_out)

    def table_rates(self, method: str) -> tuple[SuccessRate, ...]:
        """The rates of one method that enter its row: of `taught`; all of them where it has none there."""
        return of_method(self.taught, method) or of_method(self.rates, method)

    def title_of(self, method: str) -> str:
        """A method's name in tables and figures: marked with `NOT_WHOLE` where not all of its runs are whole."""
        return f"{method} {NOT_WHOLE}" if method in self.runs.not_whole else method

    def summaries(self, method: str) -> list[Mapping[str, Any]]:
        """The sound summary.json of a method's seeds."""
        return [files.summary for files in self.runs.of_method(method) if files.summary is not None]

    def metrics(self, method: str) -> list[Sequence[Row]]:
        """The sound metrics.csv of a method's seeds."""
        return [files.metrics for files in self.runs.of_method(method) if files.metrics is not None]

    def configs(self, method: str) -> dict[int, Mapping[str, Any]]:
        """The sound config.json of a method, by seed."""
        own = {seed: files for (name, seed), files in sorted(self.runs.files.items()) if name == method}
        return {seed: files.config for seed, files in own.items() if files.config is not None}


def read_suites(folder: Path) -> list[SuiteResults]:
    """The results of each environment in a suite's folder.

    Raises:
        ResultsError: there are none, or the table or an experiment.json is damaged.
    """
    return [read_suite(folder, environment) for environment in results.environments_in(folder)]


def read_suite(folder: Path, environment: str) -> SuiteResults:
    """The results of one environment; damaged runs are in them as such (`SuiteResults.runs`).

    Raises:
        ResultsError: there are none of it, or the table or its experiment.json is damaged.
    """
    record = results.read_record(folder, environment)
    files = read_runs(folder, environment, record)
    rates = tuple(results.read_success_rates(folder, environment))
    run = {rate.method for rate in rates}
    named = [method for method in record.get("methods", []) if method in run]
    methods = tuple(sorted(dict.fromkeys([*named, *sorted(run)]), key=_reference_row))
    runs = judged(folder, environment, record, files, rates)
    return SuiteResults(folder, environment, rates, methods, tuple(sorted({rate.seed for rate in rates})), runs)


def learner_of(method: str) -> str:
    """The learner of a method's name `learner[+scaling][@policy]`."""
    return method.partition("@")[0].partition("+")[0]


def place_among(methods: Sequence[str], method: str) -> int:
    """The place of a method, or of a learner's first one, among these: learners, reference rows, and `_NEVER_LINES`."""
    ordered = sorted(methods, key=lambda name: (is_reference_row(name), name in _NEVER_LINES))
    return ordered.index(method) if method in ordered else [learner_of(name) for name in ordered].index(method)


def is_reference_row(method: str) -> bool:
    """Whether a method stands in the table to show what others are to be measured by (`REFERENCE_ROWS`)."""
    return learner_of(method) in REFERENCE_ROWS


def _reference_row(method: str) -> int:
    """Its place among the reference rows; behind them all where it is none."""
    return REFERENCE_ROWS.index(learner_of(method)) if is_reference_row(method) else len(REFERENCE_ROWS)


def of_method(rates: Sequence[SuccessRate], method: str) -> tuple[SuccessRate, ...]:
    """The rates of one method."""
    return tuple(rate for rate in rates if rate.method == method)


def users_by_seed(rates: Sequence[SuccessRate]) -> list[SeedUsers]:
    """The users of every seed, for one method's rates."""
    by_seed: dict[int, list[SuccessRate]] = {}
    for rate in rates:
        by_seed.setdefault(rate.seed, []).append(rate)
    return [
        SeedUsers(
            tuple(rate.group for rate in own),
            np.array([rate.successes for rate in own], dtype=np.int64),
            np.array([rate.episodes for rate in own], dtype=np.int64),
        )
        for _, own in sorted(by_seed.items())
    ]


@lru_cache(maxsize=256)
def success_intervals(rates: tuple[SuccessRate, ...]) -> SuccessIntervals:
    """Mean, worst group and gap of one method's rates, with their 95 % intervals."""
    return aggregate.success_intervals(users_by_seed(rates), np.random.default_rng(0))


def mean_success(rates: tuple[SuccessRate, ...]) -> Interval:
    """Mean success rate over seeds and users of one method's rates, with its 95 % interval."""
    return success_intervals(rates).mean


def seed_means(rates: Sequence[SuccessRate], reached: bool = False) -> list[float]:
    """Mean success rate of each seed's users, for one method's rates; by the papers' rule if `reached`."""
    return [
        float(np.mean([rate.reached_rate if reached else rate.success_rate for rate in rates if rate.seed == seed]))
        for seed in sorted({rate.seed for rate in rates})
    ]


def group_means(rates: Sequence[SuccessRate]) -> dict[str, float]:
    """Mean over seeds of each group's mean success rate, for one method's rates."""
    groups = dict.fromkeys(rate.group for rate in rates)
    return {name: float(np.mean(seed_means([rate for rate in rates if rate.group == name]))) for name in groups}
