"""Settings: overrides, method names, and what is refused."""

import dataclasses
import json

import pytest

from pluralbench.benchmarks.experiment import (
    POLICIES,
    EvaluationSettings,
    Experiment,
    ExperimentError,
    Method,
    override,
)
from pluralbench.benchmarks.suites import ALL_METHODS, PRESETS, SUITES, all_methods, experiment_for
from pluralbench.registry import UnknownNameError
from pluralbench.reward_learning.learners import learners


@pytest.fixture
def experiment():
    return experiment_for("maze", "smoke")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vpl", "vpl"),
        ("vpl+none", "vpl"),
        ("vpl+spo", "vpl+spo"),
        ("oracle", "oracle"),
        ("maxmin+spo@none", "maxmin+spo"),
        ("maxmin@maxmin", "maxmin@maxmin"),
        ("maxmin+spo@maxmin", "maxmin+spo@maxmin"),
    ],
)
def test_a_method_is_a_learner_a_scaling_and_a_policy(text, name):
    assert Method.parse(text).name == name


def test_a_learner_from_a_file_takes_a_policy_whatever_its_path(tmp_path):
    path = tmp_path / "mine@home+1.py"
    path.write_text("from reward_learning.maxmin import MaxMin\n\n\nclass Mine(MaxMin):\n    name = 'mine'\n")
    method = Method.parse(f"{path}:Mine+spo@maxmin")
    assert (method.learner, method.scaling, method.policy) == (f"{path}:Mine", "spo", "maxmin")
    assert method.name == "mine+spo@maxmin"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("vlp", UnknownNameError, "did you mean 'vpl'"),
        ("vpl+sop", ExperimentError, "did you mean 'spo'"),
        ("maxmin@maxmni", ExperimentError, "did you mean 'maxmin'"),
    ],
)
def test_unknown_methods_offer_the_nearest(text, error, message):
    with pytest.raises(error, match=message):
        Method.parse(text)


def test_overrides_reach_nested_settings_and_keep_the_rest(experiment):
    changed = override(experiment, {"iql.num_updates": 7, "num_seeds": 3, "learner_settings.vpl.latent_size": 4})
    assert (changed.iql.num_updates, changed.num_seeds) == (7, 3)
    assert changed.learner_settings["vpl"]["latent_size"] == 4
    assert changed.learner_settings["*"] == experiment.learner_settings["*"]
    assert dataclasses.replace(changed.iql, num_updates=experiment.iql.num_updates) == experiment.iql


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("iql.num_updtes", 1, "did you mean 'num_updates'"),
        ("nothing", 1, "unknown setting 'nothing'"),
        ("num_seeds.x", 1, "no settings of its own"),
        ("iql.num_updates", "many", "is a int"),
        ("num_seeds", 0, "at least 1, is 0"),
    ],
)
def test_impossible_overrides_name_what_is_wrong(experiment, key, value, message):
    with pytest.raises(ExperimentError, match=message):
        override(experiment, {key: value})


def test_every_suite_has_every_preset_and_is_json():
    for suites in SUITES.values():
        assert set(suites) == set(PRESETS)
        for experiment in suites.values():
            assert json.loads(json.dumps(experiment.as_dict())) == experiment.as_dict()
            assert experiment.parsed_methods


def test_all_methods_are_different_methods_that_go_with_the_policy():
    for policy in POLICIES:
        names = [Method.parse(method).name for method in all_methods(policy)]
        assert len(set(names)) == len(names)
        assert {Method.parse(name).learner for name in names} == set(learners)
    assert "maxmin+spo@maxmin" in all_methods("iql")
    assert not [method for method in all_methods("greedy") if "@" in method]
    assert all_methods("greedy")[-1] == ALL_METHODS[-1]


def test_a_population_brings_its_own_settings_where_it_has_any():
    quick, ten = experiment_for("maze", "quick"), experiment_for("maze", "quick", "ten-goals")
    assert ten.population == "ten-goals"
    assert ten.iql.num_updates > quick.iql.num_updates
    assert experiment_for("maze", "quick", "two-goals") == quick
    assert experiment_for("maze", "quick", "two-goals-1-10").iql == quick.iql
    assert experiment_for("maze", "smoke", "ten-goals").iql == experiment_for("maze", "smoke").iql


def test_quick_and_paper_count_at_least_a_hundred_episodes():
    for suites in SUITES.values():
        assert suites["quick"].evaluation.episodes >= 100
        assert suites["quick"].num_seeds >= 2
        assert suites["paper"].evaluation.episodes >= 100
        assert suites["paper"].num_seeds >= 5


def test_an_experiment_without_users_or_episodes_is_refused():
    with pytest.raises(ExperimentError, match="episodes must be at least 1"):
        Experiment("s", "maze", "two-goals", ("oracle",), 1, 10, evaluation=EvaluationSettings(episodes=0))
