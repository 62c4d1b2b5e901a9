"""Implicit Q-learning from relabelled offline data: many seeds and methods at once, on CPU or GPU.

`train(ReplayData.from_arrays(...), IQLSettings(...), seeds=[0, 1])` gives a `TrainingResult` whose `policy` acts for
all runs at once (`act`) or for one user as a stable-baselines3 model does (`for_user(run, latent).predict`). Start
reading with `iql.reference`, the same algorithm without the speed. Settings are there without torch.
"""

from __future__ import annotations

from pluralbench.features import InputFeatures
from pluralbench.iql.settings import GroupWeightSettings, IQLError, IQLSettings, MaxMinSettings
from pluralbench.lazy import lazily

__all__ = [
    "GroupWeightSettings",
    "IQLError",
    "IQLSettings",
    "InputFeatures",
    "MaxMinSettings",
    "Policy",
    "ReplayData",
    "TrainingResult",
    "UserPolicy",
    "train",
    "train_maxmin",
]

__getattr__ = lazily(
    __name__,
    {
        "Policy": "pluralbench.iql.policy",
        "ReplayData": "pluralbench.iql.data",
        "TrainingResult": "pluralbench.iql.training",
        "UserPolicy": "pluralbench.iql.policy",
        "train": "pluralbench.iql.training",
        "train_maxmin": "pluralbench.iql.maxmin_iql",
    },
)
"""Names that are imported, and torch with them, when they are first asked for; with where they are."""
