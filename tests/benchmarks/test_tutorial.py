"""The README's tutorial, run as it stands there but smaller."""

import csv
import re
from pathlib import Path

import pytest

from pluralbench.benchmarks.commands.cli import main

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.usefixtures("no_rollouts", "few_answers")
def test_the_readmes_population_runs_through_the_whole_benchmark_by_its_path(tmp_path, monkeypatch, capsys):
    section = README.read_text().partition("<!-- tutorial")[2]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL).group(1)
    command = re.search(r"```sh\npluralbench (.*?)\n```", section, re.DOTALL).group(1)
    assert len(code.strip().splitlines()) <= 15
    (tmp_path / "corners.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    smaller = {
        "preset quick": "preset smoke",
        "num_users=100000": "num_users=64",
        "num_updates=10000": "num_updates=20",
    }
    for text, other in smaller.items():
        assert text in command
        command = command.replace(text, other)
    assert main([*command.replace("\\\n", "").split(), "--out", "results", "--data-dir", "data"]) == 0
    with (tmp_path / "results" / "corners" / "success_rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["population"] for row in rows} == {"corners"}
    assert {row["group"] for row in rows} == {"(1, 10)", "(7, 1)", "(7, 10)"}
    assert {row["method"] for row in rows} == {"oracle", "btl", "vpl+spo-log"}
    assert "maze: success rate of test users" in capsys.readouterr().out
