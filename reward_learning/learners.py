"""The reward learners by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.registry import Registry
from pluralbench.reward_learning.btl import BTL
from pluralbench.reward_learning.dpl import DPLCategorical, DPLMeanVariance
from pluralbench.reward_learning.lore import LoRe
from pluralbench.reward_learning.maxmin import MaxMin
from pluralbench.reward_learning.model_files import read_model_file
from pluralbench.reward_learning.oracle import Oracle
from pluralbench.reward_learning.reward_model import RewardModel
from pluralbench.reward_learning.spl import SPL
from pluralbench.reward_learning.vpl import VPL

_METHODS = ("fit", "infer", "reward", "save", "load")


def _check(thing: object) -> None:
    if not isinstance(thing, type):
        raise TypeError(f"expected a class that follows RewardModel, got {type(thing).__name__}")
    missing = [name for name in ("name", *_METHODS) if not hasattr(thing, name)]
    if missing:
        raise TypeError(f"{thing.__name__} lacks {', '.join(missing)}")


learners: Registry[Any] = Registry("learner", "pluralbench.learners", _check)
for _learner in (Oracle, BTL, DPLMeanVariance, DPLCategorical, VPL, MaxMin, SPL, LoRe):
    learners.register(_learner.name, _learner)


def make_learner(
    name: str, settings: Mapping[str, Any] | None = None, device: str = "cpu", task: MultiGoalTask | None = None
) -> RewardModel:
    """A learner that has learned nothing yet.

    Args:
        name: one of `learners`, or `path/to/file.py:Name` of a class that follows `RewardModel` and is built from
            (settings, device, task).
        settings: overrides of its settings.
        device: where its networks live.
        task: what can be wanted; needed by learners that know the truth (`oracle`).

    Raises:
        UnknownNameError: no learner of this name.
        LearnerError: a setting that it does not know, or that is impossible; a task that it needs is missing.
    """
    model: RewardModel = learners.get(name)(settings=settings, device=device, task=task)
    return model


def learner_settings(name: str) -> list[str]:
    """Names of the settings that the learner `name` knows; none where its class does not say (`settings_type`)."""
    settings_type = getattr(learners.get(name), "settings_type", None)
    return [field.name for field in dataclasses.fields(settings_type)] if settings_type else []


def load_model(
    folder: Path, device: str = "cpu", task: MultiGoalTask | None = None, learner: str | None = None
) -> RewardModel:
    """The model in `folder`, whichever learner wrote it.

    Args:
        folder: as `save` wrote it.
        device: where its networks shall live.
        task: needed by `oracle`.
        learner: specification of the learner where it is not registered, `path/to/file.py:Name` say.

    Raises:
        ModelFileError: nothing there, damaged, foreign, or another version.
        UnknownNameError: written by a learner that is not registered here.
    """
    model: RewardModel = learners.get(learner or read_model_file(folder).learner).load(folder, device=device, task=task)
    return model
