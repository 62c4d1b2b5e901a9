"""Who beats whom in a suite, and whether its task is fit to compare learners at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from pluralbench.benchmarks import aggregate, significance
from pluralbench.benchmarks.aggregate import Interval
from pluralbench.benchmarks.figures.suite import (
    SuiteResults,
    is_reference_row,
    learner_of,
    success_intervals,
    users_by_seed,
)

ORACLE = "oracle"
"""The learner that knows the truth, in every table: the ceiling of the policy stage."""
FIT = 0.95
"""Where the oracle serves its worst-off group in a smaller share of the episodes, learners are not to be compared."""
ASK_NOBODY = ("behaviour", "bc", "tour")
"""The reference rows that every learner is tested against; the others say what could be had, not what to beat."""
SIGNIFICANT = 0.05
"""A difference of two methods may be claimed where the corrected p is below."""


@dataclass(frozen=True)
class Comparison:
    """Two methods on the users that both have served."""

    better: str  # the one whose users succeed more often in the mean
    worse: str  # the other
    difference: Interval  # of the mean success rates, better minus worse, with its 95 % interval
    p: float  # two-sided, of the sign-flip permutation test, Holm-corrected over all pairs compared

    @property
    def holds(self) -> bool:
        """Whether the models that were trained differ by more than chance: p < 0.05."""
        return self.p < SIGNIFICANT

    @property
    def holds_over_seeds(self) -> bool:
        """Whether other trainings would differ so too: besides, the interval, which is of seeds too, is above 0."""
        return self.holds and self.difference.low > 0


@lru_cache(maxsize=16)
def compare_methods(suite: SuiteResults) -> tuple[Comparison, ...]:
    """Learners with one another and with the rows that `ASK_NOBODY`, each pair on the users that both served.

    Of groups that taught the reward model (`SuiteResults.taught`), in the order of the methods. With few seeds the test
    speaks about the models trained (`significance.sign_flip_p`).
    """
    rates = {method: {(rate.seed, rate.user): rate for rate in suite.table_rates(method)} for method in suite.methods}
    pairs, p_values = [], []
    for first, second in combinations(suite.methods, 2):
        if not _is_tested(first, second):
            continue
        shared = [key for key in rates[first] if key in rates[second]]
        if shared:
            own, other = (users_by_seed([rates[method][key] for key in shared]) for method in (first, second))
            difference = aggregate.paired_difference(own, other, np.random.default_rng(0))
            by_seed = [a.rates - b.rates for a, b in zip(own, other, strict=True)]
            p_values.append(significance.sign_flip_p(by_seed, np.random.default_rng(0)))
            pairs.append((first, second, difference))
    return tuple(
        Comparison(first, second, found, p)
        if found.estimate >= 0
        else Comparison(second, first, Interval(-found.estimate, -found.high, -found.low), p)
        for (first, second, found), p in zip(pairs, significance.holm(p_values).tolist(), strict=True)
    )


def _is_tested(first: str, second: str) -> bool:
    references = [method for method in (first, second) if is_reference_row(method)]
    return len(references) < 2 and all(method in ASK_NOBODY for method in references)


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
