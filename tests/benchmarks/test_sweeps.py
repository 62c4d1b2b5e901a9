"""Sweeps run whole: a benchmark for each point, and the figure over the points."""

import pytest

from pluralbench.benchmarks.experiments.sweeps import sweep_points


@pytest.mark.slow
@pytest.mark.parametrize("name", ["users", "noise", "minority"])
def test_a_sweep_runs_and_draws(name, run, tmp_path):
    environment, points = sweep_points(name, None)
    assert run(name, "--preset", "smoke") == 0
    folder = tmp_path / f"{name}-smoke"
    assert (folder / f"{environment}-{name}.png").stat().st_size > 5_000
    assert len(list(folder.glob("*/success_rates.csv"))) == len(points)


def test_a_later_point_that_does_not_fit_its_folder_is_refused_before_the_first_runs(run, tmp_path, capsys):
    own = tmp_path / "own"
    command = ("minority", "--preset", "smoke", "--methods", "oracle", "--suite", "own")
    _, points = sweep_points("minority", None)
    last = list(points)[-1].replace(":", "-")
    (own / last).mkdir(parents=True)
    (own / last / "success_rates.csv").write_text(
        "environment,population,method,seed,user,group,episodes,successes,success_rate,reached\n"
        f"{sweep_points('minority', None)[0]},p,btl,0,1,a,4,0,0.0000,0\n"
    )
    assert run(*command) == 2
    assert "experiment.json" in capsys.readouterr().err
    assert [path.name for path in own.iterdir()] == [last]
