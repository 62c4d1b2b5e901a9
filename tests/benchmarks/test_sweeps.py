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
