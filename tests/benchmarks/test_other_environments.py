"""The smoke benchmark of every other environment, whole, and the experiment over numbers of users."""

import csv
import json

import pytest

from pluralbench.benchmarks.cli import main
from pluralbench.benchmarks.pipeline import run_experiment
from pluralbench.benchmarks.progress import Reporter
from pluralbench.benchmarks.suites import experiment_for


def _rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("environment", "figures"),
    [
        ("habitat-rearrange", ("success", "answers", "reward-maps", "latents", "episodes")),
        pytest.param("habitat-tidy", ("success", "answers", "reward-maps", "episodes"), marks=pytest.mark.slow),
        pytest.param("ravens", ("success", "curves", "reward-maps", "episodes"), marks=pytest.mark.slow),
    ],
)
def test_the_smoke_benchmark_runs_and_draws(environment, figures, tmp_path):
    arguments = [environment, "--preset", "smoke", "--out", str(tmp_path / "results"), "--data-dir", str(tmp_path)]
    assert main(arguments) == 0
    suite = tmp_path / "results" / "smoke"
    assert {row["environment"] for row in _rows(suite / "success_rates.csv")} == {environment}
    for figure in figures:
        assert 2_000 < (suite / f"{environment}-{figure}.png").stat().st_size < 300_000
    assert (suite / f"{environment}-episodes.gif").stat().st_size > 2_000
    if environment != "ravens":  # the true utility, one greedy step: physics alone can fail it
        assert all(
            float(row["success_rate"]) > 0.9 for row in _rows(suite / "success_rates.csv") if row["method"] == "oracle"
        )


def test_tidy_reports_agreed_and_disputed_objects_apart(tmp_path):
    from dataclasses import replace

    experiment = replace(experiment_for("habitat-tidy", "smoke"), methods=("oracle",))
    suite = run_experiment(experiment, tmp_path, data_dir=tmp_path, reporter=Reporter(quiet=True))
    summary = json.loads((suite / "habitat-tidy" / "oracle" / "seed_0" / "summary.json").read_text())
    for user in summary["users"]:
        assert user["num_agreed"] + user["num_disputed"] == 4
        assert user["share_right"] == pytest.approx((user["right_agreed"] + user["right_disputed"]) / 4)


def test_discrete_iql_is_the_alternative_to_the_greedy_step(tmp_path):
    arguments = ["habitat-rearrange", "--preset", "smoke", "--policy", "iql", "--methods", "oracle"]
    assert main([*arguments, "--out", str(tmp_path / "results"), "--data-dir", str(tmp_path)]) == 0
    assert _rows(tmp_path / "results" / "smoke-iql" / "success_rates.csv")


def test_a_maze_does_not_foresee_its_outcomes(tmp_path, capsys):
    arguments = [
        "maze",
        "--preset",
        "smoke",
        "--policy",
        "greedy",
        "--methods",
        "oracle",
        "--out",
        str(tmp_path / "results"),
    ]
    assert main([*arguments, "--data-dir", str(tmp_path)]) == 2
    assert "--policy iql" in capsys.readouterr().err
