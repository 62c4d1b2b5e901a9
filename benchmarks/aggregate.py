"""Honest statistics over few runs (Agarwal et al., NeurIPS 2021, arXiv 2108.13264), as pure functions.

Scores are success rates in [0, 1] in a matrix (R, C): R seeds, and C columns that are the same thing in every seed (a
group of users, a task). Nothing is dropped: a score per seed and column, each of all its episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Scores = NDArray[np.float64]
Statistic = Callable[[Scores], Scores]
"""From scores (..., R, C) to (...)."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its percentile interval."""

    estimate: float
    low: float
    high: float


def mean(scores: Scores) -> Scores:
    """Mean over seeds and columns."""
    return np.asarray(scores.mean(axis=(-2, -1)))


def interquartile_mean(scores: Scores) -> Scores:
    """IQM: the mean of the middle half of all R * C scores, a quarter trimmed at either end."""
    flat = scores.reshape(*scores.shape[:-2], -1)
    return np.asarray(stats.trim_mean(flat, 0.25, axis=-1))


def worst_column(scores: Scores) -> Scores:
    """Mean over seeds of the column that fares worst: the worst-off group."""
    return np.asarray(scores.mean(axis=-2).min(axis=-1))


def gap(scores: Scores) -> Scores:
    """Best minus worst column, each averaged over the seeds."""
    columns = scores.mean(axis=-2)
    return np.asarray(columns.max(axis=-1) - columns.min(axis=-1))


def optimality_gap(scores: Scores) -> Scores:
    """1 - E[min(x, 1)]: how far from always succeeding."""
    return np.asarray(1.0 - np.minimum(scores, 1.0).mean(axis=(-2, -1)))


def probability_of_improvement(scores_x: Scores, scores_y: Scores) -> float:
    """P(X > Y) with ties counted half, per column over all pairs of seeds, averaged over the columns.

    Args:
        scores_x: (R, C).
        scores_y: (Q, C); Q may differ from R.
    """
    difference = scores_x[:, None, :] - scores_y[None, :, :]  # (R, Q, C)
    return float((0.5 * (np.sign(difference) + 1.0)).mean())


def performance_profile(scores: Scores, thresholds: Sequence[float]) -> Scores:
    """Share of scores above each of the thresholds: (T,)."""
    return np.asarray((scores.reshape(-1)[None, :] > np.asarray(thresholds)[:, None]).mean(axis=1))


def stratified_bootstrap(
    scores: Scores,
    statistic: Statistic,
    generator: np.random.Generator,
    num_resamples: int = 50_000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of `statistic`, seeds resampled with replacement within every column.

    Args:
        scores: (R, C).
        statistic: vectorised over a leading axis.
        generator: source of the resamples.
        num_resamples: the paper's 50,000.
        confidence: mass between the two ends.
    """
    num_runs, num_columns = scores.shape
    estimates = []
    for begin in range(0, num_resamples, 5_000):  # bounded memory
        size = min(5_000, num_resamples - begin)
        rows = generator.integers(num_runs, size=(size, num_runs, num_columns))
        estimates.append(statistic(scores[rows, np.arange(num_columns)]))
    return _interval(statistic(scores), np.concatenate(estimates), confidence)


def nested_bootstrap(
    successes: Sequence[NDArray[np.integer]],
    episodes: int,
    generator: np.random.Generator,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """Interval of the mean success rate when seeds, users and episodes are all samples.

    Resamples seeds, then users within a seed, then episodes within a user (binomial at the user's rate). With two
    seeds it is still too narrow; what it adds over `stratified_bootstrap` is that other users might have come.

    Args:
        successes: for every seed (U,) successful episodes of each held-out user.
        episodes: of each user.
        generator: source of the resamples.
        num_resamples: resamples.
        confidence: mass between the two ends.
    """
    num_seeds = len(successes)
    rates = np.empty((num_resamples, num_seeds))
    picked = generator.integers(num_seeds, size=(num_resamples, num_seeds))
    for seed, counts in enumerate(successes):
        where = picked == seed
        users = generator.integers(len(counts), size=(int(where.sum()), len(counts)))
        drawn = generator.binomial(episodes, np.asarray(counts)[users] / episodes)
        rates[where] = drawn.mean(axis=1) / episodes
    estimate = np.mean([np.mean(counts) / episodes for counts in successes])
    return _interval(np.asarray(estimate), rates.mean(axis=1), confidence)


def wilson_interval(successes: int, episodes: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of one success rate."""
    interval = stats.binomtest(successes, episodes).proportion_ci(confidence, method="wilson")
    return Interval(successes / episodes, float(interval.low), float(interval.high))


def _interval(estimate: Scores, resampled: Scores, confidence: float) -> Interval:
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(estimate), float(low), float(high))
