"""Every field of every settings dataclass takes what makes sense and refuses the rest in one line, before any work."""

import dataclasses
import math
import typing

import pytest

from pluralbench.benchmarks.didactic import DidacticSettings
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.experiments.settings import (
    EvaluationSettings,
    Experiment,
    PreferenceSettings,
    RelabelSettings,
)
from pluralbench.envs.maze.waypoint_policy import WaypointSettings
from pluralbench.envs.ravens.pick_place_policy import BehaviourSettings
from pluralbench.errors import InputError
from pluralbench.features import InputFeatures
from pluralbench.iql.settings import GroupWeightSettings, IQLSettings, MaxMinSettings
from pluralbench.preference_oracles.teachers import Teacher
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.pair_classifier import PairClassifierSettings
from pluralbench.reward_learning.reward_model import NoSettings
from pluralbench.settings import SettingsError, from_assignments, settings_from

KINDS = {
    Experiment, PreferenceSettings, RelabelSettings, EvaluationSettings, IQLSettings, GroupWeightSettings,
    MaxMinSettings, InputFeatures, PairClassifierSettings, DidacticSettings, WaypointSettings, BehaviourSettings,
    *(learners.get(name).settings_type for name in learners.names()),
}  # fmt: skip
NEEDED = {
    Experiment: {"environment": "maze", "population": "p", "methods": ("vpl",), "seeds": (0,), "num_transitions": 10}
}
FIELDS = [
    (kind, field.name, typing.get_type_hints(kind)[field.name])
    for kind in sorted(KINDS, key=lambda kind: (kind.__module__, kind.__name__))
    for field in dataclasses.fields(kind)
]
NUMBERS = [(kind, name) for kind, name, hint in FIELDS if hint in (int, float)]

ZERO = {
    "data_seed", "hindsight", "temperature", "actor_average", "min_log_std", "max_log_std", "action_clip",
    "latent_centres", "rate", "min_weight", "weight_decay", "validation_fraction", "risk_quantile", "entropy_weight",
    "variance_penalty", "num_groups", "kl_weight", "annealing_cycles", "free_bits", "free_nats", "guidance_weight",
    "num_flow_layers", "position_gain", "velocity_gain", "action_noise", "rare_cells_share", "max_rest",
    "waypoint_jitter", "noise", "clumsy_share", "clumsy_noise", "slip", "elsewhere_share", "aimless_share", "wander",
    "mistake_rate",
}  # fmt: skip
SIGNED = {"min_log_std", "max_log_std", "position_gain", "velocity_gain"}
UNBOUNDED = {"rationality"}
ACCEPTED = {
    -1: SIGNED, 0: ZERO, 0.5: {name for kind, name, hint in FIELDS if hint is float} - {"min_weight", "mistake_rate"},
    10**30: UNBOUNDED, math.inf: UNBOUNDED, math.nan: set(), 10**400: set(), 10**5000: set(),
    "often": set(),
}  # fmt: skip


def refusal(make, kind, values):
    """Why the settings are refused; None where they are taken."""
    try:
        make({**NEEDED.get(kind, {}), **values})
    except InputError as error:
        return str(error)
    return None


def test_there_are_fields_of_every_stage():
    names = {name for _, name in NUMBERS}
    assert {"num_transitions", "num_layers", "curve_episodes", "num_comparison_states", "vpl_updates"} <= names
    assert NoSettings in KINDS


@pytest.mark.parametrize(("kind", "name"), NUMBERS, ids=lambda part: getattr(part, "__name__", part))
def test_a_number_is_taken_or_refused_in_one_line(kind, name):
    for value, names in ACCEPTED.items():
        for make in (lambda values: settings_from(kind, values, "here"), lambda values: kind(**values)):
            reason = refusal(make, kind, {name: value})
            assert (reason is None) == (name in names), f"{name}, {reason}"
            if reason is not None:
                assert name in reason
                assert "\n" not in reason
                assert len(reason) < 300


@pytest.mark.parametrize(("kind", "name", "hint"), FIELDS, ids=lambda part: getattr(part, "__name__", str(part)))
def test_no_value_of_json_leads_to_another_error(kind, name, hint):
    for value in (None, True, -1, math.nan, 10**5000, "", "often", [], ["a"], [[-1]], {}, {"a": 1}, [[[]], {}]):
        reason = refusal(lambda values: settings_from(kind, values), kind, {name: value})
        assert len(reason or "") < 500


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (IQLSettings, {"hidden_sizes": ["a"]}, "valid integer"),
        (IQLSettings, {"hidden_sizes": [256] * 101}, "at most 100"),
        (IQLSettings, {"hidden_sizes": [10**7]}, "at most 65536"),
        (Experiment, {"seeds": [-1]}, "a seed must not be negative"),
        (Experiment, {"seeds": [2**32]}, "a seed must be at most 4294967295"),
        (Experiment, {"seeds": [3, 3]}, "each another one"),
        (Experiment, {"seeds": list(range(10_001))}, "at most 10000, each another one"),
        (Experiment, {"methods": ["vpl", "vpl"]}, "named twice"),
        (Experiment, {"learner_settings": {"vpl": 5}}, "learner_settings.vpl"),
        (InputFeatures, {"sinusoid_columns": [-1], "wavelengths": [1.0]}, "column of the input features"),
        (InputFeatures, {"sinusoid_columns": [0], "wavelengths": [0.0]}, "wavelengths must be positive"),
        (learners.get("vpl").settings_type, {"pooling": "attention", "hidden_size": 30}, "that 4 divides"),
    ],
)
def test_what_is_not_one_number_is_checked_too(kind, values, message):
    with pytest.raises(SettingsError, match=message):
        settings_from(kind, {**NEEDED.get(kind, {}), **values})


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("methods=5", "methods are names, got 5"),
        ("population=5", "population is a name"),
        ("environment=ravens", "the environment is maze already"),
        ("learner_settings=5", "learner_settings"),
        ("iql.num_updates=" + "9" * 5000, "iql.num_updates"),
        ("iql.discount=" + "9" * 4000, "a number of about 4000 digits"),
        ("iql.features.sinusoid_columns=[9]", "columns 0 to 3"),
        ('learner_settings.vpl.features={"sinusoid_columns": [9], "wavelengths": [1.0]}', "columns 0 to 3"),
        ("x=" + "[" * 100_000, "nested too deeply"),
    ],
)
def test_assignments_that_lead_nowhere(assignment, message):
    with pytest.raises(InputError, match=message) as raised:
        make_plan(experiment_for("maze", "smoke", from_assignments([assignment])))
    assert len(str(raised.value)) < 400


def test_one_method_may_stand_alone():
    assert experiment_for("maze", "smoke", from_assignments(["methods=vpl"])).methods == ("vpl",)


@pytest.mark.parametrize("name", ["skip_fraction", "equal_fraction"])
def test_a_teacher_decides_sometimes(name):
    with pytest.raises(InputError, match="who never decides teaches nothing"):
        Teacher(**{name: 1.0})
