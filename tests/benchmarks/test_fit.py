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
