"""Implicit Q-learning from relabelled offline data: many seeds and methods at once, on CPU or GPU.

`train(ReplayData.from_arrays(...), IQLSettings(...), seeds=[0, 1])` gives a `TrainingResult` whose `policy` acts for
all runs at once (`act`) or for one user as a stable-baselines3 model does (`for_user(run, latent).predict`).
"""

from pluralbench.iql.data import ReplayData
from pluralbench.iql.maxmin_iql import GroupWeightSettings, MaxMinSettings, train_maxmin
from pluralbench.iql.policy import Policy, UserPolicy
from pluralbench.iql.settings import InputFeatures, IQLError, IQLSettings
from pluralbench.iql.training import TrainingResult, train

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
