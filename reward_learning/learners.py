"""The reward learners by name. A learner is imported when it is first asked for, so that names cost nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralbench.registry import Registry, UnknownNameError, unknown_name

if TYPE_CHECKING:
    from pluralbench.envs.multigoal import MultiGoalTask
    from pluralbench.reward_learning.reward_model import RewardModel


def _check(thing: object) -> None:
    from pluralbench.reward_learning.reward_model import RewardModel

    if not (isinstance(thing, type) and issubclass(thing, RewardModel)):
        raise TypeError(f"expected a subclass of RewardModel, got {thing!r}")
    missing = [*([] if thing.name else ["name"]), *sorted(thing.__abstractmethods__)]
    if missing:
        raise TypeError(f"{thing.__name__} lacks {', '.join(missing)}")


learners: Registry[type[RewardModel]] = Registry("learner", "pluralbench.learners", _check)
for _name, _place in {
    "oracle": "oracle:Oracle",
    "btl": "btl:BTL",
    "dpl-meanvar": "distributional_learner:DPLMeanVariance",
    "dpl-categorical": "distributional_learner:DPLCategorical",
    "vpl": "vpl:VPL",
    "maxmin": "maxmin:MaxMin",
    "spl": "spl:SPL",
    "lore": "lore:LoRe",
}.items():
    learners.register_lazily(_name, f"pluralbench.reward_learning.{_place}")


def make_learner(
    name: str, settings: Any = None, device: str = "cpu", task: MultiGoalTask | None = None
) -> RewardModel:
    """A learner that has learned nothing yet.

    Args:
        name: one of `learners`, or `path/to/file.py:Name` of a subclass of `RewardModel`.
        settings: a mapping of those that differ from the defaults, or the learner's settings whole.
        device: where its networks live.
        task: what can be wanted; needed by learners that know the truth (`oracle`).

    Raises:
        UnknownNameError: no learner of this name.
        SettingsError: a setting that it does not know, or that is impossible.
        LearnerError: a task that it needs is missing.
    """
    return learners.get(name)(settings, device, task)


def load_model(
    folder: Path, device: str = "cpu", task: MultiGoalTask | None = None, learner: str | None = None
) -> RewardModel:
    """The model in `folder`, whichever registered learner wrote it.

    Args:
        folder: as `save` wrote it.
        device: where its networks shall live.
        task: needed by learners that know the truth.
        learner: specification of the learner, for one that is not registered: `path/to/file.py:Name`. A file never
            decides what is run.

    Raises:
        ModelFileError: nothing there, damaged, foreign, or another version.
        UnknownNameError: written by a learner that is not registered here.
    """
    if learner is None:
        from pluralbench.reward_learning.model_files import read_model_file

        learner = read_model_file(folder)[0].learner
        if learner not in learners.names():
            raise UnknownNameError(f"{folder}: {unknown_name('learner', learner, learners.names())}")
    return learners.get(learner).load(folder, device, task)
