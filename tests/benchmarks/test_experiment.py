"""Settings: presets, methods, what is merged, and what is refused when a plan is made."""

import json
import re

import pytest

from pluralbench.benchmarks.experiments.methods import (
    ALL_METHODS,
    NO_LEARNER,
    REFERENCE_ROWS,
    Method,
    possible_methods,
)
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import PRESETS, experiment_for
from pluralbench.benchmarks.experiments.settings import EvaluationSettings, Experiment, ExperimentError
from pluralbench.benchmarks.experiments.sweeps import SWEEPS, sweep_points
from pluralbench.envs import environments
from pluralbench.registry import UnknownNameError
from pluralbench.reward_learning.learners import learners
from pluralbench.settings import SettingsError, as_json, settings_from


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vpl", "vpl"),
        ("vpl+none", "vpl"),
        ("vpl+spo", "vpl+spo"),
        ("oracle", "oracle"),
        ("maxmin+spo@iql", "maxmin+spo"),
        ("maxmin@maxmin", "maxmin@maxmin"),
        ("maxmin+spo@maxmin", "maxmin+spo@maxmin"),
        ("vpl@planned", "vpl@planned"),
        ("bayes+spo", "bayes+spo"),
        ("individual", "individual"),
        ("individual+spo", "individual+spo"),
        ("individual@planned", "individual"),
        ("individual@greedy", "individual@greedy"),
    ],
)
def test_a_method_is_a_learner_a_scaling_and_a_policy(text, name):
    assert Method.parse(text).name == name


@pytest.mark.parametrize("policy", ["behaviour", "bc", "tour"])
def test_a_policy_that_asks_nobody_is_a_method_by_itself_whatever_the_experiments_policy(policy):
    for default in ("iql", "greedy"):
        assert Method.parse(policy, default) == Method(NO_LEARNER, "none", policy, policy)
    assert Method.parse(f"{NO_LEARNER}@{policy}").name == policy  # no second name for the same row


@pytest.mark.parametrize("default", ["iql", "maxmin", "greedy", "planned"])
def test_a_learner_that_fits_every_user_has_a_policy_that_can_be_had_for_each(default):
    method = Method.parse("individual", default)
    assert (method.policy, method.name) == ("greedy" if default == "greedy" else "planned", "individual")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vpl@bc", "looks at no reward; write bc alone"),
        ("oracle@tour", "looks at no reward; write tour alone"),
        ("btl+spo@behaviour", "looks at no reward; write behaviour alone"),
        ("bc+spo", "bc asks nobody and stands alone"),
        ("tour@iql", "tour asks nobody and stands alone"),
        ("individual@iql", "use @planned or @greedy"),
        ("individual@maxmin", "use @planned or @greedy"),
        ("individual+spo-pairs@greedy", "individual has one for each; use another scaling: spo"),
        ("bayes+spo-pairs", "bayes knows the truth; use another scaling: spo"),
        (f"{NO_LEARNER}+spo-pairs", "no-reward asks nobody; use another scaling: spo"),
    ],
)
def test_a_policy_that_does_not_suit_its_learner_is_refused(text, message):
    with pytest.raises(ExperimentError, match=message):
        Method.parse(text)


def test_a_learner_from_a_file_lends_latents_to_spo_pairs_or_is_refused_by_what_it_says_of_itself(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from pluralbench.reward_learning.btl import BTL\n\n\nclass Plain(BTL):\n    name = 'plain'\n\n\n"
        "class Grouped(BTL):\n    name, grouped = 'own', True\n"
    )
    assert Method.parse(f"{path}:Plain+spo-pairs").name == "plain+spo-pairs"
    with pytest.raises(ExperimentError, match="knows no groups, and own consists of them"):
        Method.parse(f"{path}:Grouped+spo-pairs")


def test_a_learner_from_a_file_takes_a_policy_whatever_its_path(tmp_path):
    path = tmp_path / "mine@home+1.py"
    path.write_text(
        "from pluralbench.reward_learning.maxmin import MaxMin\n\n\nclass Mine(MaxMin):\n    name = 'mine'\n"
    )
    method = Method.parse(f"{path}:Mine+spo@maxmin")
    assert (method.learner, method.scaling, method.policy) == (f"{path}:Mine", "spo", "maxmin")
    assert method.name == "mine+spo@maxmin"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("vlp", UnknownNameError, "did you mean 'vpl'"),
        ("vpl+sop", ExperimentError, "did you mean 'spo'"),
        ("maxmin@maxmni", UnknownNameError, "did you mean 'maxmin'"),
        ("behavior", UnknownNameError, "did you mean 'behaviour'"),
    ],
)
def test_unknown_methods_offer_the_nearest(text, error, message):
    with pytest.raises(error, match=message):
        Method.parse(text)


def test_changes_reach_nested_settings_and_keep_the_rest():
    before = experiment_for("maze", "smoke")
    changes = {"iql": {"num_updates": 7}, "seeds": (0, 5, 7), "learner_settings": {"vpl": {"latent_size": 4}}}
    changed = experiment_for("maze", "smoke", changes)
    assert (changed.iql.num_updates, changed.seeds) == (7, (0, 5, 7))
    assert changed.learner_settings["vpl"]["latent_size"] == 4
    assert changed.learner_settings["*"] == before.learner_settings["*"]
    assert changed.iql.features == before.iql.features


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iql": {"num_updtes": 1}}, r"^unknown setting 'iql.num_updtes'; did you mean 'iql.num_updates'\?$"),
        ({"num_updates": 5}, r"^unknown setting 'num_updates'; did you mean 'iql.num_updates'\?$"),
        ({"num_answers": 5}, "did you mean 'relabel.num_answers' or 'evaluation.num_answers'"),
        ({"iql": {"zzz": 1}}, "^unknown setting 'iql.zzz'; known: iql.num_updates, "),
        ({"nothing": 1}, "unknown setting 'nothing'"),
        ({"seeds": {"x": 1}}, "seeds"),
        ({"iql": {"num_updates": "many"}}, "iql.num_updates"),
        ({"iql": {"num_updates": True}}, "iql.num_updates is a number"),
        ({"seeds": ()}, "at least 1"),
        ({"evaluation": {"episodes": 0}}, "episodes must be at least 1"),
        ({"relabel": {"latents": "posteriror"}}, "did you mean 'posterior'"),
        ({"relabel": {"comparison_states": "wnated"}}, "did you mean 'wanted'"),
        ({"relabel": {"hindsight": 1.5}}, "hindsight must be at most 1, is 1.5"),
        (
            {"data_per_seed": True, "dataset": "mine.hdf5"},
            "^data_per_seed collects a dataset for each seed; leave dataset empty",
        ),
    ],
)
def test_impossible_changes_name_what_is_wrong(changes, message):
    with pytest.raises(SettingsError, match=message):
        experiment_for("maze", "smoke", changes)


@pytest.mark.parametrize("environment", environments.names())
@pytest.mark.parametrize("preset", PRESETS)
def test_every_environment_has_every_preset_which_can_be_planned_and_read_back(environment, preset):
    experiment = experiment_for(environment, preset)
    values = as_json(experiment)
    assert as_json(settings_from(Experiment, json.loads(json.dumps(values)))) == values
    plan = make_plan(experiment)
    assert plan.experiment.iql.precision != "auto"
    if preset != "smoke":
        assert experiment.evaluation.users_per_group >= 20
        assert experiment.evaluation.episodes >= 5
        assert len(experiment.seeds) >= {"quick": 2, "paper": 5}[preset]


def test_all_methods_are_different_methods_that_go_with_the_policy():
    maze, tidy = (environments.get(name) for name in ("maze", "habitat-tidy"))
    for environment, policy in ((maze, "iql"), (tidy, "greedy")):
        methods = possible_methods(ALL_METHODS, environment, policy, has_dataset=False)
        names = [Method.parse(method, policy).name for method in methods]
        assert len(set(names)) == len(names)
        assert {Method.parse(name, policy).learner for name in names} == set(learners)
        assert methods[-1] == ALL_METHODS[-1]
    assert "maxmin+spo@maxmin" in possible_methods(ALL_METHODS, maze, "iql", has_dataset=False)
    assert not [name for name in possible_methods(ALL_METHODS, tidy, "greedy", has_dataset=False) if "@" in name]


WITHOUT_A_PLAN = {"ravens", "ravens-four-zones"}
"""Environments in which no policy can be had for each user separately."""


@pytest.mark.parametrize("environment", environments.names())
@pytest.mark.parametrize("preset", PRESETS)
def test_every_default_list_begins_with_the_reference_rows_that_can_be_had(environment, preset):
    expected = [row for row in REFERENCE_ROWS if not (row == "individual" and environment in WITHOUT_A_PLAN)]
    methods = experiment_for(environment, preset).methods
    assert list(methods[: len(expected)]) == expected
    assert not set(methods[len(expected) :]) & set(REFERENCE_ROWS)
    everything = experiment_for(environment, preset, {"methods": ("all",)}).methods
    assert [row for row in everything if row in REFERENCE_ROWS] == expected


def test_a_default_list_leaves_out_what_cannot_be_had():
    assert "behaviour" not in experiment_for("maze", "smoke", {"dataset": "mine.hdf5"}).methods
    assert "individual" not in experiment_for("habitat-tidy", "smoke", {"policy": "iql"}).methods
    named = experiment_for("maze", "smoke", {"dataset": "mine.hdf5", "methods": ("behaviour", "btl")})
    assert named.methods == ("behaviour", "btl")  # what is asked for by name is not left out in silence


BARE = """
from pluralbench.envs import Environment, MultiGoalTask


class Task(MultiGoalTask):
    name, observation_size, action_size, goal_size = "bare", 1, 1, 1


BARE = Environment("bare", "pluralbench-test/Bare-v0", Task)
"""


@pytest.mark.parametrize(
    ("environment", "changes", "message"),
    [
        ("bare", {"methods": ("tour",)}, "tour: bare has no tour"),
        ("bare", {"methods": ("individual",)}, "individual: bare has no planner"),
        ("maze", {"methods": ("vpl@greedy",)}, "maze has no one-step outcome model"),
        ("maze", {"methods": ("behaviour",), "dataset": "mine.hdf5"}, "behaviour: the data come from a file"),
        ("ravens", {"methods": ("vpl@planned",)}, "ravens has no planner"),
    ],
)
def test_a_row_that_cannot_be_had_is_refused_before_any_work(environment, changes, message, tmp_path):
    (tmp_path / "bare.py").write_text(BARE)
    name = f"{tmp_path / 'bare.py'}:BARE" if environment == "bare" else environment
    with pytest.raises(ExperimentError, match=message):
        make_plan(experiment_for(name, "smoke", changes))


def test_a_population_brings_its_own_settings_where_it_has_any():
    quick, ten = experiment_for("maze", "quick"), experiment_for("maze", "quick", {"population": "ten-goals"})
    assert ten.population == "ten-goals"
    assert ten.iql.num_updates > quick.iql.num_updates
    assert experiment_for("maze", "quick", {"population": "two-goals"}) == quick
    assert experiment_for("maze", "quick", {"population": "two-goals-1-10"}).iql == quick.iql
    own = experiment_for("maze", "quick", {"population": "ten-goals", "iql": {"num_updates": 5}})
    assert own.iql.num_updates == 5


def test_learner_settings_of_every_learner_are_typed_and_whole():
    plan = make_plan(experiment_for("maze", "quick", {"methods": ("all",)}))
    for method in plan.methods:
        settings = plan.settings_of(method.learner)
        assert set(settings) == {*learners.get(method.learner).settings_type.__dataclass_fields__}
    assert plan.settings_of("vpl")["kl_weight"] == 0.1
    assert plan.settings_of("btl")["features"]["wavelengths"] == [8.0, 4.0, 2.0]


def test_a_part_of_one_learners_settings_joins_those_of_all_learners():
    changes = {"methods": ("vpl", "btl"), "learner_settings": {"vpl": {"features": {"wavelengths": (2.0,)}}}}
    plan = make_plan(experiment_for("maze", "quick", changes))
    assert plan.settings_of("vpl")["features"] == {
        "sinusoid_columns": [0, 1],
        "wavelengths": [2.0],
        "differences": [],
    }
    assert plan.settings_of("btl")["features"]["wavelengths"] == [8.0, 4.0, 2.0]


def test_the_classifier_of_pairs_takes_part_in_the_settings_of_all_learners():
    changes = {"methods": ("vpl+spo-pairs",), "learner_settings": {"spo-pairs": {"num_layers": 2}}}
    settings = make_plan(experiment_for("maze", "quick", changes)).classifier_settings
    assert (settings.num_updates, settings.learning_rate, settings.num_layers) == (2_500, 5e-3, 2)


@pytest.mark.parametrize("name", list(SWEEPS))
def test_every_point_of_a_sweep_can_be_planned_and_differs_from_the_others(name):
    environment, points = sweep_points(name, None)
    experiments = [experiment_for(environment, "quick", point) for point in points.values()]
    for experiment in experiments:
        make_plan(experiment)
    assert len({json.dumps(as_json(experiment)) for experiment in experiments}) == len(points)
    assert len({experiment.methods for experiment in experiments}) == 1
    if name == "users":
        num_users = [int(label) * e.evaluation.users_per_group for label, e in zip(points, experiments, strict=True)]
        assert min(num_users) >= 20


def test_an_experiment_without_users_or_episodes_is_refused():
    with pytest.raises(ExperimentError, match="episodes must be at least 1"):
        EvaluationSettings(episodes=0)


def test_what_imperfect_teachers_did_is_told(run, tmp_path, capsys):
    """A nominal share of skips is one of utilities: of the maze's questions `skip` leaves none out."""

    def said_of(teacher):
        arguments = ("maze", "--preset", "smoke", "--methods", "oracle", "--teacher", teacher)
        assert run(*arguments, out=tmp_path / teacher) == 0
        return " ".join(capsys.readouterr().out.split())

    mistakes = re.search(
        r"seed 0: of the train users' questions ([\d.]+) % of the answers are mistakes", said_of("mistake_rate=0.25")
    )
    assert 20 < float(mistakes[1]) < 30
    assert 5 < float(re.search(r"questions ([\d.]+) % were skipped", said_of("skip-quantile"))[1]) < 15
    assert "seed 0: of the train users' questions 0.0 % were skipped" in said_of("skip")
    assert "questions" not in said_of("rational")
