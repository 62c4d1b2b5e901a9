"""The measures that `diagnostics` reports, as functions of plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment, minimize
from scipy.special import log_softmax, softmax
from scipy.stats import rankdata

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]

ACTIVE_VARIANCE = 0.005
"""A latent dimension is active when its posterior mean varies over users by more than this (SPL, arXiv 2603.12595)."""


def correctness(probability: FloatArray, labels: FloatArray) -> FloatArray:
    """1 where the model leans to the preferred side, 0 where to the other, 1/2 where to neither."""
    return np.where(probability == 0.5, 0.5, (probability > 0.5) == (labels > 0.5))


def calibration(probability: FloatArray, labels: FloatArray, num_bins: int = 10) -> dict[str, Any]:
    """Whether a model that says 80 % is right four times out of five.

    Confidence is that of the side the model leans to, max(p, 1 - p), in [0.5, 1]; the reliability diagram has bins of
    equal width there, and the expected calibration error is the mean gap between confidence and accuracy over the
    answers (Guo et al., 2017).

    Args:
        probability: (P,) of the first segment being preferred.
        labels: (P,), 0 or 1; ties must be left out by the caller.
        num_bins: of the diagram.

    Returns:
        `ece`, and `bins`: a list of {low, high, count, confidence, accuracy}, the last two None where a bin is empty.
    """
    confidence = np.maximum(probability, 1 - probability)
    right = correctness(probability, labels)
    edges = np.linspace(0.5, 1.0, num_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, num_bins - 1)
    bins: list[dict[str, Any]] = []
    error = 0.0
    for number in range(num_bins):
        inside = place == number
        count = int(inside.sum())
        row: dict[str, Any] = {"low": float(edges[number]), "high": float(edges[number + 1]), "count": count}
        row |= {"confidence": None, "accuracy": None}
        if count:
            row |= {"confidence": float(confidence[inside].mean()), "accuracy": float(right[inside].mean())}
            error += count / len(probability) * abs(row["confidence"] - row["accuracy"])
        bins.append(row)
    return {"ece": error if len(probability) else None, "bins": bins}


def rank_correlation(learned: FloatArray, true: FloatArray) -> FloatArray:
    """Spearman's rank correlation (U,) of learned and true utilities (U, P), ties at their mean rank.

    NaN where either is constant.
    """
    first, second = (rankdata(values, axis=1) for values in (learned, true))
    first, second = first - first.mean(1, keepdims=True), second - second.mean(1, keepdims=True)
    scale = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    return np.divide((first * second).sum(1), scale, out=np.full(len(first), np.nan), where=scale > 0)


def active_units(means: FloatArray) -> int:
    """How many of the Z dimensions of posterior means (U, Z) vary over users by more than ACTIVE_VARIANCE."""
    return int((np.var(means, axis=0) > ACTIVE_VARIANCE).sum()) if len(means) else 0


def probe_accuracy(latents: FloatArray, groups: IntArray, num_folds: int = 5, penalty: float = 1e-3) -> float | None:
    """How well a linear probe reads a user's group off the latent: cross-validated accuracy.

    Multinomial logistic regression on standardised latents; every fold has its share of every group.

    Args:
        latents: (U, Z).
        groups: (U,) integers.
        num_folds: at most; fewer where the smallest group has fewer users.
        penalty: of the squared weights, per user.

    Returns:
        Accuracy over all users, each judged by a probe that was not trained on them; None where there are fewer than
        two groups, or a group of one user, or no latent.
    """
    names, classes = np.unique(groups, return_inverse=True)
    smallest = int(np.bincount(classes).min()) if len(classes) else 0
    if len(names) < 2 or smallest < 2 or latents.shape[1] == 0:
        return None
    folds = np.empty(len(classes), dtype=np.int64)
    for number in range(len(names)):
        members = np.flatnonzero(classes == number)
        folds[members] = np.arange(len(members)) % min(num_folds, smallest)
    right = np.zeros(len(classes), dtype=bool)
    for fold in range(min(num_folds, smallest)):
        test = folds == fold
        mean, std = latents[~test].mean(0), latents[~test].std(0)
        inputs = np.c_[(latents - mean) / np.where(std > 0, std, 1.0), np.ones(len(latents))]
        weights = _logistic_regression(inputs[~test], classes[~test], len(names), penalty)
        right[test] = (inputs[test] @ weights).argmax(1) == classes[test]
    return float(right.mean())


def _logistic_regression(inputs: FloatArray, classes: IntArray, num_classes: int, penalty: float) -> FloatArray:
    """Weights (Z + 1, C) of the penalised multinomial logistic regression."""
    targets = np.eye(num_classes)[classes]

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        weights = flat.reshape(inputs.shape[1], num_classes)
        scores = inputs @ weights
        value = -(targets * log_softmax(scores, axis=1)).sum(1).mean() + penalty * (weights**2).sum()
        gradient = inputs.T @ (softmax(scores, axis=1) - targets) / len(inputs) + 2 * penalty * weights
        return value, gradient.ravel()

    start = np.zeros(inputs.shape[1] * num_classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x).reshape(inputs.shape[1], num_classes)


def cluster_recovery(clusters: IntArray, groups: IntArray) -> float:
    """Share of users whose cluster (U,) is their group's (U,), under the best one-to-one naming (Hungarian method)."""
    _, found = np.unique(clusters, return_inverse=True)
    _, true = np.unique(groups, return_inverse=True)
    counts = np.zeros((found.max() + 1, true.max() + 1), dtype=np.int64)
    np.add.at(counts, (found, true), 1)
    return float(counts[linear_sum_assignment(counts, maximize=True)].sum() / len(clusters))
