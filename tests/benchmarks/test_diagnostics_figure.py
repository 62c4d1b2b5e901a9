"""Diagnostics of reward models, gathered from the files of a suite."""

import pytest
from result_folders import BINS, DIAGNOSTICS, write_record, write_run

from pluralbench.benchmarks.figures.diagnostics import diagnostics_figure, diagnostics_table, learner_diagnostics
from pluralbench.benchmarks.figures.suite import SuiteResults, read_suite
from pluralbench.benchmarks.results import SuccessRate, merge_success_rates

METHODS = ("vpl", "vpl+spo", "maxmin+spo@maxmin", "btl")


def diagnostics(accuracy, recovery=None):
    return {
        **DIAGNOSTICS,
        "accuracy": accuracy,
        "accuracy_by_answers": {"1": 0.6, "8": accuracy},
        "calibration": {"ece": 0.1, "bins": [{**BINS[0], "accuracy": accuracy}, BINS[1]]},
        "latents": {**DIAGNOSTICS["latents"], "cluster_recovery": recovery},
    }


def rate(method, seed):
    return SuccessRate("maze", "points", method, seed, 0, "g", 5, 5, 5)


@pytest.fixture
def suite(tmp_path):
    for method, accuracies in {"vpl": (0.9, 0.7), "vpl+spo": (0.9, 0.7), "maxmin+spo@maxmin": (0.5,)}.items():
        for seed, accuracy in enumerate(accuracies):
            model = diagnostics(accuracy, 1.0 if method.startswith("maxmin") else None)
            merge_success_rates(tmp_path, [rate(method, seed)])
            write_run(tmp_path, [rate(method, seed)], reward_model=model)
    write_record(tmp_path, METHODS, [0, 1])
    return read_suite(tmp_path, "maze")


@pytest.fixture
def empty(tmp_path):
    return SuiteResults(tmp_path, "ravens", (), METHODS, (0, 1))


def test_methods_of_one_learner_are_one_line_and_missing_ones_none(suite, empty):
    found = learner_diagnostics(suite)
    assert {learner: len(seeds) for learner, seeds in found.items()} == {"vpl": 2, "maxmin": 1}
    assert learner_diagnostics(empty) == {}


def test_the_table_has_means_over_seeds_and_blanks_where_nothing_applies(suite, empty):
    header, _, vpl, maxmin = diagnostics_table(suite).splitlines()
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    cells = dict(zip(columns, (cell.strip() for cell in vpl.strip("|").split("|")), strict=True))
    assert cells["learner"] == "vpl"
    assert cells["accuracy"] == "0.8"
    assert cells["on conflicting pairs"] == cells["groups found"] == ""
    assert maxmin.endswith("| 1 |")
    assert diagnostics_table(empty) == ""


def test_the_figure_shows_accuracy_by_answers_and_reliability(suite, empty):
    figure = diagnostics_figure(suite)
    assert figure is not None
    by_answers, reliability = figure.axes
    assert {line.get_label(): list(line.get_ydata()) for line in by_answers.lines}["vpl"] == pytest.approx([0.6, 0.8])
    drawn = {line.get_label(): line for line in reliability.lines}
    assert list(drawn["vpl"].get_xdata()) == pytest.approx([0.8])
    assert list(drawn["vpl"].get_ydata()) == pytest.approx([0.8])
    assert diagnostics_figure(empty) is None
