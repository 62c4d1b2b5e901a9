"""The smoke benchmark of every other environment, whole, and the experiment over numbers of users."""

import csv
import json

import pytest

pytestmark = pytest.mark.usefixtures("few_answers")


def _rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("environment", "figures", "methods"),
    [
        (
            "habitat-rearrange",
            ("success", "answers", "reward-maps", "latents", "rollouts"),
            ("--methods", "tour", "oracle", "vpl+spo"),
        ),
        pytest.param("habitat-tidy", ("success", "answers", "reward-maps", "rollouts"), (), marks=pytest.mark.slow),
        pytest.param("ravens", ("success", "curves", "reward-maps", "rollouts"), (), marks=pytest.mark.slow),
    ],
)
def test_the_smoke_benchmark_runs_and_draws(environment, figures, methods, run, tmp_path):
    assert run(environment, "--preset", "smoke", *methods) == 0
    suite = tmp_path / "smoke"
    assert {row["environment"] for row in _rows(suite / "success_rates.csv")} == {environment}
    for figure in figures:
        assert 2_000 < (suite / f"{environment}-{figure}.png").stat().st_size < 300_000
    assert (suite / f"{environment}-rollouts.gif").stat().st_size > 2_000
    if environment != "ravens":  # the true utility, one greedy step: physics alone can fail it
        assert all(
            float(row["success_rate"]) > 0.9 for row in _rows(suite / "success_rates.csv") if row["method"] == "oracle"
        )


@pytest.mark.usefixtures("no_pictures")
def test_tidy_reports_agreed_and_disputed_objects_apart(run, tmp_path):
    assert run("habitat-tidy", "--preset", "smoke", "--methods", "oracle") == 0
    summary = json.loads((tmp_path / "smoke" / "habitat-tidy" / "oracle" / "seed_0" / "summary.json").read_text())
    for user in summary["users"]:
        assert user["num_agreed"] + user["num_disputed"] == 4
        assert user["share_right"] == pytest.approx((user["right_agreed"] + user["right_disputed"]) / 4)


@pytest.mark.usefixtures("no_pictures")
def test_discrete_iql_is_the_alternative_to_the_greedy_step(run, tmp_path):
    assert run("habitat-rearrange", "--preset", "smoke", "--policy", "iql", "--methods", "oracle") == 0
    assert _rows(tmp_path / "smoke-iql" / "success_rates.csv")


def test_a_maze_has_no_one_step_outcome_model(run, capsys):
    assert run("maze", "--preset", "smoke", "--policy", "greedy", "--methods", "oracle") == 2
    assert "--policy iql" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_four_zones_are_an_environment_like_any_other(run, tmp_path):
    """Formerly it stood in `list` and ended in "invalid choice"."""
    assert run("run", "ravens-four-zones", "--preset", "smoke", "--methods", "oracle", "--set", "evaluation.episodes=1",
               "evaluation.curve_episodes=1") == 0  # fmt: skip
    (suite,) = tmp_path.iterdir()
    assert len({row["group"] for row in _rows(suite / "success_rates.csv")}) == 4
