"""What an experiment is: environments x methods x seeds, as frozen settings that one JSON file holds whole."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pluralbench.iql.maxmin_iql import GroupWeightSettings
from pluralbench.iql.settings import IQLSettings
from pluralbench.registry import unknown_name
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.reward_model import GroupedRewardModel
from pluralbench.reward_learning.scaling import SCALINGS

POLICIES = ("iql", "greedy")

METHOD_POLICIES = {
    "none": "max over pi of E_pi[sum_t gamma^t r(s_t)], r the learner's reward, maxmin's the least of its K r_k",
    "maxmin": "max over pi of min over k of E_pi[sum_t gamma^t r_k(s_t)], r_k the rewards of the learner's K groups",
}
"""What the policy of a method maximises; with `none` it is made as `Experiment.policy` says."""


class ExperimentError(ValueError):
    """Settings that no experiment can be run with; the message says what would do."""


@dataclass(frozen=True)
class Method:
    """A reward learner, a scaling of its rewards and a policy for them, written `learner[+scaling][@policy]`.

    A bare learner is unscaled, and one reward is all that its policy knows: `maxmin+spo` maximises the pointwise
    minimum over the K groups, `maxmin+spo@maxmin` the value of the worst-off group (formulas in METHOD_POLICIES).
    """

    learner: str
    scaling: str = "none"
    policy: str = "none"

    @classmethod
    def parse(cls, text: str) -> Method:
        """The method that `text` names.

        Raises:
            UnknownNameError: no such learner.
            ExperimentError: no such scaling or policy, or a policy over groups for a learner or scaling without them.
        """
        path, colon, rest = text.rpartition(":")  # a learner's file may have any name
        rest, _, policy = rest.partition("@")
        name, _, scaling = rest.partition("+")
        learner, scaling, policy = path + colon + name, scaling or "none", policy or "none"
        known = learners.get(learner)
        if scaling not in SCALINGS:
            raise ExperimentError(unknown_name("scaling", scaling, sorted(SCALINGS)))
        if policy not in METHOD_POLICIES:
            raise ExperimentError(unknown_name("policy of a method", policy, list(METHOD_POLICIES)))
        if policy == "maxmin" and not issubclass(known, GroupedRewardModel):
            grouped = ", ".join(name for name in learners if issubclass(learners.get(name), GroupedRewardModel))
            raise ExperimentError(f"{text}: {known.name} has no rewards of groups; learners that have: {grouped}")
        if policy == "maxmin" and scaling == "spo-pairs":
            raise ExperimentError(f"{text}: the classifier of spo-pairs knows no groups; use another scaling, spo say")
        return cls(learner, scaling, policy)

    @property
    def name(self) -> str:
        """`vpl+spo`, or `vpl` where nothing is scaled; a learner from a file goes by its own name."""
        scaling, policy = ("" if part == "none" else part for part in (self.scaling, self.policy))
        return learners.get(self.learner).name + (scaling and f"+{scaling}") + (policy and f"@{policy}")


@dataclass(frozen=True)
class PreferenceSettings:
    """Who is asked what."""

    num_users: int = 512
    """Train users."""
    num_comparisons: int = 16
    """Answers of each train user."""
    segment_length: int = 1
    """Steps in a segment."""
    strategy: str = "random"
    """How pairs of segments are chosen."""
    teacher: str | None = None
    """Replaces the population's own teachers."""
    diagnostic_users_per_group: int = 32
    """Held-out users of each group on whom the reward model is diagnosed."""
    held_out_episodes: float = 0.1
    """Share of the data's episodes from which only held-out users are asked."""


@dataclass(frozen=True)
class RelabelSettings:
    """How learned rewards are written into the dataset."""

    num_latents: int = 512
    """Latents drawn from train users' posteriors; each trajectory is given one of them."""
    num_comparison_states: int = 256
    """States of the dataset against which a scaling compares."""


@dataclass(frozen=True)
class EvaluationSettings:
    """How policies are judged."""

    users_per_group: int = 2
    """Held-out users of each group for whom the policy acts."""
    num_answers: int = 8
    """Answers by which a held-out user is known."""
    episodes: int = 100
    """Episodes for each of these users at the end of training."""
    num_curve_points: int = 8
    """Evaluations during training, the last one included."""
    curve_episodes: int = 20
    """Episodes for each user at every evaluation but the last."""


@dataclass(frozen=True)
class Experiment:
    """One environment, one population, several methods, several seeds."""

    suite: str
    """Name of the folder of results."""
    environment: str
    """Environment by name."""
    population: str
    """Population by name, or `file.py:Name`."""
    methods: tuple[str, ...]
    """Methods as `learner[+scaling][@policy]`."""
    num_seeds: int
    """Seeds 0, 1, ...; each draws its own users, answers, reward model and policy."""
    num_transitions: int
    """Size of the offline dataset."""
    dataset: str = ""
    """HDF5 file of transitions to learn from, D4RL's own included; empty for the behaviour policy's."""
    data_seed: int = 0
    """Seed of the offline dataset, which all seeds share."""
    policy: str = "iql"
    """How a policy is made of rewards: `iql`, or `greedy` where one step decides."""
    preferences: PreferenceSettings = PreferenceSettings()
    learner_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of each learner by its name; `*` are those of every learner that has them."""
    relabel: RelabelSettings = RelabelSettings()
    iql: IQLSettings = field(default_factory=IQLSettings)
    group_weights: GroupWeightSettings = field(default_factory=GroupWeightSettings)
    """How the policy `maxmin` of a method weighs its groups."""
    evaluation: EvaluationSettings = EvaluationSettings()

    def __post_init__(self) -> None:
        for name, value, least in [
            ("seeds", self.num_seeds, 1),
            ("num_transitions", self.num_transitions, 1),
            ("preferences.num_users", self.preferences.num_users, 2),
            ("preferences.num_comparisons", self.preferences.num_comparisons, 1),
            ("preferences.segment_length", self.preferences.segment_length, 1),
            ("evaluation.users_per_group", self.evaluation.users_per_group, 1),
            ("evaluation.num_answers", self.evaluation.num_answers, 1),
            ("evaluation.episodes", self.evaluation.episodes, 1),
            ("evaluation.num_curve_points", self.evaluation.num_curve_points, 1),
        ]:
            if value < least:
                raise ExperimentError(f"{name} must be at least {least}, is {value}")
        if self.policy not in POLICIES:
            raise ExperimentError(unknown_name("policy", self.policy, list(POLICIES)))
        if not self.methods:
            raise ExperimentError("no method given; known learners: " + ", ".join(learners.names()))
        if not 0 < self.preferences.held_out_episodes < 1:
            raise ExperimentError("preferences.held_out_episodes must lie between 0 and 1")

    @property
    def parsed_methods(self) -> tuple[Method, ...]:
        """The methods, in the order in which they were named."""
        return tuple(Method.parse(method) for method in self.methods)

    def as_dict(self) -> dict[str, Any]:
        """Every setting, as JSON values."""
        return dict(json.loads(json.dumps(dataclasses.asdict(self))))


def override(experiment: Experiment, assignments: Mapping[str, Any]) -> Experiment:
    """`experiment` with some settings replaced, `{"iql.num_updates": 1000}` say.

    Raises:
        ExperimentError: no such setting, or a value of another type; the known settings of that place are listed.
    """
    for key, value in assignments.items():
        experiment = _replace(experiment, key, key.split("."), value)
    return experiment


def _replace(settings: Any, key: str, path: list[str], value: Any) -> Any:
    if isinstance(settings, Mapping):
        inner = settings.get(path[0], {})
        return {**settings, path[0]: value if len(path) == 1 else _replace(inner, key, path[1:], value)}
    known = [f.name for f in dataclasses.fields(settings)]
    if path[0] not in known:
        raise ExperimentError(unknown_name("setting", key, [*key.split(".")[: -len(path)], *known][-len(known) :]))
    current = getattr(settings, path[0])
    if len(path) > 1:
        if not (dataclasses.is_dataclass(current) or isinstance(current, Mapping)):
            raise ExperimentError(f"{key}: {path[0]} has no settings of its own")
        value = _replace(current, key, path[1:], value)
    else:
        value = _converted(key, current, value)
    return dataclasses.replace(settings, **{path[0]: value})


def _converted(key: str, current: Any, value: Any) -> Any:
    if isinstance(current, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if current is not None and (type(value) is not type(current)):
        raise ExperimentError(f"{key} is a {type(current).__name__}, got {value!r}")
    return value
