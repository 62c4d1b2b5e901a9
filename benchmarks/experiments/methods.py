"""Methods: a reward learner, a scaling of its rewards, and a policy for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.lines import shown
from pluralbench.registry import Registry, UnknownNameError, file_of, unknown_name
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.scalings import SCALINGS, SPO_PAIRS

if TYPE_CHECKING:
    from pluralbench.envs import Environment
    from pluralbench.reward_learning.reward_model import RewardModel


def _check(thing: object) -> None:
    wanted = ("name", "check", "train", "serves_groups", "spans_latents", "asks_nobody")
    missing = [name for name in wanted if not hasattr(thing, name)]
    missing += sorted(getattr(thing, "__abstractmethods__", ()))
    if not isinstance(thing, type) or missing:
        lacks = f"; it lacks {', '.join(missing)}" if isinstance(thing, type) else ""
        raise TypeError(f"expected a subclass of pluralbench.benchmarks.stages.policies.PolicyStage{lacks}")


policies: Registry[Any] = Registry("policy", "pluralbench.policies", _check)
"""Subclasses of `stages.policies.PolicyStage`."""
for _name, _place, _what in (
    ("iql", "iql_policy:IQLPolicy", "implicit Q-learning of observation and latent on the relabelled dataset"),
    ("maxmin", "iql_policy:MaxMinPolicy",
     "one IQL policy for a learner's K groups of users: the most that the worst-off group can get"),
    ("greedy", "immediate_policies:GreedyPolicy",
     "one step to the highest reward, where the environment has a one-step outcome model"),
    ("planned", "immediate_policies:PlannedPolicy",
     "the best path for the reward, planned exactly, where the environment has a planner"),
    ("bc", "iql_policy:CloningPolicy", "behaviour cloning: does what the data does; no learner before it"),
    ("behaviour", "immediate_policies:BehaviourPolicy", "the policy that made the data; no learner before it"),
    ("tour", "immediate_policies:TourPolicy", "visits everybody's goals and asks nobody; no learner before it"),
):  # fmt: skip
    policies.register_lazily(_name, f"pluralbench.benchmarks.stages.{_place}", _what)

_UNNAMED = re.compile(r"(?P<file>[^:]*\.py)(?:$|[+@])")
_PATTERN = re.compile(r"(?P<learner>(?:.*?\.py:)??[^+@/]+)(?:\+(?P<scaling>[^+@/:]+))?(?:@(?P<policy>.+))?")

NO_LEARNER = "no-reward"
"""The learner of a policy that asks nobody."""
REFERENCE_ROWS = ("behaviour", "bc", "tour", "individual", "bayes", "oracle")
"""What every table shows beside the methods: what asking nobody, one user's answers alone, exact inference and the
truth achieve."""
ALL_METHODS = (
    *REFERENCE_ROWS, "btl", "btl+spo", "dpl-meanvar", "dpl-categorical", "maxmin", "maxmin+spo@maxmin", "lore+spo",
    "spl+spo", "vpl", "vpl+batchnorm", "vpl+maxnorm", "vpl+spo-log", "vpl+spo",
)  # fmt: skip
"""What `--methods all` stands for; rollouts of the last one are shown."""

_LEND_NO_LATENTS = {
    "per_user": "fits one network for all users, and {} has one for each",
    "grouped": "knows no groups, and {} consists of them",
    "knows_truth": "learns from answers, and {} knows the truth",
    "asks_nobody": "learns from answers, and {} asks nobody",
}
"""By the property of the learner why `spo-pairs`, which takes a learner's latents and not its reward, says nothing of
it."""


def possible_methods(
    methods: Sequence[str], environment: Environment, policy: str, has_dataset: bool
) -> tuple[str, ...]:
    """Those of a preset's methods that can be had: an environment without a script for a reference row lacks that row.

    Args:
        methods: of the preset.
        environment: where.
        policy: the experiment's.
        has_dataset: whether the data come from a file, so that nobody knows the policy that made them.
    """
    impossible = set()
    if has_dataset:
        impossible.add("behaviour")
    if environment.tour is None and environment.outcomes is None:
        impossible.add("tour")
    if environment.planner is None and policy != "greedy":
        impossible.add("individual")
    if policy == "greedy":  # one greedy step has no place for a policy of the method's own
        impossible |= {method for method in methods if "@" in method}
    return tuple(method for method in methods if method not in impossible)


@dataclass(frozen=True)
class Method:
    """Written `learner[+scaling][@policy]`; a bare learner is unscaled and has the experiment's policy.

    A policy that asks nobody (`bc`, `behaviour`, `tour`) stands alone, and a learner that fits every user separately
    has a policy that can be had for each, `greedy` or `planned`.
    """

    learner: str  # specification of the learner, a name or `file.py:Name`
    scaling: str  # one of `SCALINGS`
    policy: str  # one of `policies`
    name: str  # `vpl+spo`, or `vpl` where nothing is scaled; a learner from a file goes by its own name

    @classmethod
    def parse(cls, text: str, default_policy: str = "iql") -> Method:
        """The method that `text` names.

        Raises:
            UnknownNameError: no such learner or policy.
            ExperimentError: no such scaling, a policy that the learner does not suit, or something added to one that
                stands alone.
        """
        if "," in text and ".py" not in text:
            raise ExperimentError(f"methods are separated by spaces, not by commas: {text.replace(',', ' ')}")
        if _stands_alone(text):
            return cls(NO_LEARNER, "none", text, text)
        if unnamed := _UNNAMED.match(text):
            learners.get(unnamed["file"])  # which says what the file has
        found = _PATTERN.fullmatch(text)
        if found is None:
            raise ExperimentError(f"a method is written learner[+scaling][@policy], got {shown(text)}")
        learner, scaling = found["learner"], found["scaling"] or "none"
        if scaling not in SCALINGS:
            raise ExperimentError(unknown_name("scaling", scaling, sorted(SCALINGS)))
        if _stands_alone(learner):
            raise ExperimentError(f"{text}: {learner} asks nobody and stands alone; write {learner}")
        if file_of(learner) is None and learner not in learners.names():
            raise UnknownNameError(unknown_name("learner", learner, sorted({*learners.names(), *REFERENCE_ROWS})))
        model = learners.get(learner)
        if model.per_user and policies.get(default_policy).spans_latents:
            default_policy = "planned"
        policy = found["policy"] or default_policy
        stage = policies.get(policy)
        _check_fit(text, model, scaling, stage)
        if stage.asks_nobody:
            return cls(learner, "none", policy, stage.name)
        name = model.name + (f"+{scaling}" if scaling != "none" else "")
        return cls(learner, scaling, policy, name + (f"@{stage.name}" if policy != default_policy else ""))


def _stands_alone(name: str) -> bool:
    """Whether this is the name of a policy that asks nobody."""
    return name in policies.names() and name not in learners.names() and bool(policies.get(name).asks_nobody)


def _check_fit(text: str, model: type[RewardModel], scaling: str, stage: Any) -> None:
    """Raises ExperimentError where policy or scaling do not suit the learner."""
    if model.per_user and stage.spans_latents:
        raise ExperimentError(
            f"{text}: {model.name} fits every user separately, so one policy cannot serve all; use @planned or @greedy"
        )
    if stage.asks_nobody and not model.asks_nobody:
        raise ExperimentError(f"{text}: the policy {stage.name} looks at no reward; write {stage.name} alone")
    if stage.serves_groups and not model.grouped:
        grouped = ", ".join(name for name in learners.names() if learners.get(name).grouped)
        raise ExperimentError(
            f"{text}: the policy {stage.name} needs a learner of groups ({grouped}); {model.name} has none"
        )
    for name, why in _LEND_NO_LATENTS.items() if scaling == SPO_PAIRS else ():
        if getattr(model, name):
            reason = why.format(model.name)
            raise ExperimentError(f"{text}: the classifier of {SPO_PAIRS} {reason}; use another scaling: spo")
