"""The tables that a person reads at the end."""

import pytest
from result_folders import ALWAYS, DIAGNOSTICS, NEVER, write_run, write_suite, write_users
from rich.console import Console

from pluralbench.benchmarks.aggregate import Interval
from pluralbench.benchmarks.report import (
    COLUMNS,
    MethodRow,
    environments_of,
    markdown_report,
    method_rows,
    terminal_table,
)
from pluralbench.benchmarks.results import SuccessRate, merge_success_rates, read_success_rates


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
    assert (vpl.worst.estimate, vpl.gap.estimate) == (pytest.approx(0.5), pytest.approx(0.4))
    assert vpl.worst.low < 0.5 < vpl.worst.high
    assert vpl.accuracy is None
    assert btl.mean.estimate == pytest.approx(0.6)


def test_a_mean_over_unequal_episodes_is_of_the_users_rates(tmp_path):
    rates = [
        SuccessRate("maze", "points", "btl", seed, user, "g", episodes, count, count)
        for seed, (episodes, counts) in enumerate([(4, (1, 1)), (7, (2, 3))])
        for user, count in enumerate(counts)
    ]
    merge_success_rates(tmp_path, rates)
    (row,) = method_rows(tmp_path, "maze")
    assert row.mean.estimate == pytest.approx((0.25 + 2.5 / 7) / 2)
    assert "| btl | 0.30 |" in markdown_report(tmp_path)


def test_brackets_in_names_are_printed_as_they_are(tmp_path):
    folder = write_users(tmp_path, {"[x]": ALWAYS, "[bold]b": NEVER}, ["[/]", "[/x]"])
    for name in ("[x]", "[bold]b", "[/]", "maze: success rate of test users"):
        assert name in printed(folder)


def test_columns_that_say_nothing_are_left_out(folder, tmp_path):
    lines = printed(folder)
    assert all(word in lines for word in ("worst", "gap", "held-out"))
    other = write_suite(tmp_path / "other", {"vpl": (9,)})
    assert not any(word in printed(other) for word in ("gap", "held-out\n", "groups", "accuracy"))


def cells_of(text, method):
    """By title, the cells of a method's line in a Markdown report."""
    lines = [[cell.strip() for cell in line.split(" |")] for line in text.splitlines() if line.startswith("| ")]
    (line,) = [line for line in lines if line[0] == f"| {method}"]
    return dict(zip(lines[0], line, strict=True))


def test_reached_stands_beside_success_where_it_differs(tmp_path):
    reached = {"tour": (10, 10, 4), "vpl": (9, 7, 1)}
    folder = write_suite(tmp_path / "one", {"vpl": (9, 5, 1), "tour": (5, 6, 1)}, reached=reached)
    found = {row.method: (row.mean.estimate, row.reached) for row in method_rows(folder, "maze")}
    assert found == {"tour": pytest.approx((0.55, 1.0)), "vpl": pytest.approx((0.7, 0.8))}
    text = markdown_report(folder)
    assert [cells_of(text, method)["reached"] for method in ("tour", "vpl")] == ["1.00", "0.80"]
    assert "`reached`: success by the papers' rule, at any time in the episode." in text
    assert "reached" in printed(folder)
    # of a thousand episodes one: the same at two decimals
    same = write_suite(tmp_path / "two", {"vpl": (700, 700)}, episodes=1000, reached={"vpl": (701, 700)})
    assert "reached" not in printed(same)
    assert "reached" not in markdown_report(same)
    assert method_rows(same, "maze")[0].reached == pytest.approx(0.7005)


def test_reference_rows_come_first_and_in_their_order(tmp_path):
    folder = write_users(tmp_path, dict.fromkeys(("vpl", "oracle", "btl", "tour", "bayes"), ALWAYS))
    assert [row.method for row in method_rows(folder, "maze")] == ["tour", "bayes", "oracle", "vpl", "btl"]


BLAME = [
    {"reward_right": True, "policy_right": 0.8, "planned_success": 1.0},
    {"reward_right": False, "policy_right": None, "planned_success": 0.5},
    {"reward_right": False, "policy_right": None, "planned_success": 0.0},  # of a group that taught nothing
]


def test_blame_is_of_the_groups_that_taught(tmp_path):
    unknown = dict.fromkeys(("reward_right", "policy_right", "planned_success"))
    folder = write_suite(tmp_path, {"vpl": (9, 5, 1), "tour": (9, 5, 1)}, blame=[unknown] * 3)
    write_run(folder, [rate for rate in read_success_rates(folder) if rate.method == "vpl"], blame=BLAME)
    tour, vpl = method_rows(folder, "maze")
    assert (vpl.reward_right, vpl.policy_right, vpl.planned) == (0.5, 0.8, 0.75)
    assert (tour.reward_right, tour.policy_right, tour.planned) == (None, None, None)
    text = markdown_report(folder)
    assert [cells_of(text, "vpl")[title] for title in ("reward right", "policy right", "planned")] == [
        "0.50", "0.80", "0.75",
    ]  # fmt: skip
    assert cells_of(text, "tour")["reward right"] == ""
    assert "`policy right`: success rate of those users." in text


def test_blame_is_the_mean_over_the_seeds_that_know(tmp_path):
    folder = write_users(tmp_path, {"vpl": [[5], [5], [0]]}, ["g"])
    for row, (right, rate) in zip(read_success_rates(folder), [(True, 1.0), (True, 0.5), (False, None)], strict=True):
        write_run(folder, [row], blame=[{"reward_right": right, "policy_right": rate, "planned_success": None}])
    (row,) = method_rows(folder, "maze")
    assert (row.reward_right, row.policy_right, row.planned) == (pytest.approx(2 / 3), 0.75, None)
    assert "planned" not in markdown_report(folder)


def test_the_widest_usual_table_has_120_columns_at_most(tmp_path):
    name = "maxmin+spo@maxmin"
    model = {**DIAGNOSTICS, "accuracy": 0.987}
    folder = write_suite(tmp_path, {name: (9, 5, 1)}, reached={name: (10, 10, 10)}, blame=BLAME, reward_model=model)
    lines = printed(folder, width=200)
    assert max(len(line.rstrip()) for line in lines.splitlines()) <= 120
    titles = "reached worst gap reward policy held-out"
    assert all(title in lines for title in titles.split())
    assert all(title in cells_of(markdown_report(folder), name) for title in ("IQM", "planned", "reward accuracy"))


def test_a_narrow_terminal_keeps_every_number(tmp_path):
    blame = [{}, {"reward_right": True, "policy_right": 0.375, "planned_success": None}]
    folder = write_suite(tmp_path, {"maxmin+spo@maxmin": (9, 5, 1)}, blame=blame)
    (row,) = method_rows(folder, "maze")
    lines = printed(folder, width=80)
    assert max(len(line) for line in lines.splitlines()) <= 80
    words = lines.replace("[", " ").replace("]", " ").replace(",", " ").split()
    found = [end for i in (row.mean, row.worst, row.gap) for end in (i.estimate, i.low, i.high)]
    assert {f"{value:.2f}" for value in found} | {"maxmin+spo@maxmin", "0.38", "0.10", "a|b"} <= set(words)


def test_names_of_groups_are_shortened_until_the_table_has_120_columns(tmp_path):
    names = [f"{side} table > sofa > room > dining table > desk" for side in ("coffee", "other")]
    folder = write_users(tmp_path, {"dpl-categorical+spo-pairs@maxmin": ALWAYS}, names)
    lines = printed(folder, width=200).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 120
    assert ", coffee table > sof" in lines[-1]
    assert "... " in lines[-1]
    assert f"1.00 [0.51, 1.00], {names[0]} |" in markdown_report(folder)


@pytest.mark.parametrize(("low", "text"), [(0.6756, "0.68 to 1.00"), (0.9996, "0.9996 to 1.0000")])
def test_intervals_are_printed_with_some_width(low, text):
    interval = Interval(1.0, low, 1.0)
    row = MethodRow("vpl", interval, 1.0, interval, "g", None, 1.0, None, None, None, None, None)
    assert COLUMNS["95 % interval"](row) == text


def test_the_markdown_report_names_what_made_it_and_shows_its_own_figures_only(folder):
    for name in ("maze-success.png", "maze-rollouts.png", "maze-b-success.png"):
        (folder / name).touch()
    text = markdown_report(folder)
    assert "0.50 [0.0" in text
    assert "], a\\|b |" in text
    assert "`pluralbench maze`, commit abc1234def56+changes, torch 2.4, m, cpu" in text
    assert "`maze/vpl/seed_0/config.json`" in text
    assert "![maze-success](maze-success.png)" in text
    assert "![maze-rollouts](maze-rollouts.png)" in text
    assert "maze-b" not in text
    assert environments_of(folder) == ["maze"]
