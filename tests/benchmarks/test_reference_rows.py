"""The rows that every table has beside the learners, through the pipeline in the smoke maze and in a household."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch

from pluralbench.benchmarks.experiments.identity import clashes, planned_identity
from pluralbench.benchmarks.experiments.methods import REFERENCE_ROWS, Method
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.results import read_success_rates, seed_folder
from pluralbench.benchmarks.results.figure_arrays import latents_path, load_latents, load_reward_maps, reward_maps_path
from pluralbench.benchmarks.stages import immediate_policies, iql_policy
from pluralbench.benchmarks.stages.evaluate import FINAL
from pluralbench.benchmarks.stages.fit import fit_learner
from pluralbench.benchmarks.stages.immediate_policies import BehaviourPolicy, TourPolicy
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.pipeline import run_experiment
from pluralbench.benchmarks.stages.record import begin
from pluralbench.benchmarks.stages.session import Session
from pluralbench.envs import Environment, MultiGoalTask, RandomScript, environments
from pluralbench.files import read_json
from pluralbench.iql.cloning import CloningLearner

pytestmark = pytest.mark.usefixtures("no_rollouts", "few_answers")
ASK_NOBODY = ("behaviour", "bc", "tour")
METHODS = (*REFERENCE_ROWS, "btl")
CHANGES = {
    "methods": METHODS,
    "preferences": {"teacher": "mistake_rate=0.4"},
    "evaluation": {"users_per_group": 3, "episodes": 2, "num_answers": 1},
}
"""One answer, and that sometimes the wrong one, misleads Bayes about some of the users."""


def session(folder, data_dir, resume=False):
    return Session(folder, resume, data_dir, Reporter(quiet=True))


class Watched:
    """A whole experiment, and what happened while it ran."""

    def __init__(self, plan, folder, data_dir, resume=False):
        self.plan, self.runs, self.starts, self.trained = plan, {}, {}, []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Ledger, "finish", self._watch_finish(Ledger.finish))
            patch.setattr(iql_policy, "train", self._watch_train(iql_policy.train))
            for module in (iql_policy, immediate_policies):
                patch.setattr(module, "run_episodes", self._watch_episodes(module.run_episodes))
            self.folder = run_experiment(plan, session(folder, data_dir, resume))

    def _watch_finish(self, finish):
        def finishing(ledger, trained):
            self.runs[trained.run.method.name, trained.run.seed] = trained
            finish(ledger, trained)

        return finishing

    def _watch_train(self, train):
        def training(data, settings, seeds, **options):
            self.trained.append((options.get("learner_class"), data.num_runs))
            return train(data, settings, seeds, **options)

        return training

    def _watch_episodes(self, run_episodes):
        def running(environment, act, goals, episodes, seed, starts):
            if seed == FINAL:
                self.starts.setdefault(episodes, []).append(starts)
            return run_episodes(environment, act, goals, episodes, seed, starts)

        return running

    def summary(self, method, seed=0):
        return read_json(seed_folder(self.folder, self.plan.environment.name, method, seed) / "summary.json")


@pytest.fixture(scope="module")
def maze(tmp_path_factory, data_dir):
    return Watched(make_plan(experiment_for("maze", "smoke", CHANGES)), tmp_path_factory.mktemp("maze"), data_dir)


@pytest.fixture(scope="module")
def household(tmp_path_factory, data_dir):
    plan = make_plan(experiment_for("habitat-rearrange", "smoke", CHANGES))
    return Watched(plan, tmp_path_factory.mktemp("household"), data_dir)


@pytest.fixture(params=["maze", "household"])
def either(request):
    return request.getfixturevalue(request.param)


def test_every_row_is_written_for_every_user(either):
    rates = read_success_rates(either.folder)
    num_users = 3 * len({rate.group for rate in rates})
    for method in METHODS:
        own, summary = [rate for rate in rates if rate.method == method], either.summary(method)
        assert len(own) == len(summary["users"]) == num_users
        assert summary["success_rate"] == pytest.approx(np.mean([rate.successes / 2 for rate in own]))
        assert summary["reached_rate"] == pytest.approx(np.mean([rate.reached / 2 for rate in own]))
        assert all(rate.reached >= rate.successes for rate in own)
        assert summary["episodes_that_raised"] == []


def test_rows_that_ask_nobody_have_no_reward_to_blame_and_the_others_have(either):
    for method in METHODS:
        summary = either.summary(method)
        assert (summary["reward_right"] is None) == (method in ASK_NOBODY), method
        assert (summary["reward_model"] == {}) == (method in ASK_NOBODY), method
        assert (summary["planned_success"] is not None) == (
            either.plan.environment.planner is not None and method not in ASK_NOBODY
        ), method
    for method in ("bayes", "individual", "btl"):
        assert 0 <= either.summary(method)["reward_model"]["accuracy"] <= 1
    assert either.summary("oracle")["reward_right"] == 1


def test_the_tour_reaches_everybodys_goal_and_serves_those_where_it_ends(maze):
    tour = maze.summary("tour")
    assert tour["reached_rate"] == 1
    assert 0 < tour["success_rate"] < 1


def test_what_is_planned_for_one_users_answers_succeeds_as_the_plan_says(maze):
    """Physics takes nothing from a plan."""
    individual = maze.runs["individual", 0]
    assert individual.run.method.policy == "planned"
    assert individual.run.user_latents.unique().numel() == 6  # a network of each user's own
    users = maze.summary("individual")["users"]
    sure = [user for user in users if user["planned_success"] in (0, 1)]
    assert sure
    assert all(user["success_rate"] == user["planned_success"] for user in sure)


def test_pictures_are_of_rewards_and_latents_that_mean_something(either):
    place = either.folder, either.plan.environment.name
    assert load_reward_maps(reward_maps_path(*place)).keys() == {"individual", "bayes", "oracle", "btl"}
    assert load_latents(latents_path(*place)).keys() == {"bayes", "oracle"}


def test_cloning_is_trained_by_its_own_learner_once(either):
    assert [num for learner, num in either.trained if learner is CloningLearner] == [1]
    assert either.runs["bc", 0].metrics[-1][1].keys() == {"log_likelihood"}


def test_bayes_acts_by_the_oracles_policy_which_is_trained_once(maze):
    assert [num for learner, num in maze.trained if learner is None] == [1, 1]  # btl, and bayes with the oracle
    files = [
        seed_folder(maze.folder, "maze", method, 0) / "policy/policy.safetensors" for method in ("bayes", "oracle")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_bayes_serves_a_user_as_the_oracle_does_where_it_names_the_right_goal(either):
    bayes, oracle = (either.runs[name, 0] for name in ("bayes", "oracle"))
    right = (bayes.run.user_latents == oracle.run.user_latents).all(1).numpy()
    assert right.any()
    assert not right.all()
    for counts in ("successes", "reached", "mean_steps"):
        own, best = (getattr(run.outcome, counts) for run in (bayes, oracle))
        np.testing.assert_array_equal(own[right], best[right])
    blamed = np.array([user["reward_right"] for user in either.summary("bayes")["users"]])
    assert blamed[right].all()  # another ranking of places may have the same favourite
    assert blamed.all() == (either.summary("bayes")["reward_right"] == 1)


def test_all_methods_episodes_of_a_user_start_alike(either):
    expected = either.runs["btl", 0].run.start_seeds
    assert len(set(expected.tolist())) == len(expected)
    found = np.concatenate(either.starts[2]).reshape(-1, len(expected))
    assert len(found) == len(METHODS)  # each method is judged in this many runs of its users
    assert (found == expected).all()


def test_a_method_that_is_missing_is_made_up_for_and_the_others_stay(maze, tmp_path, data_dir):
    """Bayes alone trains the policy that both share, to the same numbers."""
    shutil.copytree(maze.folder, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "maze/checkpoints")
    missing = seed_folder(tmp_path, "maze", "bayes", 0)
    shutil.rmtree(missing)
    (tmp_path / "success_rates.csv").write_text(
        "".join(line for line in (maze.folder / "success_rates.csv").open() if ",bayes," not in line)
    )
    again = Watched(maze.plan, tmp_path, data_dir, resume=True)
    assert list(again.runs) == [("bayes", 0)]
    assert again.trained == [(None, 1)]
    assert (tmp_path / "success_rates.csv").read_bytes() == (maze.folder / "success_rates.csv").read_bytes()
    for name in ("metrics.csv", "policy/policy.safetensors"):
        assert (missing / name).read_bytes() == (seed_folder(maze.folder, "maze", "bayes", 0) / name).read_bytes()


def test_an_oracle_of_other_settings_trains_a_policy_of_its_own(maze):
    bayes, oracle = (maze.runs[name, 0].run for name in ("bayes", "oracle"))
    assert iql_policy._distinct([bayes, oracle]) == [bayes]
    model = SimpleNamespace(trains_policy_of="oracle", settings=replace(oracle.fitted.model.settings, rationality=2.0))
    other = replace(oracle, fitted=replace(oracle.fitted, model=model))
    assert iql_policy._distinct([bayes, other]) == [bayes, other]
    scaled = replace(oracle, method=Method.parse("oracle+spo"))
    assert iql_policy._distinct([bayes, scaled]) == [bayes, scaled]
    assert iql_policy._distinct([maze.runs["btl", 0].run, bayes, oracle]) == [maze.runs["btl", 0].run, bayes]


def test_the_oracle_is_trained_for_everybody_alike_held_out_groups_too(tmp_path, data_dir):
    """Whatever the shares of those who taught, and whatever `relabel.latents` is for the others."""
    for population, num_goals in (("two-goals-1-10", 2), ("ten-goals", 15)):
        relabel = {"latents": "posterior", "num_latents": 512}
        changes = {"methods": ("oracle",), "population": population, "relabel": relabel}
        own = session(tmp_path / population, data_dir)
        [(prepared, [draws])], identity = begin(make_plan(experiment_for("maze", "smoke", changes)), own)
        fitted = fit_learner(prepared, draws, "oracle", identity, own)
        assert {*map(tuple, fitted.latents.tolist())} == {*map(tuple, draws.test_users.goals.tolist())}
        assert len(fitted.latents) == num_goals
        if num_goals == 2:
            taught = draws.train_users.group_index.mean()
            assert min(taught, 1 - taught) < 0.15
            assert 0.25 < fitted.latent_index.mean() < 0.75


@pytest.mark.parametrize("name", environments.names())
def test_the_behaviour_row_acts_by_the_environments_script_or_at_random(name):
    environment = environments.get(name)
    script = BehaviourPolicy().acting(environment, SimpleNamespace())
    assert isinstance(script, RandomScript) == (environment.behaviour is None)
    if environment.behaviour is None:
        observations = np.zeros((2, environment.make_task().observation_size), dtype=np.float32)
        script.begin(observations, np.zeros(2, dtype=np.int64), np.arange(2))
        env = gym.make(environment.gym_id)
        assert all(env.action_space.contains(action) for action in script.act(observations, np.arange(2)))
        env.close()


class Shelf(MultiGoalTask):
    """An observation is where a thing lies; an action puts it at 0, 1 or 2."""

    name, observation_size, action_size, goal_size, max_episode_steps = "shelf", 1, 3, 1, 1

    def utility(self, observations, goals):
        return np.exp(-np.abs(np.asarray(observations)[..., 0] - np.asarray(goals)[..., 0])).astype(np.float32)


def test_where_one_step_decides_the_tour_does_what_is_worth_most_in_the_mean_over_goals():
    """Goals count once each: many users who want the same thing are one stop of a tour."""

    def outcomes(observations):
        return np.tile(np.array([0.0, 1.0, 2.0], dtype=np.float32)[:, None], (len(observations), 1, 1))

    shelf = Environment("shelf", "none/Shelf-v0", Shelf, outcomes=outcomes)
    for goals, best in (([0.0, 2.0, 1.0], 1), ([0.0, 0.0, 0.0, 2.0, 1.9], 2), ([0.0], 0)):
        act = TourPolicy().acting(shelf, SimpleNamespace(goals=np.array(goals)[:, None]))
        np.testing.assert_array_equal(act(np.zeros((4, 1), dtype=np.float32), np.arange(4)), [best] * 4)


def test_what_latents_the_policy_sees_is_part_of_the_experiments_identity(maze):
    def identity(**relabel):
        return planned_identity(make_plan(experiment_for("maze", "smoke", CHANGES, {"relabel": relabel})))

    plain = identity()
    assert plain["settings"]["relabel"]["latents"] == "posterior"
    assert clashes(plain, identity(latents="even")) == ["relabel.latents"]
    assert clashes(plain, identity(hindsight=0.5)) == ["relabel.hindsight"]
    assert clashes(plain, identity(comparison_states="wanted")) == ["relabel.comparison_states"]
    assert clashes(plain, identity(latents="posterior", hindsight=0.0, hindsight_best=1.0)) == []
    assert clashes(plain, identity(hindsight_best=0.1)) == ["relabel.hindsight_best"]
    config = json.loads((seed_folder(maze.folder, "maze", "btl", 0) / "config.json").read_text())
    assert config["experiment"]["relabel"]["hindsight"] == 0.0
    assert config["identity"]["settings"]["relabel"]["latents"] == "posterior"
    for environment, population, share, best in (
        ("maze", "two-goals", 0.5, 1.0),
        ("maze", "ten-goals", 1.0, 0.01),
        ("maze-d4rl-like", "two-goals", 1.0, 0.01),
    ):
        quick = experiment_for(environment, "quick", {"population": population}).relabel
        assert (quick.latents, quick.hindsight, quick.hindsight_best) == ("even", share, best)


def test_hindsight_changes_which_latent_is_seen_where_and_no_latent(tmp_path, data_dir):
    found = []
    for share in (0.0, 1.0):
        changes = {"methods": ("oracle",), "relabel": {"hindsight": share}}
        own = session(tmp_path / str(share), data_dir)
        [(prepared, [draws])], identity = begin(make_plan(experiment_for("maze", "smoke", changes)), own)
        found.append(fit_learner(prepared, draws, "oracle", identity, own))
    assert torch.equal(found[0].latents, found[1].latents)
    bounds = prepared.dataset.episode_bounds
    ends = prepared.dataset.next_observations[bounds[:, 1] - 1, :2]
    nearer = {}
    for share, fitted in zip((0.0, 1.0), found, strict=True):
        own_goal = fitted.latents.numpy()[fitted.latent_index[bounds[:, 0]], :2]
        other = fitted.latents.numpy()[1 - fitted.latent_index[bounds[:, 0]], :2]
        nearer[share] = np.mean(np.linalg.norm(ends - own_goal, axis=1) < np.linalg.norm(ends - other, axis=1))
    assert nearer[0.0] < 0.75
    assert nearer[1.0] > 0.8
