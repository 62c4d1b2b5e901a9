"""`maxmin@maxmin`, the policy for the worst-off of K learned groups, through the pipeline on the smoke maze."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.results import read_metrics, read_success_rates
from pluralbench.benchmarks.stages import iql_policy
from pluralbench.benchmarks.stages.evaluate import FINAL
from pluralbench.benchmarks.stages.fit import fit_learner
from pluralbench.benchmarks.stages.pipeline import run_experiment
from pluralbench.benchmarks.stages.record import begin
from pluralbench.benchmarks.stages.runs import Run
from pluralbench.benchmarks.stages.session import Session

pytestmark = pytest.mark.usefixtures("no_rollouts")

CHANGES = {
    "evaluation": {"episodes": 1},
    "learner_settings": {"maxmin": {"num_groups": 2, "num_restarts": 1, "num_iterations": 2, "step_updates": 10}},
    "group_weights": {"rate": 0.01},
}


def plan_of(*methods):
    return make_plan(experiment_for("maze", "smoke", CHANGES, {"methods": methods}))


PLAN = plan_of("maxmin", "maxmin@maxmin")


def session(folder, data_dir, resume=False):
    return Session(folder, resume, data_dir, Reporter(quiet=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir):
    """The suite's folder after an undisturbed run."""
    return run_experiment(PLAN, session(tmp_path_factory.mktemp("maxmin"), data_dir))


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


def test_an_interrupted_run_resumes_to_the_same_numbers(whole, tmp_path, data_dir, monkeypatch):
    plan, evaluated = plan_of("maxmin@maxmin"), []

    def interrupted(environment, act, goals, episodes, seed, starts):
        evaluated.append(seed)
        if evaluated == [10, FINAL]:
            raise KeyboardInterrupt
        return run_episodes(environment, act, goals, episodes, seed, starts)

    run_episodes = iql_policy.run_episodes
    monkeypatch.setattr(iql_policy, "run_episodes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(plan, session(tmp_path, data_dir))
    suite = run_experiment(plan, session(tmp_path, data_dir, resume=True))
    assert evaluated == [10, FINAL, FINAL]
    metrics = "maze/maxmin@maxmin/seed_0/metrics.csv"
    assert (suite / metrics).read_bytes() == (whole / metrics).read_bytes()


def begun(plan, own):
    """Data and draws of a plan with one seed, and the experiment's identity."""
    [(prepared, [draws])], identity = begin(plan, own)
    return prepared, draws, identity


@pytest.fixture(scope="module")
def drawn(whole, data_dir):
    """Prepared data and the fitted learner of the undisturbed run."""
    own = session(whole, data_dir, resume=True)
    prepared, draws, identity = begun(PLAN, own)
    return prepared, fit_learner(prepared, draws, "maxmin", identity, own)


def test_the_pointwise_minimum_is_the_least_of_the_rewards_of_the_groups(drawn):
    prepared, fitted = drawn

    def rewards(text):
        method = Method.parse(text)
        return Run(method, fitted, 8, serves_groups=method.policy == "maxmin").relabelled(prepared)

    groups = rewards("maxmin@maxmin")
    assert groups.shape == (2, len(prepared.dataset))
    np.testing.assert_allclose(groups.min(0), rewards("maxmin"), atol=1e-6)
    scaled = rewards("maxmin+spo@maxmin")
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    # each group is compared with the same states: ranks within a group stay as they were
    for before, after in zip(groups, scaled, strict=True):
        assert (np.diff(after[before.argsort()]) >= -1e-6).all()


def test_the_classifier_of_pairs_is_fitted_once_for_policy_maps_and_greedy_steps(drawn, monkeypatch):
    """Formerly up to eight times a run."""
    from pluralbench.benchmarks.stages import fit

    _, fitted = drawn
    fits = []
    monkeypatch.setattr(fit, "fit_pair_classifier", lambda *_, **__: (fits.append(1), None))
    for _ in range(3):
        fitted.classifier_for("spo-pairs")
        fitted.classifier_for("spo")
    assert fits == [1]


def test_an_evaluation_setting_changes_no_training(drawn, whole, data_dir, tmp_path):
    """Formerly `evaluation.num_answers` set the context from which relabelling infers latents."""
    fewer = {"methods": ("vpl",), "evaluation": {"num_answers": 2}}
    changed = make_plan(experiment_for("maze", "smoke", CHANGES, fewer))
    usual = plan_of("vpl")
    latents = []
    for number, plan in enumerate((usual, changed)):
        own = session(tmp_path / str(number), data_dir)
        prepared, draws, identity = begun(plan, own)
        latents.append(fit_learner(prepared, draws, "vpl", identity, own).latents)
    assert torch.equal(*latents)


def stacked(text, groups=0, latent_size=0, num_latents=1):
    latents = SimpleNamespace(latents=torch.zeros(num_latents, latent_size))
    users = torch.zeros(1, latent_size)
    return SimpleNamespace(method=Method.parse(text), fitted=latents, user_latents=users, num_groups=groups, seed=0)


def test_a_run_of_few_latents_is_seen_as_such_whatever_is_trained_beside_it():
    few, many = stacked("oracle", latent_size=3, num_latents=10), stacked("vpl", latent_size=3, num_latents=500)
    assert iql_policy._stacks([few, many], latent_centres=32) == [[many], [few]]
    assert iql_policy._stacks([few, many], latent_centres=0) == [[few, many]]


def test_runs_stack_only_with_as_many_groups_and_stacks_have_names_of_their_own():
    runs = [
        stacked("maxmin@maxmin", 2), stacked("btl", 0), stacked("maxmin@maxmin", 3), stacked("maxmin+spo@maxmin", 2)
    ]  # fmt: skip
    stacks = iql_policy._stacks(runs, latent_centres=0)
    assert stacks == [[runs[1]], [runs[0], runs[3]], [runs[2]]]
    assert len({iql_policy._file_name(stack) for stack in stacks}) == 3
