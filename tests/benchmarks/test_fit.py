"""One learner's reward model in the pipeline: fitted, or read again, and what is said of it."""

import pytest

from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.reporter import Reporter
from pluralbench.benchmarks.stages.fit import fit_learner
from pluralbench.benchmarks.stages.record import begin
from pluralbench.benchmarks.stages.session import Session
from pluralbench.reward_learning.oracle import Oracle


@pytest.fixture
def fit(tmp_path, data_dir):
    """Fits a learner in the smoke maze."""

    def call(learner, resume=False, **changes):
        own = Session(tmp_path, resume, data_dir, Reporter())
        plan = make_plan(experiment_for("maze", "smoke", {"methods": (learner,), **changes}))
        [(prepared, [draws])], identity = begin(plan, own)
        return fit_learner(prepared, draws, learner, identity, own)

    return call


def test_a_learner_meets_the_users_once_before_fit_or_after_load(fit, monkeypatch):
    calls = []

    def watch(name):
        whole = getattr(Oracle, name)
        monkeypatch.setattr(Oracle, name, lambda *given, **named: calls.append(name) or whole(*given, **named))

    for name in ("meet", "fit", "restore", "posterior_for_policy"):
        watch(name)
    fit("oracle")
    assert calls == ["meet", "fit", "posterior_for_policy"]
    calls.clear()
    fit("oracle", resume=True)
    assert calls == ["restore", "meet", "posterior_for_policy"]


def test_a_kept_model_is_said_to_be_kept(fit, capsys):
    """Formerly its line was that of a fitted one."""
    fit("oracle")
    assert "seed 0: reward model oracle: " in capsys.readouterr().out
    fit("oracle", resume=True)
    assert "seed 0: reward model oracle is kept: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("learner", "num_comparisons", "fraction", "is_told"),
    [
        ("vpl", 1, 0.1, True),
        ("vpl", 2, 0.1, False),
        ("vpl", 1, 0.0, False),  # nobody was kept apart, as asked for
        ("btl", 1, 0.1, False),  # predicts every answer
        ("individual", 1, 0.1, False),
        ("oracle", 1, 0.1, False),
    ],
)
def test_it_is_told_where_no_answer_is_left_to_choose_a_checkpoint_by(
    learner, num_comparisons, fraction, is_told, fit, capsys
):
    own = {"num_updates": 2, "num_validations": 1, "validation_fraction": fraction} if learner in ("vpl", "btl") else {}
    changes = {"preferences": {"num_comparisons": num_comparisons}, "learner_settings": {learner: own}}
    fit(learner, **changes)
    told = "  the last checkpoint is kept: train users kept apart left no answer to choose one by"
    assert (told in capsys.readouterr().out.splitlines()) == is_told
    if is_told:
        fit(learner, resume=True, **changes)
        assert told in capsys.readouterr().out.splitlines()
