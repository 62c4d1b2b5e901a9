"""Small experiments that several tests share."""

import pytest

from pluralbench.benchmarks.commands import benchmark
from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.stages import immediate_policies, iql_policy
from pluralbench.benchmarks.stages.ledger import Ledger


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where the datasets of all tests of this process are kept."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def no_rollouts():
    """Draws no rollouts in a whole file of tests: they take longer than a small experiment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "_is_shown", lambda *_: False)
        yield


@pytest.fixture
def no_pictures(monkeypatch):
    """Draws neither rollouts nor figures in one test."""
    monkeypatch.setattr(Ledger, "_is_shown", lambda *_: False)
    monkeypatch.setattr(benchmark, "draw_all", lambda *_: [])


@pytest.fixture(scope="module")
def few_answers():
    """Evaluates personal methods at two other numbers of answers only, in a whole file of tests."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (iql_policy, immediate_policies):
            patch.setattr(module, "NUM_ANSWERS", (2, 4))
        yield


@pytest.fixture
def run(data_dir, tmp_path):
    """Runs the command line with `--out tmp_path` and gives its exit code."""

    def call(*arguments, out=tmp_path):
        return main([*map(str, arguments), "--out", str(out), "--data-dir", str(data_dir)])

    return call
