"""Tables and the comparison with the reference."""

import pytest
from rich.console import Console

from pluralbench.benchmarks.reference import REFERENCE_ROOT, compare_with_reference, settings_digest
from pluralbench.benchmarks.report import environments_of, markdown_report, method_rows, terminal_table
from pluralbench.benchmarks.results import SuccessRate, merge_success_rates
from pluralbench.files import read_json, write_json

GROUPS = [{"name": "held-out x", "taught": True}, {"name": "a|b", "taught": True}, {"name": "late", "taught": False}]
IDENTITY = {
    "environment": {"name": "maze", "behaviour_version": 1},
    "settings": {"num_transitions": 100, "iql": {"num_updates": 60, "precision": "float32"}},
    "learners": {"btl": {"settings": {"hidden_size": 8}, "version": 1}, "vpl": {"settings": {}, "version": 1}},
}


def write_suite(folder, methods, episodes=10, identity=IDENTITY):
    """A suite of one environment with one seed and these successes of the users by method."""
    rates = [
        SuccessRate("maze", "points", method, 0, user, GROUPS[user]["name"], episodes, count)
        for method, successes in methods.items()
        for user, count in enumerate(successes)
    ]
    merge_success_rates(folder, rates)
    write_json(folder / "maze/experiment.json", {"methods": list(methods), "groups": GROUPS, "identity": identity})
    for method in methods:
        config = {"command": "pluralbench maze", "commit": "abc1234def567890+changes", "packages": {"torch": "2.4"}}
        own = folder / "maze" / method / "seed_0"
        write_json(own / "config.json", {**config, "machine": "m", "device": "cpu"})
        write_json(own / "summary.json", {"reward_model": None})
    return folder


def printed(folder, width=100):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(terminal_table(folder, "maze"))
    return capture.get()


@pytest.fixture
def folder(tmp_path):
    return write_suite(tmp_path / "suite", {"vpl": (9, 5, 1), "btl": (9, 3, 2)})


def test_a_row_is_of_the_groups_that_taught(folder):
    vpl, btl = method_rows(folder, "maze")
    assert (vpl.mean.estimate, vpl.worst_group, vpl.held_out) == (pytest.approx(0.7), "a|b", pytest.approx(0.1))
    assert (vpl.worst, vpl.gap) == (pytest.approx(0.5), pytest.approx(0.4))
    assert vpl.better == 0.75  # a tie and a win
    assert btl.better is None
    assert vpl.accuracy is None


def test_a_mean_over_unequal_episodes_is_of_the_users_rates(tmp_path):
    rates = [
        SuccessRate("maze", "points", "btl", seed, user, "g", episodes, count)
        for seed, (episodes, counts) in enumerate([(4, (1, 1)), (7, (2, 3))])
        for user, count in enumerate(counts)
    ]
    merge_success_rates(tmp_path, rates)
    (row,) = method_rows(tmp_path, "maze")
    assert row.mean.estimate == pytest.approx((0.25 + 2.5 / 7) / 2)
    assert "| btl | 0.30 |" in markdown_report(tmp_path)


def test_brackets_in_names_are_printed_as_they_are(tmp_path):
    folder = write_suite(tmp_path, {"[x]": (1, 2, 3), "[bold]b[/bold]": (1, 2, 3), "[/]": (3, 2, 1)})
    for name in ("[x]", "[bold]b[/bold]", "[/]", "maze: success rate of test users"):
        assert name in printed(folder)


def test_columns_that_say_nothing_are_left_out(folder, tmp_path):
    lines = printed(folder)
    assert all(word in lines for word in ("worst group", "beats", "held-out"))
    other = write_suite(tmp_path / "other", {"vpl": (9, 5)})
    assert not any(word in printed(other) for word in ("beats", "held-out\n", "groups", "accuracy"))


def test_a_narrow_terminal_keeps_every_number(tmp_path):
    folder = write_suite(tmp_path, {"maxmin+spo@maxmin": (9, 5, 1), "btl": (9, 3, 2)})
    row = next(line for line in printed(folder, width=80).splitlines() if line.startswith("maxmin"))
    assert row.split()[:2] == ["maxmin+spo@maxmin", "0.70"]
    assert row.split()[-2:] == ["0.75", "0.10"]


def test_the_markdown_report_names_what_made_it_and_shows_its_own_figures_only(folder):
    for name in ("maze-success.png", "maze-rollouts.png", "maze-b-success.png"):
        (folder / name).touch()
    text = markdown_report(folder)
    assert "0.50, a\\|b" in text
    assert "`pluralbench maze`, commit abc1234def56+changes, torch 2.4, m, cpu" in text
    assert "`maze/vpl/seed_0/config.json`" in text
    assert "![maze-success](maze-success.png)" in text
    assert "![maze-rollouts](maze-rollouts.png)" in text
    assert "maze-b" not in text
    assert environments_of(folder) == ["maze"]


def test_the_reference_of_the_same_experiment_is_compared_with(folder, tmp_path):
    reference = write_suite(tmp_path / "reference" / "quick", {"vpl": (5, 5, 1), "btl": (0, 0, 2), "spl": (1, 1, 1)})
    vpl, btl = compare_with_reference(folder, tmp_path / "reference")
    assert vpl.startswith("maze, vpl: 0.70 here, 0.50 [")
    assert vpl.endswith("] in the reference (commit abc1234): within its interval")
    assert btl == "maze, btl: 0.60 here, 0.00 [0.00, 0.00] in the reference (commit abc1234): outside its interval"
    assert compare_with_reference(reference, tmp_path / "reference") == []  # not with itself


def changed(**parts):
    return {**IDENTITY, **parts}


IQL = {"num_updates": 60, "precision": "bfloat16"}
OTHER_LEARNER = {**IDENTITY["learners"], "vpl": {"settings": {}, "version": 2}}


@pytest.mark.parametrize(
    ("identity", "methods"),
    [
        (changed(settings={**IDENTITY["settings"], "iql": IQL}), ["vpl", "btl"]),  # another precision
        (changed(users={"0": "x"}, data="y"), ["vpl", "btl"]),
        (changed(learners={**IDENTITY["learners"], "spl": {"version": 3}}), ["vpl", "btl"]),
        (changed(learners=OTHER_LEARNER), ["btl"]),
        (changed(learners={}), []),
        (changed(settings={**IDENTITY["settings"], "num_transitions": 101}), []),
        (changed(environment={"name": "maze", "behaviour_version": 2}), []),
        ({}, []),
    ],
)
def test_only_the_same_experiment_is_compared_with(folder, tmp_path, identity, methods):
    write_suite(tmp_path / "reference/quick", {"vpl": (5, 5, 1), "btl": (0, 0, 2)}, identity=identity)
    lines = compare_with_reference(folder, tmp_path / "reference")
    assert [line.split()[1].rstrip(":") for line in lines] == methods


def test_a_damaged_reference_is_named_and_none_is_none(folder, tmp_path):
    (tmp_path / "reference/quick").mkdir(parents=True)
    (tmp_path / "reference/quick/success_rates.csv").write_text("nothing\n")
    (line,) = compare_with_reference(folder, tmp_path / "reference")
    assert line.startswith("reference left out: ")
    assert compare_with_reference(folder, tmp_path / "none") == []
    assert REFERENCE_ROOT.parts[-2:] == ("results", "reference")


def test_the_digest_reads_what_experiment_json_keeps(folder):
    stored = read_json(folder / "maze/experiment.json")["identity"]
    assert settings_digest(stored) == settings_digest(IDENTITY)
    assert settings_digest(stored, ["btl"]) != settings_digest(stored)
    assert settings_digest(stored, ["btl"]) == settings_digest(changed(learners=OTHER_LEARNER), ["btl"])
