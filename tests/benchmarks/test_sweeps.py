"""Sweeps: what varies from point to point, and the figure over the points."""

import pytest
from matplotlib import pyplot as plt

from pluralbench.benchmarks.cli import main
from pluralbench.benchmarks.preparation import resolve
from pluralbench.benchmarks.results import SuccessRate, merge_success_rates, read_success_rates
from pluralbench.benchmarks.run_sweep import draw_method, draw_sweep
from pluralbench.benchmarks.sweeps import SWEEPS, Sweep


@pytest.mark.parametrize("name", list(SWEEPS))
def test_every_point_is_an_experiment_that_can_run_and_differs_in_one_thing(name):
    points = SWEEPS[name].experiments("quick")
    assert len(points) >= 3
    settings = []
    for experiment in points.values():
        resolve(experiment)
        assert experiment.evaluation.episodes >= 100
        settings.append((experiment.population, experiment.preferences.teacher))
    assert len(set(settings)) == len(points)
    assert len({experiment.methods for experiment in points.values()}) == 1


def test_users_evaluates_twenty_people_at_least():
    for label, experiment in SWEEPS["users"].experiments("quick").items():
        assert int(label) * experiment.evaluation.users_per_group >= 20


def test_the_figure_shows_means_held_out_groups_and_the_worst(tmp_path):
    folders = {}
    for label, minority in (("1:1", 80), ("1:10", 20)):
        folders[label] = tmp_path / label
        rates = [
            SuccessRate("tidy", "p", method, seed, user, group, 100, count)
            for method in ("btl", "vpl") for seed in (0, 1)
            for user, (group, count) in enumerate([("many", 90), ("few", minority), ("held-out other", 10)])
        ]  # fmt: skip
        merge_success_rates(folders[label], rates)
        assert len(read_success_rates(folders[label])) == 12
    picture = draw_sweep(Sweep("", "ratio", lambda preset: {}, worst_group=True), folders, tmp_path / "figure")
    assert picture.stat().st_size > 5_000
    text = picture.with_suffix(".svg").read_text()
    for words in ("ratio", "1:10", "vpl", "dotted: worst group", "diamonds: held-out groups"):
        assert words in text


def test_lines_are_means_and_the_worst_group_is_none_that_was_held_out():
    counts = {"a": 80, "b": 40, "held-out c": 10}
    point = [
        SuccessRate("tidy", "p", "vpl", seed, user, group, 100, count + seed)
        for seed in (0, 2)
        for user, (group, count) in enumerate(counts.items())
    ]
    figure, axes = plt.subplots()
    draw_method(axes, [point, point], "vpl", 0, worst_group=True)
    mean, worst = axes.lines
    assert list(mean.get_ydata()) == pytest.approx([0.61, 0.61])
    assert list(worst.get_ydata()) == pytest.approx([0.41, 0.41])
    assert axes.collections[-1].get_offsets().tolist() == [[0, pytest.approx(0.11)], [1, pytest.approx(0.11)]]
    plt.close(figure)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SWEEPS))
def test_a_sweep_runs_and_draws(name, tmp_path):
    assert main([name, "--preset", "smoke", "--out", str(tmp_path / "results"), "--data-dir", str(tmp_path)]) == 0
    folder = tmp_path / "results" / f"{name}-smoke"
    assert (folder / f"{name}.png").stat().st_size > 5_000
    assert len(list(folder.glob("*/success_rates.csv"))) == len(SWEEPS[name].experiments("smoke"))
