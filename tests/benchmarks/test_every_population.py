"""The maze benchmark with every population that the maze can express: each group's success apart, the worst named."""

import csv

import pytest

from pluralbench.benchmarks.commands.cli import main
from pluralbench.envs import environments
from pluralbench.preference_oracles.populations import get_population, populations
from pluralbench.preference_oracles.users import PopulationError

MAZE = environments.get("maze").make_task()


def _fits(name):
    import numpy as np

    try:
        get_population(name).train_users(MAZE, 2, np.random.default_rng(0))
    except PopulationError:
        return False
    return True


FITTING = [name for name in populations if _fits(name)]


def test_the_maze_expresses_the_papers_populations_and_refuses_the_households():
    assert {"two-goals", "two-goals-1-10", "ten-goals", "conflicting-pairs", "continuous-goals"} <= set(FITTING)
    assert "five-rankings" not in FITTING


@pytest.mark.slow
@pytest.mark.parametrize("name", FITTING)
def test_the_maze_benchmark_runs_with_the_population(name, tmp_path, capsys, tmp_path_factory):
    arguments = ["maze", "--preset", "smoke", "--population", name, "--methods", "btl", "vpl+spo"]
    data = tmp_path_factory.getbasetemp() / "maze-data"
    assert main([*arguments, "--out", str(tmp_path), "--data-dir", str(data), "--suite", "own"]) == 0
    with (tmp_path / "own" / "success_rates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["population"] for row in rows} == {get_population(name).name}
    groups = {row["group"] for row in rows}
    output = capsys.readouterr().out
    assert "maze: success rate of test users" in output
    assert any(group[:10] in output for group in groups)
    assert (tmp_path / "own" / "maze-success.pdf").exists()
