"""Things of the user's own: by file and name, with what the file has where the name is missing, and where it fails."""

import sys
from importlib.metadata import EntryPoint

import pytest

from pluralbench import registry as registry_module
from pluralbench.plugins import PluginError, fault, load_entry_point, name_of, run_file
from pluralbench.preference_oracles.populations import get_population, populations
from pluralbench.preference_oracles.teachers import get_teacher, teachers
from pluralbench.registry import Registry, UnknownNameError
from pluralbench.reward_learning.learners import learners

OWN = """
import numpy as np
from pluralbench.envs import Environment
from pluralbench.preference_oracles import Group, GroupPopulation, Teacher
from pluralbench.reward_learning.reward_model import RewardModel

MINE = GroupPopulation("mine", "two corners", (Group((1, 1), 0.5), Group((1, 10), 0.5)))
HASTY = Teacher(mistake_rate=0.3)
PLACE = Environment("mine", "mine-v0", lambda: None)
NUMBER = 3


class Early:
    name, description = "early", ""

    def train_users(self, task, num_users, generator):
        return 1 / 0

    def test_users(self, task, users_per_group, generator):
        return MINE.test_users(task, users_per_group, generator)


class Mine(RewardModel):
    name = "mine"

    def fit(self, preferences, seed, progress=None):
        return []

    def infer(self, context):
        raise KeyError("nobody\\nthere")

    def reward(self, observations, latents):
        return observations[..., 0]


class Half(RewardModel):
    name = "half"


def with_arguments(number):
    return MINE


def broken():
    raise TypeError("of its own")
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(
    ("registry", "names"), [(populations, "MINE, Early, broken"), (teachers, "HASTY, broken"), (learners, "Mine")]
)
def test_a_file_without_a_name_says_what_of_this_kind_it_has(registry, names, own):
    for specification in (str(own), f"{own}:Missing"):
        with pytest.raises(UnknownNameError, match=f"; it has {names}$"):
            registry.get(specification)


def test_a_file_without_anything_of_this_kind_says_what_it_has(own):
    with pytest.raises(UnknownNameError, match="it has no sweep, only MINE, HASTY, PLACE, NUMBER, Early"):
        Registry("sweep", "none", lambda thing: exec("raise TypeError")).get(str(own))
    with pytest.raises(UnknownNameError, match=r"no file .*nowhere\.py; a sweep in a file is written FILE\.py:NAME"):
        Registry("sweep", "none").get(str(own.with_name("nowhere.py")))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys\nsys.exit(0)", r"line 2: it ends the program \(SystemExit: 0\)"),
        ("raise RuntimeError('why')", "line 1: RuntimeError: why"),
        ("x = (", r"SyntaxError: .*line 1"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_a_file_that_cannot_be_run_is_named_with_the_line(source, message, tmp_path):
    path = tmp_path / "fails.py"
    path.write_text(source)
    with pytest.raises(PluginError, match=rf"fails\.py cannot be imported: .*{message}"):
        get_population(f"{path}:X")
    assert not [name for name in sys.modules if name.startswith("pluralbench_plugin_fails")]


def test_a_package_that_cannot_be_imported_is_named(monkeypatch):
    point = EntryPoint("theirs", "no_such_package.populations:THEIRS", "pluralbench.populations")
    with pytest.raises(PluginError, match=r"theirs, offered as no_such_package\.populations:THEIRS, cannot be"):
        load_entry_point(point)
    monkeypatch.setattr(registry_module, "entry_points", lambda **_: [point])
    with pytest.raises(PluginError, match="theirs"):
        populations.get("theirs")


def raised_by(work):
    """What a piece of work raises."""
    with pytest.raises(BaseException) as raised:  # noqa: PT011 (whatever it is)
        work()
    return raised.value


def test_the_place_of_a_fault_is_that_in_the_users_own_code(own):
    early, model = get_population(f"{own}:Early"), learners.get(f"{own}:Mine")()
    line = OWN.splitlines().index("        return 1 / 0") + 1
    error = raised_by(lambda: early.train_users(None, 3, None))
    assert fault(error) == f"{own}, line {line}, in Early.train_users: ZeroDivisionError: division by zero"
    assert "in Mine.infer: KeyError" in fault(raised_by(lambda: model.infer(None)))
    assert fault(raised_by(lambda: {}["ours"])) is None


def test_who_needs_arguments_is_told_apart_from_who_fails(own):
    with pytest.raises(PluginError, match="cannot be made without arguments"):
        get_population(f"{own}:with_arguments")
    with pytest.raises(TypeError, match="of its own"):
        get_teacher(f"{own}:broken")


def test_a_learner_that_lacks_methods_is_refused_with_their_names(own):
    with pytest.raises(UnknownNameError, match="Half lacks fit, infer, reward"):
        learners.get(f"{own}:Half")


def test_a_path_with_an_equals_sign_is_a_file(tmp_path):
    path = tmp_path / "a=b" / "own.py"
    path.parent.mkdir()
    path.write_text(OWN)
    assert get_teacher(f"{path}:HASTY").mistake_rate == 0.3


def test_classes_are_named_with_their_files(own):
    assert name_of(run_file(own).Early) == f"{own}, Early"
    assert name_of(Registry) == "Registry"
