"""One folder holds one experiment: what is refused, what may join, what is done again."""

import csv
import json
import sys
from dataclasses import fields, replace

import pytest

from pluralbench.benchmarks.experiments.identity import check_same, clashes, joined, planned_identity, run_digest
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.experiments.settings import LATER, LATER_OF_LEARNERS, Experiment, ExperimentError
from pluralbench.benchmarks.report import method_rows
from pluralbench.benchmarks.stages.prepare import identity_before_work
from pluralbench.reward_learning.learners import learners

pytestmark = pytest.mark.usefixtures("no_pictures")

QUICKLY = ("evaluation.episodes=1", "evaluation.curve_episodes=1", "iql.num_updates=4")
SMOKE = ("maze", "--preset", "smoke", "--suite", "own", "--methods", "btl", "--set", *QUICKLY)

POPULATION = """
from pluralbench.preference_oracles import Group, GroupPopulation

Mine = GroupPopulation("mine", "two groups", (Group({first}, 0.5, name="a"), Group((7, 10), 0.5, name="b")))
"""


def rows(folder):
    with (folder / "success_rates.csv").open() as file:
        return list(csv.DictReader(file))


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_another_setting_is_refused_in_one_line_before_any_work(run, tmp_path, capsys):
    """Formerly the table then mixed two experiments and divided all seeds by the first row's episodes."""
    assert run(*SMOKE, "--seeds", 2) == 0
    before = snapshot(tmp_path / "own")
    capsys.readouterr()
    changed = [word.replace("num_updates=4", "num_updates=5").replace("episodes=1", "episodes=7") for word in SMOKE]
    assert run(*changed) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.strip().splitlines()) == 1
    for words in ("iql.num_updates (there 4, here 5)", "evaluation.episodes (there 1, here 7)", "--suite", "--out"):
        assert words in output.err
    assert snapshot(tmp_path / "own") == before


def test_methods_and_seeds_of_the_same_experiment_may_join(run, tmp_path):
    assert run(*SMOKE) == 0
    alone = rows(tmp_path / "own")
    oracle = [word if word != "btl" else "oracle" for word in SMOKE]
    assert run(*oracle, "--seed-list", 1, 100) == 0
    found = {(row["method"], row["seed"]) for row in rows(tmp_path / "own")}
    assert found == {("btl", "0"), ("oracle", "1"), ("oracle", "100")}
    assert [row for row in rows(tmp_path / "own") if row["method"] == "btl"] == alone
    record = json.loads((tmp_path / "own" / "maze" / "experiment.json").read_text())
    assert record["seeds"] == [0, 1, 100]
    assert set(record["methods"]) == {"btl", "oracle"}
    assert set(record["identity"]["users"]) == {"0", "1", "100"}


def test_an_edited_population_file_is_another_experiment_even_with_resume(run, tmp_path, capsys):
    """Formerly only the specification was compared: old users' outcomes stood under new names."""
    path = tmp_path / "mine.py"
    path.write_text(POPULATION.format(first=(7, 1)))
    command = (*SMOKE, "--population", f"{path}:Mine")
    assert run(*command) == 0
    assert run(*command, "--resume") == 0
    path.write_text(POPULATION.format(first=(1, 10)))
    for name in [name for name in sys.modules if name.startswith("pluralbench_plugin_")]:
        del sys.modules[name]  # as in a new process
    capsys.readouterr()
    assert run(*command, "--resume") == 2
    assert "experiment: the users of seed 0 differ" in capsys.readouterr().err


class Uneven:
    """A population whose test users are other ones for every seed: fewer, or with a name that no table can hold."""

    def __init__(self, population, change):
        self.name, self.train_users, self._population, self._change = (
            "uneven",
            population.train_users,
            population,
            change,
        )
        self._seeds = 0

    def test_users(self, task, users_per_group, generator):
        self._seeds += 1
        users = self._population.test_users(task, users_per_group, generator)
        return self._change(users) if self._seeds > 1 else users


@pytest.mark.parametrize(
    "change",
    [
        lambda users: users.take(range(1, len(users))),
        lambda users: replace(users, group_names=("a", "b")),
    ],
    ids=["fewer", "others"],
)
def test_seeds_with_other_groups_of_test_users_are_refused_before_any_work(change):
    plan = make_plan(experiment_for("maze", "smoke", {"seeds": (4, 7), "evaluation": {"users_per_group": 8}}))
    identity_before_work(plan)
    with pytest.raises(ExperimentError, match="seed 7 has other groups of test users, or other numbers of them, than"):
        identity_before_work(replace(plan, population=Uneven(plan.population, change)))


def test_a_replaced_dataset_is_another_experiment(run, tmp_path, capsys):
    from pluralbench.benchmarks.commands.cli import main

    path = tmp_path / "maze.hdf5"
    assert main(["data", "generate", "maze", str(path), "--transitions", "2000"]) == 0
    assert run(*SMOKE, "--dataset", path) == 0
    assert main(["data", "generate", "maze", str(path), "--transitions", "2000", "--seed", "1"]) == 0
    capsys.readouterr()
    assert run(*SMOKE, "--dataset", path, "--resume") == 2
    assert "experiment: the data of seed 0 differ" in capsys.readouterr().err


def test_greedy_runs_are_finished_once_and_refused_like_others(run, tmp_path, capsys):
    command = ("habitat-rearrange", "--preset", "smoke", "--suite", "own", "--methods", "oracle", "--set",
               "evaluation.curve_episodes=1")  # fmt: skip
    assert run(*command, "evaluation.episodes=1") == 0
    summary = tmp_path / "own" / "habitat-rearrange" / "oracle" / "seed_0" / "summary.json"
    written = summary.stat().st_mtime_ns
    assert run(*command, "evaluation.episodes=1", "--resume") == 0
    assert summary.stat().st_mtime_ns == written
    capsys.readouterr()
    assert run(*command, "evaluation.episodes=2", "--resume") == 2
    assert "evaluation.episodes" in capsys.readouterr().err


def test_a_folder_that_does_not_say_what_it_holds_is_refused(run, tmp_path, capsys):
    assert run(*SMOKE) == 0
    (tmp_path / "own" / "maze" / "experiment.json").unlink()
    capsys.readouterr()
    assert run(*SMOKE) == 2
    assert "experiment.json" in capsys.readouterr().err


def test_a_reward_model_of_other_settings_or_a_damaged_one_is_fitted_again(run, tmp_path):
    assert run(*SMOKE) == 0
    folder = tmp_path / "own" / "maze" / "reward_models" / "btl" / "seed_0"
    good, record = (folder / "model.safetensors").read_bytes(), json.loads((folder / "training.json").read_text())
    (folder / "model.safetensors").write_bytes(good[:-8] + b"\0" * 8)
    assert run(*SMOKE, "--resume") == 0
    assert (folder / "model.safetensors").read_bytes() == good
    (folder / "training.json").write_text(json.dumps({**record, "digest": "of something else", "seconds": -1}))
    assert run(*SMOKE, "--resume") == 0
    assert json.loads((folder / "training.json").read_text())["digest"] == record["digest"]


def test_every_row_is_divided_by_its_own_episodes(tmp_path):
    """The mean of 0 of 4 and 3 of 5 in one seed and 7 of 7 and 0 of 7 in the other is the mean of four rates."""
    (tmp_path / "success_rates.csv").write_text(
        "environment,population,method,seed,user,group,episodes,successes,success_rate,reached\n"
        "maze,p,btl,0,1,a,4,0,0.0000,0\nmaze,p,btl,0,2,b,5,3,0.6000,3\n"
        "maze,p,btl,1,1,a,7,7,1.0000,7\nmaze,p,btl,1,2,b,7,0,0.0,0\n"
    )
    assert method_rows(tmp_path, "maze")[0].mean.estimate == pytest.approx((0 + 0.6 + 1 + 0) / 4)


def test_clashes_compare_shared_seeds_and_learners_only():
    stored = {"settings": {"iql": {"discount": 0.9}}, "users": {"0": ["a"]}, "learners": {"btl": {"version": 1}}}
    more = {"settings": {"iql": {"discount": 0.9}}, "users": {"1": ["b"]}, "learners": {"vpl": {"version": 2}}}
    assert clashes(stored, more) == []
    assert joined(stored, more)["users"] == {"0": ["a"], "1": ["b"]}
    newer = {**more, "learners": {"btl": {"version": 2}}}
    assert clashes(stored, newer) == ["learners.btl.version"]
    with pytest.raises(ExperimentError, match=r"learners.btl.version.*--suite"):
        check_same(stored, newer, "results/own")


def test_lists_that_differ_are_shown_where_they_are_short():
    before, now = ({"settings": {"iql": {"hidden_sizes": sizes}}} for sizes in ([256, 256], [32]))
    with pytest.raises(
        ExperimentError, match=r"experiment: iql.hidden_sizes \(there \[256, 256\], here \[32\]\); give"
    ):
        check_same(before, now, "results/own")
    with pytest.raises(ExperimentError, match=r"experiment: iql.hidden_sizes; give"):
        check_same({"settings": {"iql": {"hidden_sizes": [256] * 20}}}, now, "results/own")


def test_a_setting_that_came_later_is_left_out_where_it_is_as_it_was_before():
    """Results of before, with their digests, stay results of the same experiment."""
    for stage, name, before in ((stage, *later) for stage, own in LATER.items() for later in own.items()):
        plain, changed = (
            planned_identity(make_plan(experiment_for("maze", "smoke", {"methods": ("oracle",), stage: {name: value}})))
            for value in (before, 0.5 * before)
        )
        assert name not in plain["settings"][stage]
        assert changed["settings"][stage][name] == 0.5 * before
        defaults = {field.name: field.default_factory for field in fields(Experiment)}
        assert getattr(defaults[stage](), name) == before


@pytest.mark.parametrize("learner", ["individual", "vpl"])
def test_so_is_a_learners_setting(learner):
    for name, before in LATER_OF_LEARNERS.items():
        plain, changed = (
            planned_identity(
                make_plan(experiment_for("maze", "smoke", {"methods": (learner,), "learner_settings": {learner: own}}))
            )["learners"][learner]["settings"]
            for own in ({}, {name: before + 0.25})
        )
        assert name not in plain
        assert changed == {**plain, name: before + 0.25}
        assert getattr(learners.get(learner).settings_type(), name) == before


def test_what_spo_pairs_learns_with_is_part_of_the_experiment_where_a_method_has_it(run, tmp_path, capsys):
    """Formerly its settings stood nowhere and could not be chosen."""
    assert run(*SMOKE) == 0
    command = [word if word != "btl" else "btl+spo-pairs" for word in SMOKE]
    chosen = "learner_settings.spo-pairs.num_updates=3"
    assert run(*command, chosen) == 0  # it may join
    own = tmp_path / "own" / "maze"
    settings = json.loads((own / "btl+spo-pairs" / "seed_0" / "config.json").read_text())["experiment"]
    assert set(settings["learner_settings"]) == {"btl", "spo-pairs"}
    assert settings["learner_settings"]["spo-pairs"].items() >= {"num_updates": 3, "num_validations": 2}.items()
    assert set(json.loads((own / "btl" / "seed_0" / "config.json").read_text())["experiment"]["learner_settings"]) == {
        "btl"
    }
    identity = json.loads((own / "experiment.json").read_text())["identity"]
    assert identity["scalings"]["spo-pairs"]["settings"]["num_updates"] == 3
    before = snapshot(own)
    assert run(*command, chosen, "--resume") == 0
    assert snapshot(own) == before
    capsys.readouterr()
    assert run(*command, "learner_settings.spo-pairs.num_updates=4", "--resume") == 2
    assert "scalings.spo-pairs.settings.num_updates (there 3, here 4)" in capsys.readouterr().err
    assert run(*SMOKE, "learner_settings.spo-pairs.num_updates=4", "--resume") == 0  # of nothing that it runs


def test_an_experiment_without_spo_pairs_has_the_identity_and_digests_of_before():
    identity = {
        "environment": {"name": "line"}, "settings": {"iql": {"num_updates": 4}}, "learners": {"vpl": {"version": 1}},
        "policies": {"iql": {}}, "users": {"3": "u"}, "answers": {"3": "a"}, "data": {"7": "d"},
    }  # fmt: skip
    assert run_digest(identity, "vpl", "spo", "iql", "vpl+spo", 3, 7) == "d12e2329a4c4c080"
    more = {**identity, "scalings": {"spo-pairs": {"version": 1}}}
    assert run_digest(more, "vpl", "spo", "iql", "vpl+spo", 3, 7) == "d12e2329a4c4c080"
    digests = {
        run_digest(identity | {"scalings": {"spo-pairs": {"version": version}}}, "vpl", "spo-pairs", *rest)
        for version in (1, 2)
        for rest in [("iql", "vpl+spo-pairs", 3, 7)]
    }
    assert len(digests) == 2
    plans = [make_plan(experiment_for("maze", "smoke", {"methods": (name,)})) for name in ("vpl+spo", "vpl+spo-pairs")]
    without, having = map(planned_identity, plans)
    assert set(without) == {"environment", "settings", "learners", "policies"}
    assert without == {part: having[part] for part in without}
    assert set(having) - set(without) == {"scalings"}


def test_readmes_commands_do_not_write_into_the_presets_folder(run, tmp_path):
    base = ("maze", "--preset", "smoke", "--methods", "oracle", "--set", *QUICKLY)
    assert run(*base) == 0
    assert run(*base, "--teacher", "mistake_rate=0.25") == 0
    assert run(*base, "--population", "two-goals-1-6") == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 3
    assert all(name.startswith("smoke-") for name in names)  # --set is part of every one of them


LEARNER = """
from dataclasses import dataclass

from pluralbench.reward_learning.reward_model import Posterior, RewardModel


@dataclass(frozen=True)
class Settings:
    sharpness: float = 1.0


class Mine(RewardModel):
    name, settings_type, latent_size = "mine", Settings, 0

    def fit(self, preferences, seed, progress=None):
        return []

    def infer(self, context):
        return Posterior.empty(context.num_users, self.device)

    def reward(self, observations, latents):
        return self.settings.sharpness * observations[..., 0] + 0 * latents.sum(-1)
"""
POLICY = """
from pluralbench.benchmarks.stages.iql_policy import IQLPolicy


class Mine(IQLPolicy):
    name = "mine"
"""


def test_the_settings_of_a_learner_from_a_file_go_by_its_own_name(run, tmp_path, capsys):
    path = tmp_path / "learner.py"
    path.write_text(LEARNER)
    command = [word if word != "btl" else f"{path}:Mine" for word in SMOKE]
    assert run(*command, "learner_settings.mine.sharpness=2") == 0
    config = json.loads((tmp_path / "own" / "maze" / "mine" / "seed_0" / "config.json").read_text())
    assert config["experiment"]["learner_settings"] == {"mine": {"sharpness": 2.0}}
    assert run(*command, "learner_settings.mine.sharpnes=2") == 2
    assert "did you mean 'learner_settings.mine.sharpness'" in capsys.readouterr().err


def test_an_edited_policy_file_is_another_experiment(run, tmp_path, capsys):
    path = tmp_path / "policy.py"
    path.write_text(POLICY)
    command = [word if word != "btl" else f"oracle@{path}:Mine" for word in SMOKE]
    assert run(*command) == 0
    assert {row["method"] for row in rows(tmp_path / "own")} == {"oracle@mine"}
    path.write_text(POLICY + "\n\nDISCOUNT = 1\n")
    capsys.readouterr()
    assert run(*command, "--resume") == 2
    assert "experiment: the file of the policy mine has changed; give" in capsys.readouterr().err
