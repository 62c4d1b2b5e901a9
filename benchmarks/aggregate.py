"""Statistics over few runs (after Agarwal et al., NeurIPS 2021, arXiv 2108.13264), as pure functions.

Test users are the sample, not episodes: a user is nearly always served or nearly never, so a hundred episodes of one
user say little more than one. A user's success rate is that user's successes over that user's own episodes, and nothing
is dropped: one rate for each seed and test user. Groups are strata: which there are is fixed, their users are drawn.

Intervals are percentile bootstraps, widened for what a bootstrap of few cannot show:

- An outcome that the sample lacks: eight users who all succeed give "1.00 to 1.00". Where few users failed or few
  succeeded (`few`, of all seeds together) intervals contain what Wilson's give, which keep their coverage at 0 and 1
  with few observations (Brown, Cai and DasGupta, Statistical Science 16, 2001) and count a user as one success or
  failure.
- How much another training may differ: resamples of S seeds have (S - 1) / S of their variance and none of the doubt
  about it. Where seeds differ by more than their users explain, intervals contain Student's of the seeds' own values
  (`seed_ends`).

No interval has zero width. Seeds that agree still do not show how often a training fails: five good ones are likely
enough (1 in 20) where 45 % of all are bad. Nothing here can mend that but more seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]
Ends = tuple[float, float]

FEW_USERS = 5
"""Fewer expected users than these who fail, or who succeed, are few (the rule of thumb of the normal approximation)."""
NUM_RESAMPLES = 5_000
_NO_WIDTH = 1e-9


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class SeedUsers:
    """The test users of one seed, as one method served them."""

    groups: tuple[str, ...]  # (U,) name of each user's group
    successes: Counts  # (U,) successful episodes of each
    episodes: Counts  # (U,) all episodes of each, at least 1

    def __post_init__(self) -> None:
        if not 0 < len(self.groups) == len(self.successes) == len(self.episodes):
            raise ValueError("expected a group, successes and episodes of each user, and at least one user")

    @property
    def rates(self) -> Floats:
        """(U,) success rate of each user."""
        return np.asarray(self.successes / self.episodes)


class _Strata:
    """The groups of users of S seeds: `numbers` (G,) users of each, `shares` (S, G) of each seed's, `weights` (G,)."""

    def __init__(self, seeds: Sequence[SeedUsers]) -> None:
        self.names = list(dict.fromkeys(name for users in seeds for name in users.groups))
        self.members = [[np.array(users.groups) == name for name in self.names] for users in seeds]
        counts = np.array([[own.sum() for own in seed] for seed in self.members])
        self.numbers = counts.sum(axis=0)
        self.shares = counts / counts.sum(axis=1, keepdims=True)
        self.weights = self.shares.mean(axis=0)

    def means(self, values: Sequence[Floats]) -> Floats:
        """(G,) mean over seeds of each group's mean value."""
        return _over_seeds(self.by_seed(values))

    def by_seed(self, values: Sequence[Floats]) -> Floats:
        """(S, G) mean value of each seed's groups, NaN where a seed lacks one."""
        found = [
            [of_users[own].mean() if own.any() else np.nan for own in seed]
            for of_users, seed in zip(values, self.members, strict=True)
        ]
        return np.array(found)

    def sampling(self, values: Sequence[Floats]) -> Floats:
        """(S, G) variance of each seed's group's mean by the sampling of its users; 0 of a single user."""
        found = [
            [of_users[own].var(ddof=1) / own.sum() if own.sum() > 1 else 0.0 for own in seed]
            for of_users, seed in zip(values, self.members, strict=True)
        ]
        return np.array(found)

    def resample(
        self, draw: Callable[[int, Flags, int], Floats], generator: np.random.Generator, num_resamples: int
    ) -> tuple[Floats, Floats]:
        """(R,) means over all users and (R, G) over each group's, NaN where no drawn seed has the group.

        `draw` takes a seed, (U,) which of its users, and how many means of so many resampled users are wanted.
        """
        picked = generator.integers(len(self.members), size=(num_resamples, len(self.members)))
        drawn = np.full((*picked.shape, len(self.names)), np.nan)
        for seed, groups in enumerate(self.members):
            where = picked == seed
            for group, own in enumerate(groups):
                if own.any():
                    drawn[where, group] = draw(seed, own, int(where.sum()))
        return np.nansum(drawn * self.shares[picked], axis=2).mean(axis=1), _over_seeds(drawn)


@dataclass(frozen=True)
class SuccessIntervals:
    """How one method serves its users."""

    mean: Interval  # mean over seeds of the users' mean success rate
    worst: Interval  # success rate of the worst-off group (a group's is the mean over seeds of its users' mean)
    worst_group: str  # its name, the first of several
    gap: Interval | None  # best minus worst group; None where there is one group only


def success_intervals(
    seeds: Sequence[SeedUsers], generator: np.random.Generator, num_resamples: int = NUM_RESAMPLES,
    confidence: float = 0.95,
) -> SuccessIntervals:  # fmt: skip
    """Intervals of the mean, of the worst group and of the gap, when seeds, users and episodes are all samples.

    Each resample draws seeds, within each drawn seed as many users of each group as it has, and each drawn user's
    episodes (binomial at the user's rate); worst and best group are chosen anew in each. Where a group's users are
    `few` the intervals are widened: `_mean_ends`, `_worst_ends`, `_gap_ends`. So they are by `seed_ends`: of the seeds'
    means, of the group found worst, and of the difference of the two found best and worst. The number of users, their
    groups and episodes may differ between seeds.
    """
    strata = _Strata(seeds)
    of_users = [users.rates for users in seeds]
    by_seed, sampling = strata.by_seed(of_users), strata.sampling(of_users)
    rates = _over_seeds(by_seed)
    of_seeds = np.array([own.mean() for own in of_users])
    mean, worst, best = float(of_seeds.mean()), int(rates.argmin()), int(rates.argmax())
    is_few, (low, high) = few(rates, strata.numbers), wilson(rates, strata.numbers, confidence)
    means, drawn = strata.resample(
        lambda seed, own, times: _resampled_rate(seeds[seed], own, times, generator), generator, num_resamples
    )
    least, most = np.nanmin(drawn, axis=1), np.nanmax(drawn, axis=1)

    def mean_ends(is_few: Flags) -> Ends:
        return _mean_ends(mean, rates, strata, confidence) if is_few.any() else (mean, mean)

    def worst_ends(is_few: Flags) -> Ends:
        return _worst_ends(drawn, rates, np.where(is_few, low, rates), np.where(is_few, high, rates), confidence)

    def gap_ends(is_few: Flags) -> Ends:
        return _gap_ends(drawn, rates, low, high, is_few, confidence)

    between = (
        seed_ends(of_seeds, (strata.shares**2 * sampling).sum(1), confidence),
        seed_ends(by_seed[:, worst], sampling[:, worst], confidence),
        seed_ends(by_seed[:, best] - by_seed[:, worst], sampling[:, [best, worst]].sum(1), confidence),
    )
    found_mean, found_worst, found_gap = (_clipped(ends, 0.0) for ends in between)
    return SuccessIntervals(
        _interval(mean, means, is_few, mean_ends, found_mean, confidence),
        _interval(float(rates.min()), least, is_few, worst_ends, found_worst, confidence),
        strata.names[worst],
        _interval(float(np.ptp(rates)), most - least, is_few, gap_ends, found_gap, confidence)
        if len(rates) > 1
        else None,
    )


def seed_ends(values: ArrayLike, sampling: ArrayLike, confidence: float = 0.95) -> Ends:
    """Ends of the mean of S seeds' values x: x - t s / sqrt(S) and x + t s / sqrt(S) (Student, 1908).

    s is their deviation, t the two-sided quantile of S - 1 degrees of freedom. NaN is no value. There are no ends,
    infinity and less, of fewer than two, for one training does not show how much another differs, and where s^2 is no
    more than the mean of `sampling` (S,), the variance that each has by its users alone.
    """
    x, own = np.asarray(values, dtype=np.float64), np.asarray(sampling, dtype=np.float64)
    x, own = x[~np.isnan(x)], own[~np.isnan(x)]
    if len(x) < 2 or x.var(ddof=1) <= own.mean():
        return np.inf, -np.inf
    reach = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1) * x.std(ddof=1)) / len(x) ** 0.5
    return float(x.mean()) - reach, float(x.mean()) + reach


def paired_difference(
    first: Sequence[SeedUsers], second: Sequence[SeedUsers], generator: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES, confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """Mean difference of two methods' success rates, `first` minus `second`, for the same users of the same seeds.

    Resamples seeds, then users within their group; a user's two rates stay together: both methods' users are in the
    same order. Where a group is few under either method the interval is widened to contain `_difference_ends`, and
    to contain `seed_ends` of the seeds' mean differences.
    """
    strata = _Strata(first)
    differences = [a.rates - b.rates for a, b in zip(first, second, strict=True)]
    of_seeds = np.array([own.mean() for own in differences])
    estimate = float(of_seeds.mean())
    p, q = (strata.means([users.rates for users in seeds]) for seeds in (first, second))

    def draw(seed: int, own: Flags, times: int) -> Floats:
        kinds, users = np.unique(differences[seed][own], return_counts=True)
        return np.asarray(generator.multinomial(users.sum(), users / users.sum(), size=times) @ kinds / users.sum())

    def ends(is_few: Flags) -> Ends:
        return _difference_ends(estimate, p, q, strata, confidence) if is_few.any() else (estimate, estimate)

    means, _ = strata.resample(draw, generator, num_resamples)
    between = seed_ends(of_seeds, (strata.shares**2 * strata.sampling(differences)).sum(1), confidence)
    is_few = few(p, strata.numbers) | few(q, strata.numbers)
    return _interval(estimate, means, is_few, ends, _clipped(between, -1.0), confidence)


def interquartile_mean(rates: ArrayLike) -> float:
    """IQM: the mean of the middle half of all rates, a quarter trimmed at either end."""
    ordered = np.sort(np.asarray(rates, dtype=np.float64), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def wilson(rate: ArrayLike, num: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson's score interval of a rate p on n users (Wilson, JASA 22, 1927).

    (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), z the normal quantile; elementwise.
    """
    p, n = np.asarray(rate, dtype=np.float64), np.asarray(num, dtype=np.float64)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre, scale = p + z**2 / (2 * n), 1 + z**2 / n
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return np.clip((centre - half) / scale, 0.0, p), np.clip((centre + half) / scale, p, 1.0)


def few(rate: ArrayLike, num: ArrayLike) -> Flags:
    """Whether fewer than `FEW_USERS` of n users are expected to fail, or to succeed: min(n p, n (1 - p)) < 5."""
    p, n = np.asarray(rate, dtype=np.float64), np.asarray(num)
    return np.asarray(n * np.minimum(p, 1 - p) < FEW_USERS - 1e-9)


def _mean_ends(mean: float, rates: Floats, strata: _Strata, confidence: float) -> Ends:
    """Ends of a mean over groups at fixed weights: Wilson's on all users where these are `few`.

    Else, at each end, the nearer of that one (strata only lessen its variance) and of the squares added of how far each
    group may be off: sum_g w_g p_g - sqrt(sum_g w_g^2 (p_g - l_g)^2), likewise above (Zou and Donner, 2008).
    """
    pooled = [float(end) for end in wilson(mean, strata.numbers.sum(), confidence)]
    if few(mean, strata.numbers.sum()):
        return pooled[0], pooled[1]
    low, high = wilson(rates, strata.numbers, confidence)
    below, above = (float(np.linalg.norm(strata.weights * reach)) for reach in (rates - low, high - rates))
    return max(pooled[0], mean - below), min(pooled[1], mean + above)


def _worst_ends(drawn: Floats, rates: Floats, low: Floats, high: Floats, confidence: float) -> Ends:
    """Ends of min_g p_g: [min l_g, min u_g], where l_g = u_g = p_g if g is not few, and up to where the worst ends.

    The least of G noisy rates lies too low, in resamples more than in the sample, so that resamples alone would end too
    low. The group found worst ends at 1 - alpha / G (Bonferroni, as it was selected), alpha = 1 - `confidence`.
    """
    own = np.nanquantile(drawn[:, rates.argmin()], 1 - (1 - confidence) / len(rates))
    return float(low.min()), max(float(own), float(high.min()))


def _gap_ends(drawn: Floats, rates: Floats, low: Floats, high: Floats, is_few: Flags, confidence: float) -> Ends:
    """Ends of the largest p_g - p_h: [max L_gh, max U_gh], and, as `_worst_ends`, down to where the two found end.

    L_gh = p_g - p_h - sqrt((p_g - l_g)^2 + (u_h - p_h)^2), and likewise U_gh above (Newcombe, 1998, method 10), where
    one of the two groups is few; else both are p_g - p_h.
    """
    pairs = (is_few[:, None] | is_few) & ~np.eye(len(rates), dtype=bool)
    difference = rates[:, None] - rates
    below = np.hypot((rates - low)[:, None], high - rates)
    above = np.hypot((high - rates)[:, None], rates - low)
    found = drawn[:, rates.argmax()] - drawn[:, rates.argmin()]
    own = np.nanquantile(found, (1 - confidence) / (len(rates) * (len(rates) - 1)))
    least = min(float(own), float((difference - pairs * below).max()))
    return max(0.0, least), min(1.0, float((difference + pairs * above).max()))


def _difference_ends(estimate: float, first: Floats, second: Floats, strata: _Strata, confidence: float) -> Ends:
    """Ends of the mean paired difference: as `_mean_ends`, with Newcombe's ends of each difference p - q.

    p - q - sqrt((p - l_p)^2 + (u_q - q)^2), and likewise above, without credit for the correlation within pairs.
    """

    def reach(p: Floats, q: Floats, num: Counts) -> tuple[Floats, Floats]:
        (p_low, p_high), (q_low, q_high) = wilson(p, num, confidence), wilson(q, num, confidence)
        return np.hypot(p - p_low, q_high - q), np.hypot(p_high - p, q - q_low)

    pooled = reach(strata.weights @ first, strata.weights @ second, strata.numbers.sum())
    groups = [np.linalg.norm(strata.weights * part) for part in reach(first, second, strata.numbers)]
    below, above = (min(float(one), float(other)) for one, other in zip(pooled, groups, strict=True))
    return max(-1.0, estimate - below), min(1.0, estimate + above)


def _clipped(ends: Ends, least: float) -> Ends:
    return max(ends[0], least), min(ends[1], 1.0)


def _interval(
    estimate: float, resampled: Floats, is_few: Flags, ends: Callable[[Flags], Ends], between: Ends, confidence: float
) -> Interval:
    """The percentile interval, widened by the ends `between` seeds, and by the `ends` of groups that are few.

    By all groups' where it has no width then.
    """
    low, high = (float(end) for end in np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2]))
    few_low, few_high = ends(is_few)
    low, high = min(low, few_low, between[0], estimate), max(high, few_high, between[1], estimate)
    if high - low < _NO_WIDTH:
        low, high = ends(np.ones_like(is_few))
    return Interval(estimate, low, high)


def _over_seeds(rates: Floats) -> Floats:
    """(..., S, G) to (..., G): the mean over the seeds that have a group; NaN where none has."""
    present = (~np.isnan(rates)).sum(axis=-2)
    return np.where(present > 0, np.nansum(rates, axis=-2) / np.maximum(present, 1), np.nan)


def _resampled_rate(users: SeedUsers, own: Flags, times: int, generator: np.random.Generator) -> Floats:
    """(times,) mean rate of as many resampled users as are `own`, each with resampled episodes.

    Users of equal successes and episodes are one kind, of which only the number is drawn: the same distribution.
    """
    kinds, counts = np.unique(np.stack([users.successes, users.episodes])[:, own], axis=1, return_counts=True)
    hits, totals = kinds
    drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=times) * totals  # (times, kinds) episodes
    return np.asarray((generator.binomial(drawn, hits / totals) / totals).sum(axis=1) / counts.sum())
