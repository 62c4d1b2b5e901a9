"""What figures and tables are made of: one environment's results out of a suite's folder, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np

from pluralbench.benchmarks import aggregate, results
from pluralbench.benchmarks.aggregate import Interval, SeedUsers, SuccessIntervals
from pluralbench.benchmarks.results import SuccessRate

ORACLE = "oracle"
"""The learner that knows the truth, in every table: the ceiling of the policy stage."""
FIT = 0.95
"""Where the oracle serves its worst-off group in a smaller share of the episodes, learners are not to be compared."""
SIGNIFICANT = 0.05
"""A difference of two methods holds where the corrected p is below."""


@dataclass(frozen=True)
class SuiteResults:
    """One environment's results in a suite's folder."""

    folder: Path  # of the suite
    environment: str  # its name
    rates: tuple[SuccessRate, ...]  # final success of every method, seed and test user
    methods: tuple[str, ...]  # in the order of the experiment, those of other runs after them
    seeds: tuple[int, ...]  # all that any method was run with

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

    def seed_files(self, method: str, name: str) -> list[Path]:
        """A file of every seed of one method that has it."""
        folders = [results.seed_folder(self.folder, self.environment, method, seed) for seed in self.seeds]
        return [folder / name for folder in folders if (folder / name).exists()]


def read_suites(folder: Path) -> list[SuiteResults]:
    """The results of each environment in a suite's folder.

    Raises:
        ResultsError: there are none.
    """
    found = results.read_success_rates(folder)
    suites = []
    for environment in dict.fromkeys(rate.environment for rate in found):
        rates = tuple(rate for rate in found if rate.environment == environment)
        run = {rate.method for rate in rates}
        named = [method for method in results.read_record(folder, environment).get("methods", []) if method in run]
        methods = tuple(dict.fromkeys([*named, *sorted(run)]))
        suites.append(SuiteResults(folder, environment, rates, methods, tuple(sorted({rate.seed for rate in rates}))))
    return suites


def read_suite(folder: Path, environment: str) -> SuiteResults:
    """The results of one environment.

    Raises:
        ResultsError: there are none of it.
    """
    for suite in read_suites(folder):
        if suite.environment == environment:
            return suite
    raise results.ResultsError(f"{folder} holds no results of {environment}")


def learner_of(method: str) -> str:
    """The learner of a method's name `learner[+scaling][@policy]`."""
    return method.partition("@")[0].partition("+")[0]


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


@dataclass(frozen=True)
class Comparison:
    """Two methods on the users that both have served."""

    better: str  # the one whose users succeed more often in the mean
    worse: str  # the other
    difference: Interval  # of the mean success rates, better minus worse, with its 95 % interval
    p: float  # two-sided, of the sign-flip permutation test, Holm-corrected over all pairs of methods compared

    @property
    def holds(self) -> bool:
        """Whether the difference is more than chance: p < 0.05."""
        return self.p < SIGNIFICANT


@lru_cache(maxsize=16)
def compare_methods(suite: SuiteResults) -> tuple[Comparison, ...]:
    """Every pair of methods that share users, on those of groups that taught the reward model (`SuiteResults.taught`).

    In the order of the methods. With few seeds the test speaks about the models trained (`aggregate.sign_flip_p`).
    """
    rates = {method: {(rate.seed, rate.user): rate for rate in suite.table_rates(method)} for method in suite.methods}
    pairs, p_values = [], []
    for first, second in combinations(suite.methods, 2):
        shared = [key for key in rates[first] if key in rates[second]]
        if shared:
            own, other = (users_by_seed([rates[method][key] for key in shared]) for method in (first, second))
            difference = aggregate.paired_difference(own, other, np.random.default_rng(0))
            by_seed = [a.rates - b.rates for a, b in zip(own, other, strict=True)]
            p_values.append(aggregate.sign_flip_p(by_seed, np.random.default_rng(0)))
            pairs.append((first, second, difference))
    return tuple(
        Comparison(first, second, found, p)
        if found.estimate >= 0
        else Comparison(second, first, Interval(-found.estimate, -found.high, -found.low), p)
        for (first, second, found), p in zip(pairs, aggregate.holm(p_values).tolist(), strict=True)
    )


def unfit(suite: SuiteResults) -> str:
    """One line where learners are not to be compared: the oracle serves its worst-off group too rarely.

    Of several oracles the best-serving counts; the line is empty where it is fit, or where there is no oracle.
    """
    oracles = [success_intervals(suite.table_rates(m)) for m in suite.methods if learner_of(m) == ORACLE]
    found = max(oracles, key=lambda oracle: oracle.worst.estimate, default=None)
    if found is None or found.worst.estimate >= FIT - 1e-9:
        return ""
    decimals = 2 if round(found.worst.estimate, 2) < FIT else 4
    return (
        f"not fit to compare learners: the oracle serves {found.worst_group} in "
        f"{found.worst.estimate:.{decimals}f} of the episodes only"
    )


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
