"""Who beats whom, and whether learners may be compared at all."""

from result_folders import ALWAYS, NEVER, write_users

from pluralbench.benchmarks.comparisons import compare_methods
from pluralbench.benchmarks.experiments.methods import REFERENCE_ROWS
from pluralbench.benchmarks.figures.suite import read_suite
from pluralbench.benchmarks.report import compare_lines, markdown_report
from pluralbench.benchmarks.results import SuccessRate, merge_success_rates


def pairs_of(folder):
    return {frozenset((one.better, one.worse)) for one in compare_methods(read_suite(folder, "maze"))}


def test_who_beats_whom_by_hand(tmp_path):
    """8 users: two-sided p = 2 / 2^8 = 0.0078, times 3 for the least of 3 pairs, and no less for the next."""
    folder = write_users(tmp_path, {"vpl": ALWAYS, "[x]": NEVER, "vpl+spo": ALWAYS}, ["all"])
    found = {(one.better, one.worse): one.p for one in compare_methods(read_suite(folder, "maze"))}
    assert found == {("vpl", "[x]"): 3 * 2 / 2**8, ("vpl+spo", "[x]"): 3 * 2 / 2**8, ("vpl", "vpl+spo"): 1.0}
    (line,) = compare_lines(folder, "maze")
    assert line.endswith("Holm-corrected p < 0.05, 95 % interval over seeds above 0): vpl, vpl+spo > [x]")
    text = markdown_report(folder)
    assert "### Who beats whom\n" in text
    assert "- `vpl` beats `[x]`: +1.00 [0.54, 1.00], p = 0.0234\n" in text
    assert "- no difference that holds: `vpl` and `vpl+spo`\n" in text
    assert "not fit" not in text


def test_only_users_whom_both_served_are_compared(tmp_path):
    folder = write_users(tmp_path, {"vpl": [[5, 5], [0, 0]], "btl": [[5, 5]]})
    (one,) = compare_methods(read_suite(folder, "maze"))
    assert (one.difference.estimate, one.p) == (0.0, 1.0)
    assert compare_lines(folder, "maze")[0].endswith(": no difference")
    users = enumerate(["north", "south"])
    merge_success_rates(folder, [SuccessRate("maze", "points", "spl", 7, *user, 5, 5, 5) for user in users])  # seed 7
    assert len(compare_methods(read_suite(folder, "maze"))) == 1


def test_learners_are_tested_against_one_another_and_against_what_asks_nobody(tmp_path):
    learners = ("vpl", "vpl+spo", "btl")
    folder = write_users(tmp_path, dict.fromkeys((*learners, *REFERENCE_ROWS, "oracle+spo"), ALWAYS))
    among = [("vpl", "vpl+spo"), ("vpl", "btl"), ("vpl+spo", "btl")]
    against = [(learner, row) for learner in learners for row in ("behaviour", "bc", "tour")]
    assert pairs_of(folder) == set(map(frozenset, [*among, *against]))
    text = markdown_report(folder)
    assert "learners with one another and with behaviour, bc, tour;" in text
    assert "over 12 pairs)" in text


def test_pairs_that_are_not_tested_do_not_count_in_the_correction(tmp_path):
    """One pair of the learner and `tour`: p = 2 / 2^8, not multiplied."""
    methods = dict.fromkeys(REFERENCE_ROWS, ALWAYS)
    folder = write_users(tmp_path, {**methods, "tour": NEVER, "behaviour": ALWAYS, "vpl": ALWAYS})
    found = {(one.better, one.worse): one.p for one in compare_methods(read_suite(folder, "maze"))}
    assert found[("vpl", "tour")] == 3 * 2 / 2**8
    assert compare_lines(folder, "maze")[0].endswith(": vpl > tour")
    alone = write_users(tmp_path / "alone", {"oracle": ALWAYS, "tour": NEVER, "vpl": ALWAYS})
    assert [one.p for one in compare_methods(read_suite(alone, "maze"))] == [2 / 2**8]


def test_reference_rows_alone_are_not_compared(tmp_path):
    folder = write_users(tmp_path, {"tour": NEVER, "bc": NEVER, "oracle": ALWAYS})
    assert compare_lines(folder, "maze") == []
    assert "Who beats whom" not in markdown_report(folder)


def test_one_method_beats_no_other(tmp_path):
    folder = write_users(tmp_path, {"vpl": ALWAYS})
    assert compare_lines(folder, "maze") == []
    assert "Who beats whom" not in markdown_report(folder)


def test_a_difference_that_other_seeds_may_turn_is_told(tmp_path):
    methods = {"vpl": [[5] * 20, [0] * 20], "btl": [[0] * 20, [2] * 20]}  # +1.0 and -0.4
    folder = write_users(tmp_path, methods)
    assert compare_lines(folder, "maze")[0].endswith(": no difference")  # none that may be claimed
    (line,) = [line for line in markdown_report(folder).splitlines() if line.startswith("- `")]
    assert line.startswith("- `vpl` beats `btl`: +0.30 [-1.00, 1.00], p = ")
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
    assert compare_lines(other, "maze") == []
    rows = dict.fromkeys(REFERENCE_ROWS, NEVER)  # of these the oracle alone is asked
    assert compare_lines(write_users(tmp_path / "rows", {**rows, "oracle": ALWAYS}), "maze") == []
    assert len(compare_lines(write_users(tmp_path / "none", {"vpl": seeds, "btl": seeds}), "maze")) == 1
    near = write_users(tmp_path / "near", {"oracle": [[500, 474]]}, episodes=500)
    assert compare_lines(near, "maze")[0].endswith("serves south in 0.9480 of the episodes only")
