"""Code of the user's own that fails or gives what it should not: one line with file, class and reason, exit code 2."""

import pytest

from pluralbench.benchmarks.commands.cli import main

OWN = """
import sys

import numpy as np
import torch

from pluralbench.preference_oracles import Group, GroupPopulation, Teacher, Users
from pluralbench.preference_oracles.teachers import Answers
from pluralbench.reward_learning.reward_model import Posterior, RewardModel

MINE = GroupPopulation("mine", "two corners", (Group((1, 1), 0.5), Group((1, 10), 0.5)))


class Raises:
    name, description = "own", ""

    def train_users(self, task, num_users, generator):
        raise ZeroDivisionError("of its\\nown")

    def test_users(self, task, users_per_group, generator):
        return MINE.test_users(task, users_per_group, generator)


class Ends(Raises):
    def train_users(self, task, num_users, generator):
        sys.exit(0)


class Lists(Raises):
    def train_users(self, task, num_users, generator):
        return [1, 2]


class Fewer(Raises):
    def train_users(self, task, num_users, generator):
        return MINE.train_users(task, num_users, generator).take([0])


def users(goals, name="all"):
    goals = np.asarray(goals, dtype=np.float64)
    return Users(np.arange(len(goals)), (name,), np.zeros(len(goals), np.int64), goals, Teacher())


class Flat(Raises):
    def train_users(self, task, num_users, generator):
        return users(np.zeros((num_users, 7)))


class NoNumbers(Raises):
    def train_users(self, task, num_users, generator):
        return users(np.full((num_users, task.goal_size), np.nan))


class InTheWall(Raises):
    def train_users(self, task, num_users, generator):
        return users(np.tile((0.0, 0.0, 1.0), (num_users, 1)))


class TwoLines(Raises):
    def train_users(self, task, num_users, generator):
        return users(np.tile((1.0, 1.0, 1.0), (num_users, 1)), "a\\nb")


class Refuses(Teacher):
    def answer(self, utilities_a, utilities_b, generator, thresholds=None):
        raise ValueError("I [/x] do not know")


class Unsure(Teacher):
    def answer(self, utilities_a, utilities_b, generator, thresholds=None):
        found = super().answer(utilities_a, utilities_b, generator, thresholds)
        return Answers(np.full_like(found.labels, np.nan), found.mask, found.flipped)


class Once(Teacher):
    def answer(self, utilities_a, utilities_b, generator, thresholds=None):
        found = super().answer(utilities_a, utilities_b, generator, thresholds)
        return Answers(found.labels[:, :1], found.mask, found.flipped)


class Silent(Teacher):
    def answer(self, utilities_a, utilities_b, generator, thresholds=None):
        return None


class Fails(RewardModel):
    name = "own"

    def fit(self, preferences, seed, progress=None):
        raise KeyError("nothing here")

    def infer(self, context):
        return Posterior.empty(context.num_users)

    def reward(self, observations, latents):
        return observations[..., 0].expand(torch.broadcast_shapes(observations.shape[:-1], latents.shape[:-1]))


class Nothing(Fails):
    def fit(self, preferences, seed, progress=None):
        return None


class Words(Fails):
    def fit(self, preferences, seed, progress=None):
        return [{"loss": "small"}]


class Fitted(Fails):
    def fit(self, preferences, seed, progress=None):
        return []


class Single(Fitted):
    def infer(self, context):
        return Posterior.empty(1)


class Tensors(Fitted):
    def infer(self, context):
        return torch.zeros(context.num_users, 0)


class Column(Fitted):
    def reward(self, observations, latents):
        return observations


class Infinite(Fitted):
    def reward(self, observations, latents):
        return super().reward(observations, latents) / 0


class Half(RewardModel):
    name = "half"


class Plain:
    name = "plain"


class Dictionary(Fitted):
    settings_type = dict


class Alone(Fitted):
    def __init__(self, other):
        pass
"""

POLICY = """
from pluralbench.benchmarks.stages.policies import PolicyStage


class Mine(PolicyStage):
    name = 'mine'

    def train(self, prepared, runs, session, ledger):
        pass
"""


def line_of(text):
    """The number of the line that holds this."""
    return next(number for number, line in enumerate(OWN.splitlines(), start=1) if text in line)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "own.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("population", "Raises", f"line {line_of('of its')}, in Raises.train_users: ZeroDivisionError: of its own"),
        ("population", "Ends", f"line {line_of('sys.exit')}, in Ends.train_users: it ends the program (SystemExit: 0)"),
        ("population", "Lists", "Lists.train_users gave a list, not pluralbench.preference_oracles.Users"),
        ("population", "Fewer", "Fewer.train_users gave 1 users, not 2"),
        ("population", "Flat", "Flat.train_users gave goals of shape (2, 7); maze has goals of 3 numbers"),
        ("population", "NoNumbers", "NoNumbers.train_users gave goals that are no numbers"),
        ("population", "InTheWall", "'own' does not suit environment 'maze'"),
        ("population", "TwoLines", r"TwoLines.train_users gave a group called 'a\nb'; a name is one line of text"),
        ("teacher", "Refuses", "in Refuses.answer: ValueError: I [/x] do not know"),
        ("teacher", "Unsure", "own.py, Unsure.answer gave labels that are not 0, 0.5 or 1"),
        ("teacher", "Once", "own.py, Once.answer gave labels of shape (64, 1), not one for each pair, (64, 16)"),
        ("teacher", "Silent", "own.py, Silent.answer gave a NoneType"),
        ("methods", "Fails", f"line {line_of('nothing here')}, in Fails.fit: KeyError: 'nothing here'"),
        ("methods", "Nothing", "own.py, Nothing.fit gave a NoneType, not a list of rows of metrics"),
        ("methods", "Words", "own.py, Words.fit gave a row that is not numbers by name"),
        ("methods", "Single", "own.py, Single.infer gave the latents of 1 users, not of 16"),
        ("methods", "Tensors", "own.py, Tensors.infer gave a Tensor, not a Posterior"),
        ("methods", "Column", "own.py, Column.reward gave (1, 2, 4) for observations (1, 2, 4)"),
        ("methods", "Infinite", "own.py, Infinite.reward gave rewards that are no finite numbers"),
        ("methods", "Half", "Half lacks fit, infer, reward"),
        ("methods", "Plain", "Plain is no learner: expected a subclass of RewardModel, got the class Plain"),
        ("methods", "Dictionary", "Dictionary.settings_type must be a dataclass, is <class 'dict'>"),
        ("methods", "Alone", "Alone.__init__ takes (settings, device, task): too many positional arguments"),
    ],
)
def test_what_fails_is_named(option, name, message, own, run, capsys):
    assert run("maze", "--preset", "smoke", "--methods", "btl", f"--{option}", f"{own}:{name}") == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_what_would_be_mixed_up_with_the_suites_own_is_refused(own, run, tmp_path, capsys):
    path = tmp_path / "named.py"
    path.write_text(own.read_text() + "\nFitted.name = 'btl'\nMINE = GroupPopulation('two-goals', '', MINE.groups)\n")
    assert run("maze", "--preset", "smoke", "--methods", f"{path}:Fitted") == 2
    assert f"the learner {path}:Fitted is called btl as one of the suite's own" in capsys.readouterr().err
    assert run("maze", "--preset", "smoke", "--methods", "btl", "--population", f"{path}:MINE") == 2
    assert f"the population {path}:MINE is called two-goals as one of the suite's own" in capsys.readouterr().err
    path = tmp_path / "policy.py"
    path.write_text(POLICY.replace("'mine'", "'greedy'"))
    assert run("maze", "--preset", "smoke", "--methods", f"btl@{path}:Mine", "btl") == 2
    assert f"the policy {path}:Mine is called greedy as one of the suite's own" in capsys.readouterr().err


def test_a_policy_of_another_kind_says_what_it_lacks(own, run, capsys):
    assert run("maze", "--preset", "smoke", "--methods", f"btl@{own}:Half") == 2
    assert "it lacks check, train, serves_groups, spans_latents" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("maze", "--population", "FILE"), "MINE, Raises, Ends, Lists, Fewer, Flat, NoNumbers, InTheWall, TwoLines"),
        (("maze", "--teacher", "FILE"), "Refuses, Unsure, Once, Silent"),
        (("maze", "--methods", "FILE"), "Fails, Nothing, Words, Fitted, Single, Tensors, Column, Infinite"),
        (("maze", "--methods", "FILE+spo@iql"), "Fails, Nothing"),
        (("run", "FILE"), "no environment, only MINE"),
    ],
)
def test_a_file_without_a_name_is_answered_with_the_names_in_it(arguments, names, own, capsys):
    assert main([argument.replace("FILE", str(own)) for argument in arguments]) == 2
    assert f"{own} is a file: write {own}:NAME; it has {names}" in capsys.readouterr().err


def test_the_traceback_shows_where_it_came_from(own, run, capsys, monkeypatch):
    monkeypatch.setenv("PLURALBENCH_TRACEBACK", "1")
    assert run("maze", "--preset", "smoke", "--population", f"{own}:Raises") == 2
    assert "make_plan" in capsys.readouterr().err
