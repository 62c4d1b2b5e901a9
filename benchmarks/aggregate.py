"""Statistics over few runs (after Agarwal et al., NeurIPS 2021, arXiv 2108.13264), as pure functions.

Test users are the sample, not episodes: a user is nearly always served or nearly never, so a hundred episodes of one
user say little more than one. A user's success rate is that user's successes over that user's own episodes, and nothing
is dropped: one rate for each seed and test user. Groups are strata: which there are is fixed, their users are drawn.

Intervals are percentile bootstraps. A bootstrap cannot show an outcome that the sample lacks (eight users who all
succeed give "1.00 to 1.00"), so where few users failed or few succeeded (`few`) they are widened to contain what
Wilson's intervals give, which keep their coverage at 0 and 1 with few observations (Brown, Cai and DasGupta,
Statistical Science 16, 2001). These count a user as one success or failure. No interval has zero width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]
Ends = tuple[float, float]

FEW_USERS = 5
"""Fewer expected users than these who fail, or who succeed, are few (the rule of thumb of the normal approximation)."""
NUM_RESAMPLES = 5_000
NUM_FLIPS = 10_000
_MAX_EXACT = 13
"""Users who differ, up to whom all flips of signs are gone through: 2 ** 13 are fewer than `NUM_FLIPS`."""
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
        by_seed = [
            [of_users[own].mean() if own.any() else np.nan for own in seed]
            for of_users, seed in zip(values, self.members, strict=True)
        ]
        return _over_seeds(np.array(by_seed))

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
    episodes (binomial at the user's rate); worst and best group are chosen anew in each. With two seeds all are hints.
    Where a group's users are `few` the intervals are widened: `_mean_ends`, `_worst_ends`, `_gap_ends`. The number of
    users, their groups and episodes may differ between seeds.
    """
    strata = _Strata(seeds)
    rates = strata.means([users.rates for users in seeds])
    mean = float(np.mean([users.rates.mean() for users in seeds]))
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

    return SuccessIntervals(
        _interval(mean, means, is_few, mean_ends, confidence),
        _interval(float(rates.min()), least, is_few, worst_ends, confidence),
        strata.names[int(rates.argmin())],
        _interval(float(np.ptp(rates)), most - least, is_few, gap_ends, confidence) if len(rates) > 1 else None,
    )


def paired_difference(
    first: Sequence[SeedUsers], second: Sequence[SeedUsers], generator: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES, confidence: float = 0.95,
) -> Interval:  # fmt: skip
    """Mean difference of two methods' success rates, `first` minus `second`, for the same users of the same seeds.

    Resamples seeds, then users within their group; a user's two rates stay together: both methods' users are in the
    same order. Where a group is few under either method the interval is widened to contain `_difference_ends`.
    """
    strata = _Strata(first)
    differences = [a.rates - b.rates for a, b in zip(first, second, strict=True)]
    estimate = float(np.mean([own.mean() for own in differences]))
    p, q = (strata.means([users.rates for users in seeds]) for seeds in (first, second))

    def draw(seed: int, own: Flags, times: int) -> Floats:
        kinds, users = np.unique(differences[seed][own], return_counts=True)
        return np.asarray(generator.multinomial(users.sum(), users / users.sum(), size=times) @ kinds / users.sum())

    def ends(is_few: Flags) -> Ends:
        return _difference_ends(estimate, p, q, strata, confidence) if is_few.any() else (estimate, estimate)

    means, _ = strata.resample(draw, generator, num_resamples)
    return _interval(estimate, means, few(p, strata.numbers) | few(q, strata.numbers), ends, confidence)


def sign_flip_p(differences: Sequence[Floats], generator: np.random.Generator, num_flips: int = NUM_FLIPS) -> float:
    """Two-sided p of the paired permutation test that neither method serves users better (Fisher, 1935).

    Under it every user's difference had the other sign as easily: p is the share of sign flips whose mean difference
    (over users, then seeds) is as far from 0 as the one seen. Exact over all 2^n flips where n <= 13 users differ; else
    p = (1 + hits) / (1 + num_flips) of random flips (Phipson and Smyth, 2010, arXiv 1603.05766).

    Users of one seed share a reward model and a policy, so they are not independent draws of the methods: with few
    seeds a small p speaks about the models that were trained, not about what another training would give: that is in
    the interval of `paired_difference`, which resamples seeds. `differences` are (U,) of every seed's users.
    """
    users_of_a_seed = max(len(own) for own in differences)
    values = np.concatenate([own * (users_of_a_seed / len(own)) for own in differences])
    seen = abs(values.sum()) - 1e-6
    sizes, users = np.unique(np.round(np.abs(values), 9), return_counts=True)  # the sign of 0 is none
    sizes, users = sizes[sizes > 0], users[sizes > 0]
    if users.sum() <= _MAX_EXACT:
        each = np.repeat(sizes, users)
        signs = 1 - 2 * (np.arange(2 ** len(each))[:, None] >> np.arange(len(each)) & 1)
        return float((np.abs(signs @ each) >= seen).mean())
    flipped = generator.binomial(users, 0.5, size=(num_flips, len(users)))  # of equal differences only how many matters
    return float((1 + (np.abs((users - 2 * flipped) @ sizes) >= seen).sum()) / (1 + num_flips))


def holm(p_values: ArrayLike) -> Floats:
    """(M,) adjusted p of M: the k-th smallest times M - k + 1, no less than the one before, at most 1 (Holm, 1979)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


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


def _interval(
    estimate: float, resampled: Floats, is_few: Flags, ends: Callable[[Flags], Ends], confidence: float
) -> Interval:
    """The percentile interval, widened by the `ends` of groups that are few; by all groups' where it has no width."""
    low, high = (float(end) for end in np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2]))
    few_low, few_high = ends(is_few)
    low, high = min(low, few_low, estimate), max(high, few_high, estimate)
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
