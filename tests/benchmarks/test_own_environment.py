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


def test_the_page_names_every_field_of_an_environment():
    text = PAGE.read_text()
    optional = {field.name for field in fields(Environment)} - {"name", "gym_id", "make_task"}
    assert {name for name in optional if f"`{name}`" not in text} == set()
