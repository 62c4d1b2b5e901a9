"""docs/environment.md, run as it stands there: an environment from outside, to its success figure."""

import csv
import re
from dataclasses import fields
from pathlib import Path

import pytest

from pluralbench.envs import Environment

PAGE = Path(__file__).parents[2] / "docs" / "environment.md"


@pytest.mark.usefixtures("few_answers")
def test_the_pages_environment_runs_through_the_whole_benchmark_by_its_path(run, tmp_path, monkeypatch, capsys):
    """Formerly the command line knew four environments, and the fallback gave every copy the whole array of goals."""
    text = PAGE.read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1)
    command = re.search(r"```sh\npluralbench (.*?)\n```", text, re.DOTALL).group(1)
    assert len(code.strip().splitlines()) <= 60
    (tmp_path / "table.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert run(*command.replace("--preset quick", "--preset smoke").split(), out=tmp_path / "results") == 0
    suite = tmp_path / "results" / "smoke"
    with (suite / "success_rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["environment"] for row in rows} == {"table"}
    assert {row["group"] for row in rows} == {"(0.1, 0.1)", "(0.9, 0.1)", "(0.1, 0.9)", "(0.9, 0.9)"}
    assert "table: success rate of test users" in capsys.readouterr().out
    for figure in ("success", "curves", "reward-maps"):
        assert (suite / f"table-{figure}.png").stat().st_size > 2_000


def test_the_pages_pictures_have_x_to_the_right_and_y_up(monkeypatch):
    monkeypatch.setattr("gymnasium.register", lambda *_, **__: None)
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1), names)
    places = names["grid"]().observations.reshape(20, 20, 2)  # the first row is drawn at the top
    corners = [tuple(places[corner]) for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1))]
    assert corners == [(0, 1), (1, 1), (0, 0), (1, 0)]


@pytest.mark.usefixtures("few_answers", "no_pictures")
def test_the_pages_policy_serves_everybody_by_the_true_reward(run, tmp_path, monkeypatch):
    text = (PAGE.parent / "policies.md").read_text()
    code = re.search(r"`ranked\.py`:\n\n```python\n(.*?)```", text, re.DOTALL).group(1)
    assert len(code.strip().splitlines()) <= 25
    (tmp_path / "ranked.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    command = ("maze", "--preset", "smoke", "--methods", "oracle@ranked.py:Ranked")
    assert run(*command, out=tmp_path / "results") == 0
    with (tmp_path / "results" / "smoke" / "success_rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["method"], row["success_rate"]) for row in rows} == {("oracle@ranked", "1.0000")}
    assert run("ravens", *command[1:], out=tmp_path / "results") == 2  # where it does not suit, before any work


def test_the_page_names_every_field_of_an_environment():
    text = PAGE.read_text()
    optional = {field.name for field in fields(Environment)} - {"name", "gym_id", "make_task"}
    assert {name for name in optional if f"`{name}`" not in text} == set()


BROKEN = """
from dataclasses import replace


class Bare(Table):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed, options=options)[0]


class Failing(Table):
    def step(self, action):
        raise ZeroDivisionError("of its own")


class Many(TableTask):
    def utility(self, observations, goals):
        return 2 + super().utility(observations, goals)


gym.register("Bare-v0", entry_point=Bare, max_episode_steps=50)
gym.register("Failing-v0", entry_point=Failing, max_episode_steps=50)
BARE, FAILING = replace(TABLE, gym_id="Bare-v0"), replace(TABLE, gym_id="Failing-v0")
MANY = replace(TABLE, make_task=Many)
MAZE = replace(TABLE, name="maze")
TYPO = replace(TABLE, presets={"quik": QUICK})
SETTING_TYPO = replace(TABLE, presets={"smoke": {"iql": {"num_update": 1}}})
VARIANT_TYPO = replace(TABLE, variants={"named-goals": {"quik": QUICK}})
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """The page's environment, and others made of it that are none."""
    path = tmp_path_factory.mktemp("broken") / "broken.py"
    path.write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1) + BROKEN)
    return path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BARE", "table: reset gives (observation, info), info a dict; it gave array("),
        ("FAILING", "in Failing.step: ZeroDivisionError: of its own"),
        ("MANY", "table: utilities lie between 0 and 1, utility gave 2."),
        ("MAZE", "MAZE is called maze as one of the suite's own; give it another name"),
        ("TYPO", "table has settings for a preset: unknown preset 'quik'; did you mean 'quick'?"),
        (
            "SETTING_TYPO",
            "SETTING_TYPO, its preset 'smoke': unknown setting 'iql.num_update'; did you mean 'iql.num_upd",
        ),
        ("VARIANT_TYPO", "unknown preset 'quik'; did you mean 'quick'?"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*Overriding environment")
def test_a_broken_environment_is_refused_in_one_line_before_any_work(name, message, broken, run, tmp_path, capsys):
    assert run("run", f"{broken}:{name}", "--preset", "smoke", out=tmp_path / "results") == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not (tmp_path / "results").exists()
