"""Policies of a user's own that lack something, finish nothing or give no actions: one line, exit code 2."""

import pytest

OWN = """
import numpy as np
import torch

from pluralbench.benchmarks.stages.immediate_policies import ImmediatePolicy
from pluralbench.benchmarks.stages.policies import PolicyStage


class Nothing(PolicyStage):
    name = "nothing"


class Lazy(Nothing):
    name = "lazy"

    def train(self, prepared, runs, session, ledger):
        pass


class Still(ImmediatePolicy):
    name = "still"

    def acting(self, environment, run):
        return lambda observations, rows: self.actions(len(rows))

    def actions(self, num):
        return np.zeros((num, 2))


class Wide(Still):
    def actions(self, num):
        return np.zeros((num, 3))


class Single(Still):
    def actions(self, num):
        return np.zeros(2)


class Unknown(Still):
    def actions(self, num):
        return np.full((num, 2), np.nan)


class Learning(Still):
    def actions(self, num):
        return torch.zeros((num, 2), requires_grad=True)


class Words(Still):
    def actions(self, num):
        return [["left", "right"]] * num
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "pol.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Nothing", "pol.py:Nothing is no policy: expected a subclass of pluralbench.benchmarks.stages.policies."),
        ("Lazy", "pol.py, Lazy.train did not finish oracle@lazy seed 0; it hands every run to ledger.finish"),
        ("Wide", "pol.py, Wide: its policy gave actions of shape (4, 3), not one for each observation, (4, 2)"),
        ("Single", "pol.py, Single: its policy gave actions of shape (2,), not one for each observation, (4, 2)"),
        ("Unknown", "pol.py, Unknown: its policy gave actions that are no finite numbers"),
        ("Learning", "which is no array of actions: Can't call numpy() on Tensor that requires grad."),
        ("Words", "pol.py, Words: its policy gave actions that are no finite numbers"),
    ],
)
def test_what_is_wrong_with_a_policy_is_one_line(name, message, own, run, capsys, tmp_path):
    assert run("maze", "--preset", "smoke", "--methods", f"oracle@{own}:{name}") == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    if name == "Nothing":  # before any work
        assert said.endswith("; it lacks train\n")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_pictures", "few_answers")
def test_one_that_is_whole_runs_and_resumes(own, run):
    command = ("maze", "--preset", "smoke", "--methods", f"oracle@{own}:Still")
    assert run(*command) == 0
    assert run(*command, "--resume") == 0
