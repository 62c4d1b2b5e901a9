"""The reward learners by name. A learner is imported when it is first asked for, so that names cost nothing."""

from __future__ import annotations

from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralbench.lines import plain, shown
from pluralbench.registry import Registry, UnknownNameError, unknown_name

if TYPE_CHECKING:
    from pluralbench.envs.multigoal import MultiGoalTask
    from pluralbench.reward_learning.reward_model import RewardModel


def _check(thing: object) -> None:
    from inspect import signature  # slow to import, as what follows

    from pluralbench.reward_learning.reward_model import RewardModel

    if not (isinstance(thing, type) and issubclass(thing, RewardModel)):
        what = f"the class {thing.__qualname__}" if isinstance(thing, type) else shown(thing)
        raise TypeError(f"expected a subclass of RewardModel, got {what}")
    missing = [*([] if thing.name else ["name"]), *sorted(thing.__abstractmethods__)]
    if missing:
        raise TypeError(f"{thing.__name__} lacks {', '.join(missing)}")
    if not (isinstance(thing.settings_type, type) and is_dataclass(thing.settings_type)):
        raise TypeError(f"{thing.__name__}.settings_type must be a dataclass, is {shown(thing.settings_type)}")
    try:
        signature(thing.__init__).bind(None, None, "cpu", None)
    except TypeError as error:
        raise TypeError(f"{thing.__name__}.__init__ takes (settings, device, task): {error}") from error


learners: Registry[type[RewardModel]] = Registry("learner", "pluralbench.learners", _check)
for _name, _place, _what in (
    ("oracle", "oracle:Oracle", "knows every user's goal and the environment's own utility"),
    ("bayes", "bayes:Bayes", "exact posterior over who there may be, given a user's answers; then the oracle's reward"),
    ("individual", "individual:Individual", "btl's network fitted on one user's own answers alone, for each user"),
    ("no-reward", "no_reward:NoReward", "0 everywhere, for policies that ask nobody"),
    ("btl", "btl:BTL", "one Bradley-Terry reward for all users"),
    ("dpl-meanvar", "distributional_learner:DPLMeanVariance", "mean and variance of the users' utilities (DPL)"),
    ("dpl-categorical", "distributional_learner:DPLCategorical", "categories of the users' utilities (DPL)"),
    ("vpl", "vpl:VPL", "reward of a latent that an encoder infers from answers (VPL)"),
    ("maxmin", "maxmin:MaxMin", "one reward for each of K groups, found by hard EM (MaxMin-RLHF)"),
    ("spl", "spl:SPL", "as vpl, with a latent that turns over when the answers do (SPL)"),
    ("lore", "lore:LoRe", "each user's mixture of a few basis rewards (LoRe)"),
):
    learners.register_lazily(_name, f"pluralbench.reward_learning.{_place}", _what)


def make_learner(
    name: str, settings: Any = None, device: str = "cpu", task: MultiGoalTask | None = None
) -> RewardModel:
    """A learner that has learned nothing yet.

    Args:
        name: one of `learners`, or `path/to/file.py:Name` of a subclass of `RewardModel`.
        settings: a mapping of those that differ from the defaults, or the learner's settings whole.
        device: where its networks live.
        task: what can be wanted; needed by learners that know the truth (`oracle`, `bayes`).

    Raises:
        UnknownNameError: no learner of this name.
        SettingsError: a setting that it does not know, or that is impossible.
        LearnerError: a task that it needs is missing.
    """
    return learners.get(name)(settings, device, task)


def load_model(
    folder: Path, *, device: str = "cpu", task: MultiGoalTask | None = None, learner: str | None = None
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
            known = unknown_name("learner", plain(learner), learners.names())
            raise UnknownNameError(f"{folder}: {known}; one of yours is named: learner='FILE.py:NAME'")
    return learners.get(learner).load(folder, device, task)
