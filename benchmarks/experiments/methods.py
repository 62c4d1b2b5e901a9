"""Methods: a reward learner, a scaling of its rewards, and a policy for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.registry import Registry, unknown_name
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.scaling import SCALINGS

policies: Registry[Any] = Registry("policy", "pluralbench.policies")
"""Classes that follow `stages.policies.PolicyStage`."""
policies.register_lazily("iql", "pluralbench.benchmarks.stages.iql_policy:IQLPolicy")
policies.register_lazily("maxmin", "pluralbench.benchmarks.stages.iql_policy:MaxMinPolicy")
policies.register_lazily("greedy", "pluralbench.benchmarks.stages.greedy_policy:GreedyPolicy")

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
    """Written `learner[+scaling][@policy]`; a bare learner is unscaled and has the experiment's policy.

    Attributes:
        learner: specification of the learner, a name or `file.py:Name`.
        scaling: one of `SCALINGS`.
        policy: one of `policies`.
        name: `vpl+spo`, or `vpl` where nothing is scaled; a learner from a file goes by its own name.
    """

    learner: str
    scaling: str
    policy: str
    name: str

    @classmethod
    def parse(cls, text: str, default_policy: str = "iql") -> Method:
        """The method that `text` names.

        Raises:
            UnknownNameError: no such learner or policy.
            ExperimentError: no such scaling, or a policy that the learner does not suit.
        """
        path, colon, rest = text.rpartition(":")  # a learner's file may have any name
        rest, _, policy = rest.partition("@")
        name, _, scaling = rest.partition("+")
        learner, scaling, policy = path + colon + name, scaling or "none", policy or default_policy
        if scaling not in SCALINGS:
            raise ExperimentError(unknown_name("scaling", scaling, sorted(SCALINGS)))
        model = learners.get(learner)
        own = (f"+{scaling}" if scaling != "none" else "") + (f"@{policy}" if policy != default_policy else "")
        method = cls(learner, scaling, policy, model.name + own)
        policies.get(policy).check_method(method, model)
        return method
