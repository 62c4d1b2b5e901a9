"""What a reward model knows, measured on users and answers that it has not seen.

Every number is of test users: the model reads their first answers (`context`) and is judged on other answers of
theirs (`targets`), never on the pairs that the encoder saw. Learned quantities use the mean of each user's posterior,
the latent that the policy is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.reward_learning.answering import CHUNK_REWARDS, answer_probabilities
from pluralbench.reward_learning.checks import check_model
from pluralbench.reward_learning.diagnostic_measures import (
    active_units,
    calibration,
    cluster_recovery,
    correctness,
    probe_accuracy,
    rank_correlation,
)
from pluralbench.reward_learning.errors import LearnerError
from pluralbench.reward_learning.preference_losses import gaussian_kl
from pluralbench.reward_learning.reward_model import Posterior, RewardModel

FloatArray = NDArray[np.floating]

CONTEXT_SIZES = (1, 2, 4, 8, 16)
NUM_OBSERVATIONS = 1000
"""Observations on which learned and true utility are correlated."""
MAX_GOALS = 64
"""Goals that are asked whether they disagree about a pair."""


def diagnose(
    model: RewardModel,
    context: PreferenceDataset,
    targets: PreferenceDataset,
    task: MultiGoalTask,
    num_answers: int = 8,
    context_sizes: Sequence[int] = CONTEXT_SIZES,
    observations: FloatArray | None = None,
) -> dict[str, Any]:
    """Every diagnostic of one fitted model.

    Args:
        model: fitted.
        context: answers of U test users for the model to infer them from.
        targets: other answers of the same users, in the same rows.
        task: for the true utilities.
        num_answers: answers in the context wherever it is not varied.
        context_sizes: numbers of answers at which accuracy is reported; those beyond the context are left out.
        observations: (P, S) on which rewards are correlated; from the targets' segments if None.

    Returns:
        JSON values. `accuracy`, `nll`, `accuracy_conflicting` (on pairs about which the users' goals disagree) and
        `conflicting_share`; `accuracy_by_group`; `accuracy_by_answers` {"1": ..}; `calibration` {ece, bins};
        `rank_correlation` {mean, worst_group, by_group}; `latents` {size, kl, active_units, std, probe,
        cluster_recovery}. None stands for what does not apply.

    Raises:
        LearnerError: context and targets are of different users, there are too few answers, or the model gives what
            it should not.
    """
    if not np.array_equal(context.user_ids, targets.user_ids):
        raise LearnerError("context and targets must hold the same users in the same rows")
    if not 1 <= num_answers <= context.num_comparisons:
        raise LearnerError(f"{num_answers} answers asked for, the context has {context.num_comparisons}")
    decided = targets.mask & (targets.labels != 0.5)
    conflicting = _conflicting(targets, task)
    known = context.take_queries(slice(0, num_answers))
    posterior = model.infer(known)
    seen = torch.from_numpy(np.array(targets.segments[:1, :1], dtype=np.float32)).flatten(0, -2)
    check_model(model, posterior, seen.to(model.device), targets.num_users)
    probability = answer_probabilities(model, targets, posterior.mean)
    right = correctness(probability, targets.labels)
    accuracy_by_answers = {}
    for size in context_sizes:
        if size <= context.num_comparisons:
            means = model.infer(context.take_queries(slice(0, size))).mean
            now_right = correctness(answer_probabilities(model, targets, means), targets.labels)
            accuracy_by_answers[str(size)] = _mean(now_right, decided)
    return {
        "num_answers": num_answers,
        "accuracy": _mean(right, decided),
        "nll": _nll(probability, targets),
        "accuracy_conflicting": _mean(right, decided & conflicting),
        "conflicting_share": _mean(conflicting, decided),
        "accuracy_by_group": _by_group(targets, right, decided),
        "accuracy_by_answers": accuracy_by_answers,
        "calibration": calibration(probability[decided], targets.labels[decided]),
        "rank_correlation": _rank_correlation(model, targets, posterior.mean, task, observations),
        "latents": _latents(model, posterior, known),
    }


def _nll(probability: FloatArray, targets: PreferenceDataset) -> float | None:
    clipped = np.clip(probability.astype(np.float64), 1e-6, 1 - 1e-6)
    nll = -(targets.labels * np.log(clipped) + (1 - targets.labels) * np.log1p(-clipped))
    return _mean(nll, targets.mask)


def _mean(values: FloatArray | NDArray[np.bool_], where: NDArray[np.bool_]) -> float | None:
    return float(np.mean(values[where])) if where.any() else None


def _by_group(targets: PreferenceDataset, values: FloatArray, where: NDArray[np.bool_]) -> dict[str, float | None]:
    present = np.unique(targets.group_index)
    rows = {int(group): targets.group_index == group for group in present}
    return {targets.group_names[group]: _mean(values[row], where[row]) for group, row in rows.items()}


def _conflicting(targets: PreferenceDataset, task: MultiGoalTask) -> NDArray[np.bool_]:
    """Pairs (U, K) about which two of the goals in the data (the first 64 distinct ones) say the opposite."""
    some_prefer_first = np.zeros(targets.labels.shape, dtype=bool)
    some_prefer_second = some_prefer_first.copy()
    for goal in np.unique(targets.goals, axis=0)[:MAX_GOALS]:
        returns = task.utility(np.asarray(targets.segments), goal).sum(-1)  # (U, K, 2)
        some_prefer_first |= returns[..., 0] > returns[..., 1]
        some_prefer_second |= returns[..., 0] < returns[..., 1]
    return some_prefer_first & some_prefer_second


@torch.no_grad()
def _rank_correlation(
    model: RewardModel, targets: PreferenceDataset, means: Tensor, task: MultiGoalTask, observations: FloatArray | None
) -> dict[str, Any]:
    """Spearman's correlation of learned reward and true utility over observations, per user."""
    if observations is None:
        seen = np.asarray(targets.segments).reshape(-1, targets.observation_size)
        observations = seen[:: max(1, len(seen) // NUM_OBSERVATIONS)]
    places = torch.from_numpy(np.ascontiguousarray(observations, dtype=np.float32)).to(means.device)
    rows = max(1, CHUNK_REWARDS // len(places))
    learned, true = [], []
    for start in range(0, targets.num_users, rows):
        part = slice(start, start + rows)
        learned.append(model.reward(places[None], means[part, None]).cpu().numpy())
        true.append(task.utility(observations[None], targets.goals[part, None]))
    correlation = rank_correlation(np.concatenate(learned), np.concatenate(true))
    known = np.isfinite(correlation)
    by_group = _by_group(targets, correlation, known)
    groups = [value for value in by_group.values() if value is not None]
    return {"mean": _mean(correlation, known), "worst_group": min(groups, default=None), "by_group": by_group}


def _latents(model: RewardModel, posterior: Posterior, context: PreferenceDataset) -> dict[str, Any]:
    """Whether latents tell users apart: against posterior collapse, and for the groups that a clustering finds."""
    means = posterior.mean.cpu().numpy().astype(np.float64)
    variance = posterior.log_var.exp()
    found = model.assign(context)
    return {
        "size": int(posterior.mean.shape[1]),
        "kl": _kl(model, posterior),
        "active_units": active_units(means),
        "std": float(variance.sqrt().mean()) if variance.numel() else None,
        "probe": probe_accuracy(means, context.group_index),
        "cluster_recovery": None if found is None else cluster_recovery(found.cpu().numpy(), context.group_index),
    }


def _kl(model: RewardModel, posterior: Posterior) -> float | None:
    """Mean KL of the users' posteriors to the model's prior, in nats, where it has a Gaussian prior."""
    if not model.has_prior or posterior.mean.numel() == 0:
        return None
    prior = model.prior(len(posterior.mean))
    return float(gaussian_kl(posterior.mean, posterior.log_var, prior.mean, prior.log_var).sum(-1).mean())
