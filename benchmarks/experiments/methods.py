"""Methods: a reward learner, a scaling of its rewards, and a policy for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.registry import Registry, unknown_name
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.scalings import SCALINGS

policies: Registry[Any] = Registry("policy", "pluralbench.policies")
"""Subclasses of `stages.policies.PolicyStage`."""
for _name, _place, _what in (
    ("iql", "iql_policy:IQLPolicy", "implicit Q-learning of observation and latent on the relabelled dataset"),
    ("maxmin", "iql_policy:MaxMinPolicy",
     "one IQL policy for a learner's K groups of users: the most that the worst-off group can get"),
    ("greedy", "greedy_policy:GreedyPolicy",
     "one step to the highest reward, where the environment has a one-step outcome model"),
):  # fmt: skip
    policies.register_lazily(_name, f"pluralbench.benchmarks.stages.{_place}", _what)

_PATTERN = re.compile(r"(?P<learner>(?:.*?\.py:)??[^+@/]+)(?:\+(?P<scaling>[^+@/:]+))?(?:@(?P<policy>.+))?")

ALL_METHODS = (
    "oracle", "btl", "btl+spo", "dpl-meanvar", "dpl-categorical", "maxmin", "maxmin+spo@maxmin", "lore+spo", "spl+spo",
    "vpl", "vpl+batchnorm", "vpl+maxnorm", "vpl+spo",
)  # fmt: skip
"""What `--methods all` stands for; rollouts of the last one are shown."""


def all_methods(policy: str) -> tuple[str, ...]:
    """`ALL_METHODS` that go with a policy: one greedy step has no place for a policy of the method's own."""
    return tuple(method for method in ALL_METHODS if policy != "greedy" or "@" not in method)


@dataclass(frozen=True)
class Method:
    """Written `learner[+scaling][@policy]`; a bare learner is unscaled and has the experiment's policy."""

    learner: str  # specification of the learner, a name or `file.py:Name`
    scaling: str  # one of `SCALINGS`
    policy: str  # one of `policies`
    name: str  # `vpl+spo`, or `vpl` where nothing is scaled; a learner from a file goes by its own name

    @classmethod
    def parse(cls, text: str, default_policy: str = "iql") -> Method:
        """The method that `text` names.

        Raises:
            UnknownNameError: no such learner or policy.
            ExperimentError: no such scaling, or a policy that the learner does not suit.
        """
        found = _PATTERN.fullmatch(text)
        if found is None:
            raise ExperimentError(f"a method is written learner[+scaling][@policy], got {text!r}")
        learner, scaling, policy = found["learner"], found["scaling"] or "none", found["policy"] or default_policy
        if scaling not in SCALINGS:
            raise ExperimentError(unknown_name("scaling", scaling, sorted(SCALINGS)))
        model, stage = learners.get(learner), policies.get(policy)
        if stage.serves_groups and not model.grouped:
            grouped = ", ".join(name for name in learners.names() if learners.get(name).grouped)
            raise ExperimentError(
                f"{text}: the policy {stage.name} needs a learner of groups ({grouped}); {model.name} has none"
            )
        if stage.serves_groups and scaling == "spo-pairs":
            raise ExperimentError(f"{text}: the classifier of spo-pairs knows no groups; use another scaling: spo")
        name = model.name + (f"+{scaling}" if scaling != "none" else "")
        return cls(learner, scaling, policy, name + (f"@{stage.name}" if policy != default_policy else ""))
