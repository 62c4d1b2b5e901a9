"""An experiment as frozen settings: one environment, one population, several methods, several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pluralbench.envs.environments import AUTO
from pluralbench.errors import InputError
from pluralbench.iql.settings import GroupWeightSettings, IQLSettings
from pluralbench.lines import shown
from pluralbench.preference_oracles.queries import STRATEGIES
from pluralbench.ranges import MOST, check_number, check_whole, check_whole_number
from pluralbench.registry import unknown_name
from pluralbench.reward_learning.latent_draws import LATENT_DRAWS
from pluralbench.settings import LARGEST_SEED


class ExperimentError(InputError):
    """Settings that no experiment can be run with; the message says what would do."""


COMPARISON_STATES = ("data", "wanted")
MOST_SEEDS = 10_000
MOST_COMPARISONS = 100_000
"""Of each user."""
LONGEST_SEGMENT = 100_000


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
    """Test users of each group on whom the reward model is diagnosed."""
    held_out_episodes: float = 0.1
    """Share of the data's episodes about which only test users are asked."""

    def __post_init__(self) -> None:
        check_whole(ExperimentError, self, 2, MOST, "num_users")
        check_whole(ExperimentError, self, 1, MOST_COMPARISONS, "num_comparisons")
        check_whole(ExperimentError, self, 1, LONGEST_SEGMENT, "segment_length")
        check_whole(ExperimentError, self, 1, MOST, "diagnostic_users_per_group")
        check_number(ExperimentError, self, 0, 1, "held_out_episodes")
        if not 0 < self.held_out_episodes < 1:
            raise ExperimentError(f"held_out_episodes must lie between 0 and 1, is {self.held_out_episodes}")
        if self.strategy not in STRATEGIES:
            raise ExperimentError(unknown_name("strategy", self.strategy, STRATEGIES))


@dataclass(frozen=True)
class RelabelSettings:
    """How learned rewards are written into the dataset."""

    latents: str = "posterior"
    """Where the latents come from under which the policy is trained: `posterior` of train users, the `prior`, or
    `even`, equally different rewards equally often."""
    num_answers: int = 8
    """Answers of each train user from which that posterior is inferred."""
    num_latents: int = 512
    """Latents drawn; each trajectory is given one of them."""
    hindsight: float = 0.0
    """Share of the trajectories that are given a latent which fits where they end."""
    hindsight_best: float = 1.0
    """A latent fits where its reward is among this best share of all trajectories' ends; 1: the best one fits."""
    num_comparison_states: int = 256
    """States of the dataset against which a scaling compares."""
    comparison_states: str = "data"
    """Which: drawn evenly from the `data`, as in the paper, or half of them by what is `wanted`."""

    def __post_init__(self) -> None:
        check_whole(ExperimentError, self, 1, MOST_COMPARISONS, "num_answers")
        check_whole(ExperimentError, self, 1, MOST, "num_latents", "num_comparison_states")
        check_number(ExperimentError, self, 0, 1, "hindsight", "hindsight_best")
        if self.hindsight_best == 0:
            raise ExperimentError("hindsight_best must be above 0: no end is among the best 0 of all")
        if self.comparison_states not in COMPARISON_STATES:
            raise ExperimentError(
                unknown_name("choice of comparison states", self.comparison_states, COMPARISON_STATES)
            )
        if self.latents not in LATENT_DRAWS:
            raise ExperimentError(unknown_name("way of drawing latents", self.latents, LATENT_DRAWS))


@dataclass(frozen=True)
class EvaluationSettings:
    """How policies are judged."""

    users_per_group: int = 20
    """Test users of each group for whom the policy acts: they are the sample, not their episodes."""
    num_answers: int = 8
    """Answers by which a test user is known."""
    episodes: int = 5
    """Episodes for each of these users at the end of training."""
    num_curve_points: int = 8
    """Evaluations during training at most, the last one included."""
    curve_episodes: int = 1
    """Episodes for each user at every evaluation but the last."""

    def __post_init__(self) -> None:
        check_whole(ExperimentError, self, 1, MOST_COMPARISONS, "num_answers")
        check_whole(ExperimentError, self, 1, MOST, "users_per_group", "episodes", "num_curve_points", "curve_episodes")


@dataclass(frozen=True)
class Experiment:
    """One environment, one population, several methods, several seeds."""

    environment: str
    """Environment by name, or `file.py:NAME`."""
    population: str
    """Population by name, or `file.py:Name`."""
    methods: tuple[str, ...]
    """Methods as `learner[+scaling][@policy]`."""
    seeds: tuple[int, ...]
    """Each draws its own users, answers, reward model and policy. Choose settings on seeds from 100 up."""
    num_transitions: int
    """Size of the offline dataset."""
    dataset: str = ""
    """HDF5 file of transitions to learn from, or `d4rl:NAME`; empty for the behaviour policy's data."""
    data_seed: int = 0
    """Seed of the offline dataset."""
    data_per_seed: bool = False
    """Whether each seed has a dataset of its own, collected with `data_seed` + seed; else all seeds share one."""
    simulator: str = AUTO
    """On which of its simulators an environment runs that has several; `auto` for its own choice."""
    policy: str = "iql"
    """How a policy is made of rewards where a method does not say: `iql`, or `greedy` where one step decides."""
    preferences: PreferenceSettings = field(default_factory=PreferenceSettings)
    learner_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of each learner by its name; `*` are those of every learner that has them. `spo-pairs` are those of that
    scaling's classifier, which takes part in `*`."""
    relabel: RelabelSettings = field(default_factory=RelabelSettings)
    iql: IQLSettings = field(default_factory=IQLSettings)
    group_weights: GroupWeightSettings = field(default_factory=GroupWeightSettings)
    """How the policy `maxmin` weighs its groups."""
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    def __post_init__(self) -> None:
        check_whole(ExperimentError, self, 1, MOST, "num_transitions")
        check_whole(ExperimentError, self, 0, LARGEST_SEED, "data_seed")
        if not 1 <= len(self.seeds) <= MOST_SEEDS or len(set(self.seeds)) != len(self.seeds):
            raise ExperimentError(
                f"seeds must be at least 1, at most {MOST_SEEDS}, each another one; are {shown(self.seeds)}"
            )
        for seed in self.seeds:
            check_whole_number(ExperimentError, "a seed", seed, 0, LARGEST_SEED)
        if self.data_per_seed and self.dataset:
            raise ExperimentError("data_per_seed collects a dataset for each seed; leave dataset empty")
        if not self.methods:
            raise ExperimentError("no method given; `list` shows the learners, scalings and policies")
        if len(set(self.methods)) != len(self.methods):
            raise ExperimentError(f"a method is named twice: {' '.join(self.methods)}")


LATER: dict[str, dict[str, Any]] = {"relabel": {"hindsight_best": 1.0}}
"""Settings of stages that came when there were results already, with the value that is as it was before."""
LATER_OF_LEARNERS: dict[str, Any] = {"mistake_rate": 0.0}
"""The same of every learner."""


def without_later(settings: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's settings as JSON values, without those of `LATER` that are as it was before they came.

    So they stand in identities, and results from before are still known as the same experiment's.
    """
    changed = {stage: _without(settings[stage], later) for stage, later in LATER.items() if stage in settings}
    return {**settings, **changed}


def learner_without_later(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One learner's settings, without those of `LATER_OF_LEARNERS` that are as it was before they came."""
    return _without(settings, LATER_OF_LEARNERS)


def _without(settings: Any, later: Mapping[str, Any]) -> Any:
    if not isinstance(settings, Mapping):
        return settings
    return {name: value for name, value in settings.items() if name not in later or value != later[name]}
