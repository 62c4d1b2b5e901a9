"""Honest statistics over few runs (after Agarwal et al., NeurIPS 2021, arXiv 2108.13264), as pure functions.

Test users are the sample. A user's success rate is that user's successes over that user's own episodes, and nothing is
dropped: one rate for each seed and test user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and its percentile interval."""

    estimate: float
    low: float
    high: float


def nested_bootstrap(
    successes: Sequence[NDArray[np.integer]],
    episodes: Sequence[NDArray[np.integer]],
    generator: np.random.Generator,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Interval of the mean success rate when seeds, users and episodes are all samples.

    Resamples seeds, then users within a seed, then episodes within a user (binomial at the user's rate). With two
    seeds it is still too narrow; what it has over resampling seeds alone is that other users might have come.

    Args:
        successes: for every seed (U,) successful episodes of each test user; U may differ between seeds.
        episodes: for every seed (U,) all episodes of each, at least 1.
        generator: source of the resamples.
        num_resamples: resamples.
        confidence: mass between the two ends.
    """
    num_seeds = len(successes)
    rates = np.empty((num_resamples, num_seeds))
    picked = generator.integers(num_seeds, size=(num_resamples, num_seeds))
    for seed, (counts, totals) in enumerate(zip(successes, episodes, strict=True)):
        where = picked == seed
        users = generator.integers(len(counts), size=(int(where.sum()), len(counts)))
        drawn = generator.binomial(totals[users], counts[users] / totals[users])
        rates[where] = _mean_rate(drawn, totals[users], int(totals.max()))
    estimates = [_mean_rate(c, n, int(n.max())) for c, n in zip(successes, episodes, strict=True)]
    low, high = np.quantile(rates.mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(np.mean(estimates)), float(low), float(high))


def _mean_rate(successes: NDArray[np.integer], episodes: NDArray[np.integer], common: int) -> Floats:
    """Mean of successes / episodes over the last axis.

    As successes in `common` episodes, so that equal numbers of episodes are divided by once and round once.
    """
    return np.asarray((successes * (common / episodes)).mean(axis=-1) / common)


def interquartile_mean(rates: ArrayLike) -> float:
    """IQM: the mean of the middle half of all rates, a quarter trimmed at either end."""
    ordered = np.sort(np.asarray(rates, dtype=np.float64), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def worst_group(groups: Mapping[str, float]) -> str:
    """The group with the lowest mean success rate, the first of several."""
    return min(groups, key=lambda name: groups[name])


def gap(groups: Mapping[str, float]) -> float:
    """Best minus worst group."""
    return max(groups.values()) - min(groups.values())


def probability_of_improvement(first: ArrayLike, second: ArrayLike) -> float:
    """P(X > Y) with ties counted half, over pairs: both methods' rates for the same user of the same seed.

    Args:
        first: (N,) rates of one method.
        second: (N,) rates of the other.
    """
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return float((0.5 * (np.sign(difference) + 1.0)).mean())
