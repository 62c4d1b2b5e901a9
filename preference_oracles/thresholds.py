"""When a user declines to choose: thresholds on utilities, resolved from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
PerUser = float | NDArray[np.float64]
"""One number for all users, or an array whose first axis counts users."""


@dataclass(frozen=True)
class Thresholds:
    """Below which summed utility users skip, and below which difference two segments are equal to them."""

    skip: PerUser = -np.inf
    """d_skip, (U, 1) or one number for all users."""
    equal: PerUser = 0.0
    """d_equal, likewise."""
    skip_at: PerUser = 0.0
    """Share of the queries exactly at `skip` that are skipped too; not 0 only for quantiles of utilities that take few
    values, so that the nominal share of all queries is skipped."""
    equal_at: PerUser = 0.0
    """Likewise for `equal`."""

    def take(self, rows: ArrayLike) -> Thresholds:
        """The thresholds of these users."""
        index = np.asarray(rows)
        values = [getattr(self, field.name) for field in fields(self)]
        return Thresholds(*(value if np.ndim(value) == 0 else value[index] for value in values))


def return_thresholds(sums_a: Float, sums_b: Float, skip: PerUser, equal: PerUser) -> Thresholds:
    """B-Pref's d = fraction * mean return * T / episode length, which is the fraction of the mean sum of a segment.

    Args:
        sums_a: (..., R) summed utilities of the first segments of R reference pairs.
        sums_b: likewise of the second ones.
        skip: fraction for d_skip, (U, 1) or one number; 0 for users who never skip.
        equal: fraction for d_equal, likewise.
    """
    mean = 0.5 * (sums_a.mean(-1, keepdims=True) + sums_b.mean(-1, keepdims=True))
    return Thresholds(skip=np.where(np.greater(skip, 0), skip * mean, -np.inf), equal=equal * mean)


def quantile_thresholds(sums_a: Float, sums_b: Float, skip: PerUser, equal: PerUser) -> Thresholds:
    """Makes the fractions shares of the reference pairs: quantiles of max(s_a, s_b) and of abs(s_a - s_b)."""
    skip_value, skip_at = quantile(np.maximum(sums_a, sums_b), skip)
    equal_value, equal_at = quantile(np.abs(sums_a - sums_b), equal)
    return Thresholds(skip=skip_value, skip_at=skip_at, equal=equal_value, equal_at=equal_at)


def choose_thresholds(first: NDArray[np.bool_], a: Thresholds, b: Thresholds) -> Thresholds:
    """Those of `a` for the users where `first` (U, 1) holds, else those of `b`."""
    return Thresholds(*(np.where(first, getattr(a, f.name), getattr(b, f.name)) for f in fields(Thresholds)))


def stack_thresholds(parts: Sequence[tuple[int, Thresholds]]) -> Thresholds:
    """Thresholds, each (U, 1), of the users of all parts, each given with its number of users."""
    return Thresholds(
        *(
            np.concatenate([np.broadcast_to(getattr(t, f.name), (num, 1)) for num, t in parts])
            for f in fields(Thresholds)
        )
    )


def quantile(values: Float, fraction: PerUser) -> tuple[Float, Float]:
    """The value below which `fraction` of `values` (..., R) lie, and the share of those equal to it that count too."""
    ordered = np.sort(values, axis=-1)
    num = ordered.shape[-1]
    wanted = np.broadcast_to(np.asarray(fraction, dtype=np.float64) * num, (*ordered.shape[:-1], 1))
    value = np.take_along_axis(ordered, np.clip(wanted.astype(np.int64), 0, num - 1), axis=-1)
    below = (ordered < value).sum(-1, keepdims=True)
    at = (ordered == value).sum(-1, keepdims=True)
    share = np.clip((wanted - below) / at, 0.0, 1.0)
    # all or nothing holds beyond the reference pairs too
    return np.where(wanted <= 0, -np.inf, np.where(wanted >= num, np.inf, value)), np.where(wanted <= 0, 0.0, share)


def probability_below(values: Float, threshold: PerUser, at: PerUser) -> Float:
    """1 where a value is below the threshold, `at` where it equals it, else 0."""
    return np.where(values < threshold, 1.0, np.where(values == threshold, at, 0.0))
