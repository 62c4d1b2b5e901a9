"""`maxmin@maxmin`, the policy for the worst-off of K learned groups, through the pipeline on the smoke maze."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pluralbench.benchmarks import pipeline, policies
from pluralbench.benchmarks.experiment import Method, override
from pluralbench.benchmarks.policies import Run, stack_name, stacks_of
from pluralbench.benchmarks.preparation import prepare, seed_data
from pluralbench.benchmarks.progress import Reporter
from pluralbench.benchmarks.results import read_metrics, read_success_rates
from pluralbench.benchmarks.rewards import relabel_run
from pluralbench.benchmarks.suites import experiment_for
from pluralbench.reward_learning.learners import load_model

QUIET = Reporter(quiet=True)
EXPERIMENT = override(
    replace(experiment_for("maze", "smoke"), methods=("maxmin", "maxmin@maxmin")),
    {
        "evaluation.episodes": 1,
        "learner_settings.maxmin.num_groups": 2,
        "learner_settings.maxmin.num_restarts": 1,
        "learner_settings.maxmin.num_iterations": 2,
        "learner_settings.maxmin.step_updates": 10,
        "group_weights.rate": 0.01,
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("maxmin")


@pytest.fixture(scope="module")
def whole(folder):
    """The suite's folder after an undisturbed run, without pictures of episodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "film_users", lambda *_: None)
        return pipeline.run_experiment(EXPERIMENT, folder / "whole", data_dir=folder, reporter=QUIET)


def test_groups_are_weighed_and_written_beside_the_other_results(whole):
    assert {rate.method for rate in read_success_rates(whole)} == {"maxmin", "maxmin@maxmin"}
    seed_0 = whole / "maze" / "maxmin@maxmin" / "seed_0"
    rows = [row for row in read_metrics(seed_0 / "metrics.csv") if "group_" in row[2]]
    assert {name for _, _, name, _ in rows} == {f"group_{what}_{k}" for what in ("weight", "value") for k in (0, 1)}
    assert {stage for stage, *_ in rows} == {"policy"}
    last = json.loads((seed_0 / "summary.json").read_text())["policy"]
    assert last["group_weight_0"] + last["group_weight_1"] == pytest.approx(1)
    assert last["group_weight_0"] != pytest.approx(0.5, abs=1e-4)
    assert (last["group_weight_0"] < 0.5) == (last["group_value_0"] > last["group_value_1"])
    assert "group_weight_0" not in (whole / "maze" / "maxmin" / "seed_0" / "metrics.csv").read_text()
    maps = np.load(whole / "maze-reward-maps.npz")
    assert {"maxmin/learned", "maxmin@maxmin group 0/learned", "maxmin@maxmin group 1/learned"} <= set(maps.files)


def test_an_interrupted_run_resumes_to_the_same_numbers(whole, folder, monkeypatch):
    monkeypatch.setattr(pipeline, "film_users", lambda *_: None)
    experiment = replace(EXPERIMENT, methods=("maxmin@maxmin",))
    evaluated = []

    def interrupted(*arguments, seed, **options):
        evaluated.append(seed)
        if evaluated == [10, 20]:
            raise KeyboardInterrupt
        return run_episodes(*arguments, seed=seed, **options)

    run_episodes = policies.run_episodes
    monkeypatch.setattr(policies, "run_episodes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run_experiment(experiment, folder / "cut", data_dir=folder, reporter=QUIET)
    suite = pipeline.run_experiment(experiment, folder / "cut", data_dir=folder, resume=True, reporter=QUIET)
    assert evaluated == [10, 20, 20]
    metrics = "maze/maxmin@maxmin/seed_0/metrics.csv"
    assert (suite / metrics).read_bytes() == (whole / metrics).read_bytes()


def test_the_pointwise_minimum_is_the_least_of_the_rewards_of_the_groups(whole, folder):
    prepared = prepare(EXPERIMENT, folder, QUIET)
    model = load_model(whole / "maze" / "reward_models" / "maxmin" / "seed_0")
    data = seed_data(EXPERIMENT, prepared, 0)

    def rewards(method):
        return relabel_run(EXPERIMENT, prepared, data, Method.parse(method), model, "cpu").rewards

    groups = rewards("maxmin@maxmin")
    assert groups.shape == (2, len(prepared.dataset))
    np.testing.assert_allclose(groups.min(0), rewards("maxmin"), atol=1e-6)
    scaled = rewards("maxmin+spo@maxmin")
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    # each group is compared with the same states: ranks within a group stay as they were
    for before, after in zip(groups, scaled, strict=True):
        assert (np.diff(after[before.argsort()]) >= -1e-6).all()


def test_runs_stack_only_with_as_many_groups_and_stacks_have_names_of_their_own():
    def run(method, groups):
        model = SimpleNamespace(group_models=lambda: [None] * groups)
        return Run(Method.parse(method), None, model, torch.zeros(1, 0), np.zeros((1, 2)))

    runs = [run("maxmin@maxmin", 2), run("btl", 0), run("maxmin@maxmin", 3), run("maxmin+spo@maxmin", 2)]
    stacks = stacks_of(runs)
    assert stacks == [[runs[1]], [runs[0], runs[3]], [runs[2]]]
    names = [stack_name(stack) for stack in stacks]
    assert names == ["btl", "maxmin@maxmin maxmin+spo@maxmin for 2 groups", "maxmin@maxmin for 3 groups"]
