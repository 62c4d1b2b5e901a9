"""What figures and tables are made of: one environment's results out of a suite's folder, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pluralbench.benchmarks import aggregate, results
from pluralbench.benchmarks.results import SuccessRate

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SuiteResults:
    """One environment's results in a suite's folder.

    Attributes:
        folder: of the suite.
        environment: its name.
        rates: final success of every method, seed and test user.
        methods: in the order of the experiment, those of other runs after them.
        seeds: all that any method was run with.
    """

    folder: Path
    environment: str
    rates: tuple[SuccessRate, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def taught(self) -> tuple[SuccessRate, ...]:
        """Rates of users whose group taught the reward model; all of them where no group did."""
        return tuple(rate for rate in self.rates if not rate.held_out) or self.rates

    @property
    def held_out(self) -> tuple[SuccessRate, ...]:
        """Rates of users whose group taught nothing."""
        return tuple(rate for rate in self.rates if rate.held_out)

    def seed_file(self, method: str, seed: int, name: str) -> Path:
        """A file of one seed of one method."""
        return results.seed_folder(self.folder, self.environment, method, seed) / name


def read_suites(folder: Path) -> list[SuiteResults]:
    """The results of each environment in a suite's folder.

    Raises:
        ResultsError: there are none.
    """
    rates = results.read_success_rates(folder)
    return [
        _suite(folder, environment, tuple(rate for rate in rates if rate.environment == environment))
        for environment in dict.fromkeys(rate.environment for rate in rates)
    ]


def read_suite(folder: Path, environment: str) -> SuiteResults:
    """The results of one environment.

    Raises:
        ResultsError: there are none of it.
    """
    for suite in read_suites(folder):
        if suite.environment == environment:
            return suite
    raise results.ResultsError(f"{folder} holds no results of {environment}")


def _suite(folder: Path, environment: str, rates: tuple[SuccessRate, ...]) -> SuiteResults:
    found = sorted({rate.method for rate in rates})
    named = [method for method in results.read_record(folder, environment).get("methods", []) if method in found]
    methods = dict.fromkeys([*named, *found])
    return SuiteResults(folder, environment, rates, tuple(methods), tuple(sorted({rate.seed for rate in rates})))


def learner_of(method: str) -> str:
    """The learner of a method's name `learner[+scaling][@policy]`."""
    return method.partition("@")[0].partition("+")[0]


def of_method(rates: Sequence[SuccessRate], method: str) -> list[SuccessRate]:
    """The rates of one method."""
    return [rate for rate in rates if rate.method == method]


def success_by_user(rates: Sequence[SuccessRate]) -> tuple[list[Counts], list[Counts]]:
    """For every seed the successes (U,) of each user, and the episodes (U,) that each had."""
    by_seed = [[rate for rate in rates if rate.seed == seed] for seed in sorted({rate.seed for rate in rates})]
    return (
        [np.array([rate.successes for rate in own], dtype=np.int64) for own in by_seed],
        [np.array([rate.episodes for rate in own], dtype=np.int64) for own in by_seed],
    )


def mean_success(rates: Sequence[SuccessRate]) -> aggregate.Interval:
    """Mean success rate over seeds and users of one method's rates, with its 95 % interval."""
    return aggregate.nested_bootstrap(*success_by_user(rates), np.random.default_rng(0))


def seed_means(rates: Sequence[SuccessRate]) -> list[float]:
    """Mean success rate of each seed's users, for one method's rates."""
    return [
        float(np.mean([rate.success_rate for rate in rates if rate.seed == seed]))
        for seed in sorted({rate.seed for rate in rates})
    ]


def group_means(rates: Sequence[SuccessRate]) -> dict[str, float]:
    """Mean over seeds of each group's mean success rate, for one method's rates."""
    groups = dict.fromkeys(rate.group for rate in rates)
    return {name: float(np.mean(seed_means([rate for rate in rates if rate.group == name]))) for name in groups}
