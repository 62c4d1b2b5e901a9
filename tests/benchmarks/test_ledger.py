"""What is written of a finished run."""

from types import SimpleNamespace

import numpy as np
import pytest

from pluralbench.benchmarks.experiments.methods import Method
from pluralbench.benchmarks.experiments.settings import Experiment
from pluralbench.benchmarks.results import ServedUsers, load_served_users, read_success_rates, seed_folder
from pluralbench.benchmarks.stages import ledger as module
from pluralbench.benchmarks.stages.blame import Blame
from pluralbench.benchmarks.stages.evaluate import Outcome
from pluralbench.benchmarks.stages.ledger import Ledger
from pluralbench.benchmarks.stages.session import Session
from pluralbench.files import read_json
from pluralbench.preference_oracles.preferences import PreferenceDataset

METHOD = Method("vpl", "none", "iql", "vpl")
IDENTITY = {
    "environment": {"name": "line"},
    "learners": {"vpl": {}},
    "policies": {"iql": {}},
    "users": {"3": "u", "4": "of another seed"},
    "answers": {"3": "a", "4": "of another seed"},
    "data": {"7": "d", "8": "of another seed"},
}
NAN = float("nan")
FAULTS = Blame(np.array([1.0, 1.0, 0.0, NAN]), np.array([1.0, 0.5, 0.0, NAN]))
OUTCOME = Outcome(5, np.array([5, 3, 4, 0]), np.array([5, 5, 4, 1]), np.full(4, 9.0))
"""Both of four users."""


def trained(run):
    return SimpleNamespace(run=run, outcome=OUTCOME, metrics=[], curve=[], by_answers=[], seconds=0.0, save=None)


def users_of(ids):
    """Users of two groups with a latent and two answers each."""
    num = len(ids)
    segments, answered = np.zeros((num, 2, 2, 1, 3), np.float32), np.ones((num, 2), bool)
    columns = segments, answered.astype(np.float32), answered, ids, ("a", "b"), ids % 2, np.zeros((num, 1))
    return ServedUsers(np.arange(num, dtype=np.float32)[:, None], PreferenceDataset(*columns))


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A ledger that has written one run, that run, and its summary."""
    monkeypatch.setattr(module, "blame", lambda prepared, run: FAULTS)
    plan = SimpleNamespace(
        environment=SimpleNamespace(name="line"),
        population=SimpleNamespace(name="p"),
        task=SimpleNamespace(goal_name=lambda goal: f"at {goal[0]:g}"),
        methods=(METHOD, Method("btl", "none", "iql", "btl")),
        experiment=Experiment("line", "p", ("vpl", "btl"), (3, 4), 10),
        settings_of=lambda learner: {},
        device="cpu",
    )
    users = SimpleNamespace(ids=np.arange(4), group_index=np.array([0, 0, 1, 1]), group_names=("a", "b"))
    run = SimpleNamespace(
        method=METHOD,
        seed=3,
        goals=np.arange(4.0)[:, None],
        served_users=users_of(np.arange(4)),
        fitted=SimpleNamespace(
            model=SimpleNamespace(name="vpl"), draws=SimpleNamespace(acting_users=users), training=[], seconds=0.0,
            diagnostics=None,
        ),
    )  # fmt: skip
    ledger = Ledger(SimpleNamespace(plan=plan, data_seed=7), IDENTITY, Session(tmp_path, resume=True), first_seed=0)
    ledger.finish(trained(run))
    return ledger, run, read_json(seed_folder(tmp_path, "line", "vpl", 3) / "summary.json")


def test_success_and_what_was_reached_are_written_for_every_user(finished, tmp_path):
    rates = read_success_rates(tmp_path)
    assert [(rate.user, rate.group, rate.successes, rate.reached) for rate in rates] == [
        (0, "a", 5, 5), (1, "a", 3, 5), (2, "b", 4, 4), (3, "b", 0, 1),
    ]  # fmt: skip
    summary = finished[2]
    assert summary["success_rate"] == pytest.approx(0.6)
    assert summary["reached_rate"] == pytest.approx(0.75)
    assert [user["reached_rate"] for user in summary["users"]] == [1.0, 1.0, 0.8, 0.2]


def test_blame_is_written_for_every_user_and_over_those_it_is_known_of(finished):
    summary = finished[2]
    columns = {
        name: [user[name] for user in summary["users"]] for name in ("reward_right", "policy_right", "planned_success")
    }
    assert columns["reward_right"] == [True, True, False, None]
    assert isinstance(columns["reward_right"][0], bool)
    assert columns["policy_right"] == [1.0, 0.6, None, None]
    assert columns["planned_success"] == [1.0, 0.5, 0.0, None]
    assert summary["reward_right"] == pytest.approx(2 / 3)
    assert summary["policy_right"] == pytest.approx(0.8)
    assert summary["planned_success"] == pytest.approx(0.5)


def test_nothing_known_is_null(finished, monkeypatch):
    ledger, run, _ = finished
    nothing = np.full(4, NAN)
    monkeypatch.setattr(module, "blame", lambda prepared, run: Blame(nothing, nothing))
    ledger.finish(trained(run))
    summary = read_json(seed_folder(ledger.session.folder, "line", "vpl", 3) / "summary.json")
    found = [summary, *summary["users"]]
    assert {part[name] for part in found for name in ("reward_right", "policy_right", "planned_success")} == {None}


def test_a_config_names_its_own_seeds_users_answers_and_data_alone(finished, tmp_path):
    config = read_json(seed_folder(tmp_path, "line", "vpl", 3) / "config.json")
    assert {part: config["identity"][part] for part in ("users", "answers", "data")} == {
        "users": {"3": "u"}, "answers": {"3": "a"}, "data": {"7": "d"},
    }  # fmt: skip
    assert config["experiment"]["methods"] == ["vpl"]


def test_a_run_on_the_same_data_is_finished_and_on_others_is_not(finished):
    ledger, run, _ = finished
    assert ledger.is_finished(run)
    other = SimpleNamespace(plan=ledger.prepared.plan, data_seed=8)
    assert not Ledger(other, IDENTITY, ledger.session, first_seed=0).is_finished(run)


def test_the_users_of_a_run_lie_beside_it_and_a_run_of_before_is_finished_without_them(finished, tmp_path):
    ledger, run, _ = finished
    path = seed_folder(tmp_path, "line", "vpl", 3) / "users.npz"
    np.testing.assert_array_equal(load_served_users(path).latent_of(2), [2.0])
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert not ledger.is_finished(run)
    path.unlink()
    assert ledger.is_finished(run)
