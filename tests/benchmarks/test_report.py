"""Tables and the comparison with the reference."""

import pytest
from rich.console import Console

from pluralbench.benchmarks.aggregate import Interval
from pluralbench.benchmarks.comparisons import compare_methods
from pluralbench.benchmarks.figures.suite import read_suite
from pluralbench.benchmarks.reference import REFERENCE_ROOT, compare_with_reference, keep_as_reference, settings_digest
from pluralbench.benchmarks.report import (
    COLUMNS,
    MethodRow,
    compare_lines,
    environments_of,
    markdown_report,
    method_rows,
    terminal_table,
)
from pluralbench.benchmarks.results import ResultsError, SuccessRate, merge_success_rates
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


def write_users(folder, methods, names=("north", "south"), episodes=5):
    """A suite without records: by method, for each seed, the successes of users whose groups alternate."""
    rates = [
        SuccessRate("maze", "points", method, seed, user, names[user % len(names)], episodes, count)
        for method, seeds in methods.items()
        for seed, successes in enumerate(seeds)
        for user, count in enumerate(successes)
    ]
    merge_success_rates(folder, rates)
    write_json(folder / "maze/experiment.json", {"methods": list(methods), "groups": []})
    return folder


ALWAYS, NEVER = [[5] * 8], [[0] * 8]


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
    assert all(word in lines for word in ("worst", "gap", "held-out"))
    other = write_suite(tmp_path / "other", {"vpl": (9,)})
    assert not any(word in printed(other) for word in ("gap", "held-out\n", "groups", "accuracy"))


def test_a_narrow_terminal_keeps_every_number(tmp_path):
    folder = write_suite(tmp_path, {"maxmin+spo@maxmin": (9, 5, 1)})
    write_json(folder / "maze/maxmin+spo@maxmin/seed_0/summary.json", {"reward_model": {"accuracy": 0.987}})
    (row,) = method_rows(folder, "maze")
    lines = printed(folder, width=80)
    assert max(len(line) for line in lines.splitlines()) <= 80
    words = lines.replace("[", " ").replace("]", " ").replace(",", " ").split()
    found = [end for i in (row.mean, row.worst, row.gap) for end in (i.estimate, i.low, i.high)]
    assert {f"{value:.2f}" for value in found} | {"maxmin+spo@maxmin", "0.987", "0.10", "a|b"} <= set(words)


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
    assert COLUMNS["95 % interval"](MethodRow("vpl", interval, 1.0, interval, "g", None, None, None)) == text


def test_who_beats_whom_by_hand(tmp_path):
    """8 users: two-sided p = 2 / 2^8 = 0.0078, times 3 for the least of 3 pairs, and no less for the next."""
    folder = write_users(tmp_path, {"vpl": ALWAYS, "[x]": NEVER, "vpl+spo": ALWAYS}, ["all"])
    found = {(one.better, one.worse): one.p for one in compare_methods(read_suite(folder, "maze"))}
    assert found == {("vpl", "[x]"): 3 * 2 / 2**8, ("vpl+spo", "[x]"): 3 * 2 / 2**8, ("vpl", "vpl+spo"): 1.0}
    (line,) = compare_lines(folder, "maze")
    assert line.endswith("Holm-corrected p < 0.05): vpl, vpl+spo > [x]")
    text = markdown_report(folder)
    assert "### Who beats whom\n" in text
    assert "- `vpl` beats `[x]`: +1.00 [0.54, 1.00], p = 0.0234\n" in text
    assert "- no difference that holds: `vpl` and `vpl+spo`\n" in text
    assert "not fit" not in text


def test_only_users_whom_both_served_are_compared(tmp_path):
    folder = write_users(tmp_path, {"vpl": [[5, 5, 0, 0], [5, 5]], "btl": [[5, 5]]})
    (one,) = compare_methods(read_suite(folder, "maze"))
    assert (one.difference.estimate, one.p) == (0.0, 1.0)
    assert compare_lines(folder, "maze")[0].endswith(": no difference")
    merge_success_rates(folder, [SuccessRate("maze", "points", "spl", 7, 0, "north", 5, 5)])  # of a seed of its own
    assert len(compare_methods(read_suite(folder, "maze"))) == 1


def test_one_method_beats_no_other(tmp_path):
    folder = write_users(tmp_path, {"vpl": ALWAYS})
    assert compare_lines(folder, "maze") == []
    assert "Who beats whom" not in markdown_report(folder)


def test_a_difference_that_other_seeds_may_turn_is_told(tmp_path):
    methods = {"vpl": [[5] * 20, [0] * 20], "btl": [[0] * 20, [2] * 20]}  # +1.0 and -0.4
    (line,) = [line for line in markdown_report(write_users(tmp_path, methods)).splitlines() if line.startswith("- `")]
    assert line.startswith("- `vpl` beats `btl`: +0.30 [-0.4")
    assert line.endswith("(of these models: over seeds the interval reaches 0)")


def test_an_oracle_that_fails_a_group_is_told(tmp_path):
    seeds = [[5, 3] * 4, [5, 4] * 4]  # south: 0.6 and 0.8
    folder = write_users(tmp_path / "one", {"oracle": seeds, "vpl": seeds})
    told = "not fit to compare learners: the oracle serves south in 0.70 of the episodes only"
    assert compare_lines(folder, "maze")[0] == told
    assert f" |\n\n{told}\n\n" in markdown_report(folder)
    # one oracle that serves all is enough; 0.95 is enough; without an oracle nothing is known
    fit = {"oracle": seeds, "oracle+spo": [[20, 19] * 4]}
    other = write_users(tmp_path / "other", fit, episodes=20)
    assert not any("not fit" in line for line in compare_lines(other, "maze"))
    assert len(compare_lines(write_users(tmp_path / "none", {"vpl": seeds, "btl": seeds}), "maze")) == 1
    near = write_users(tmp_path / "near", {"oracle": [[500, 474]]}, episodes=500)
    assert compare_lines(near, "maze")[0].endswith("serves south in 0.9480 of the episodes only")


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


def test_the_reference_of_the_same_experiment_is_compared_with(tmp_path):
    folder = write_suite(tmp_path / "suite", {"vpl": (9, 5, 1), "btl": (9, 8, 2)})
    reference = write_suite(tmp_path / "reference" / "quick", {"vpl": (5, 5, 1), "btl": (0, 0, 2), "spl": (1, 1, 1)})
    vpl, btl = compare_with_reference(folder, tmp_path / "reference")
    assert vpl.startswith("maze, vpl: 0.70 here, 0.50 [")
    assert vpl.endswith("] in the reference (commit abc1234): within its interval")
    # Wilson's of none of two users: z^2 / (2 + z^2) = 0.66
    assert btl == "maze, btl: 0.85 here, 0.00 [0.00, 0.66] in the reference (commit abc1234): outside its interval"
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


def test_a_reference_keeps_little_and_compares_with_what_it_was_made_of(folder, tmp_path):
    root = tmp_path / "reference"
    (folder / "maze" / "reward_models").mkdir()
    (folder / "maze" / "reward_models" / "model.safetensors").write_bytes(b"large")
    (folder / "maze-success.png").write_bytes(b"picture")
    kept = keep_as_reference(folder, root)
    names = {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()}
    assert {"success_rates.csv", "maze-success.png", "maze/experiment.json"} <= names
    assert not [name for name in names if "reward_models" in name]
    assert [line.rpartition(": ")[2] for line in compare_with_reference(folder, root)] == ["within its interval"] * 2


def test_a_reference_is_never_made_of_itself(folder, tmp_path):
    """Its folder is emptied first: nothing would be left to copy."""
    kept = keep_as_reference(folder, tmp_path / "reference")
    before = sorted(kept.rglob("*"))
    with pytest.raises(ResultsError, match="cannot become a reference"):
        keep_as_reference(kept, tmp_path / "reference")
    assert sorted(kept.rglob("*")) == before
    with pytest.raises(ResultsError, match="cannot become a reference"):
        keep_as_reference(folder, tmp_path / "no" / "checkout" / "reference")
