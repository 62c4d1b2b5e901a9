"""Whether one method serves users better than another: a paired permutation test, and its correction for many pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NUM_FLIPS = 100_000
_MAX_EXACT = 13
"""Users who differ, up to whom all flips of signs are gone through: 2 ** 13 are fewer than `NUM_FLIPS`."""


def sign_flip_p(differences: Sequence[Floats], generator: np.random.Generator, num_flips: int = NUM_FLIPS) -> float:
    """Two-sided p of the paired permutation test that neither method serves users better (Fisher, 1935).

    Under it every user's difference had the other sign as easily: p is the share of sign flips whose mean difference
    (over users, then seeds) is as far from 0 as the one seen. Exact over all 2^n flips where n <= 13 users differ; else
    p = (1 + hits) / (1 + num_flips) of random flips (Phipson and Smyth, 2010, arXiv 1603.05766).

    Users of one seed share a reward model and a policy, so they are not independent draws of the methods: with few
    seeds a small p speaks about the models that were trained, not about what another training would give: that is in
    the interval of `aggregate.paired_difference`, which resamples seeds. `differences` are (U,) of every seed's users.
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
