"""The committed reference: comparing with it and making it."""

import pytest
from result_folders import IDENTITY, write_suite

from pluralbench.benchmarks import reference
from pluralbench.benchmarks.figures.suite import read_suites
from pluralbench.benchmarks.reference import REFERENCE_ROOT, compare_with_reference, keep_as_reference, settings_digest
from pluralbench.benchmarks.report import markdown_report
from pluralbench.benchmarks.results import ResultsError, read_success_rates
from pluralbench.files import read_json, write_json, write_text


@pytest.fixture
def folder(tmp_path):
    return write_suite(tmp_path / "suite", {"vpl": (9, 5, 1), "btl": (9, 3, 2)})


def test_the_reference_of_the_same_experiment_is_compared_with(tmp_path):
    folder = write_suite(tmp_path / "suite", {"vpl": (9, 5, 1), "btl": (9, 8, 2)})
    kept = write_suite(tmp_path / "reference" / "quick", {"vpl": (5, 5, 1), "btl": (0, 0, 2), "spl": (1, 1, 1)})
    vpl, btl = compare_with_reference(folder, tmp_path / "reference")
    assert vpl.startswith("maze, vpl: 0.70 here, 0.50 [")
    assert vpl.endswith("] in the reference (commit abc1234): within its interval")
    # Wilson's of none of two users: z^2 / (2 + z^2) = 0.66
    assert btl == "maze, btl: 0.85 here, 0.00 [0.00, 0.66] in the reference (commit abc1234): outside its interval"
    assert compare_with_reference(kept, tmp_path / "reference") == []  # not with itself


def test_rows_that_ask_nobody_are_compared_too(tmp_path):
    """Their learner is `no-reward`, whatever they are called."""
    methods = {"bc": (5, 5, 1), "tour": (4, 4, 4), "behaviour": (0, 0, 0), "vpl": (1, 1, 1)}
    identity = changed(learners={**IDENTITY["learners"], "no-reward": {"settings": {}, "version": 1}})
    folder = write_suite(tmp_path / "suite", methods, identity=identity)
    write_suite(tmp_path / "reference" / "quick", methods, identity=identity)
    lines = compare_with_reference(folder, tmp_path / "reference")
    assert [line.split()[1].rstrip(":") for line in lines] == ["behaviour", "bc", "tour", "vpl"]


def changed(**parts):
    return {**IDENTITY, **parts}


IQL = {"num_updates": 60, "precision": "bfloat16"}
OTHER_LEARNER = {**IDENTITY["learners"], "vpl": {"settings": {}, "version": 2}}


@pytest.mark.parametrize(
    ("identity", "methods"),
    [
        (changed(settings={**IDENTITY["settings"], "iql": IQL}), ["vpl", "btl"]),  # another precision
        (changed(users={"0": "x"}, data={"0": "y"}), ["vpl", "btl"]),
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


def test_a_scaling_that_learns_is_compared_with_one_of_the_same_settings(folder, tmp_path):
    methods = {"vpl": (5, 5, 1), "btl+spo-pairs@iql": (5, 5, 1)}
    own = changed(scalings={"spo-pairs": {"settings": {"num_updates": 5}, "version": 1}})
    others = changed(scalings={"spo-pairs": {"settings": {"num_updates": 6}, "version": 1}})
    write_suite(tmp_path / "own", methods, identity=own)
    for identity, num in ((own, 2), (others, 1), (IDENTITY, 1)):
        write_suite(tmp_path / f"{num}/reference", methods, identity=identity)
        assert len(compare_with_reference(tmp_path / "own", tmp_path / str(num))) == num


def test_a_policy_of_another_version_is_not_compared_with(tmp_path):
    methods = {"vpl": (5, 5, 1), "btl@maxmin": (4, 4, 4)}
    folder = write_suite(tmp_path / "suite", methods, identity=changed(policies={"iql": {}, "maxmin": {"version": 2}}))
    write_suite(tmp_path / "reference" / "quick", methods, identity=changed(policies={"iql": {}, "maxmin": {}}))
    (vpl,) = compare_with_reference(folder, tmp_path / "reference")
    assert vpl.startswith("maze, vpl: ")


def test_a_damaged_reference_is_named_and_none_is_none(folder, tmp_path):
    (tmp_path / "reference/quick").mkdir(parents=True)
    (tmp_path / "reference/quick/success_rates.csv").write_text("nothing\n")
    (line,) = compare_with_reference(folder, tmp_path / "reference")
    assert line.startswith("reference left out: ")
    assert compare_with_reference(folder, tmp_path / "none") == []
    assert REFERENCE_ROOT.parts[-2:] == ("results", "reference")


OLD = (
    "environment,population,method,seed,user,group,episodes,successes,success_rate\n"
    "maze,points,vpl,0,0,a,10,9,0.9000\ntidy,points,vpl,0,0,a,10,9,0.9000\n"
)
"""Rates as they were written while an episode was a success as soon as its goal was reached."""


def test_a_reference_of_before_is_left_out_in_one_line(folder, tmp_path):
    write_suite(tmp_path / "reference/quick", {"vpl": (7, 7, 1)})
    write_text(tmp_path / "reference/older/success_rates.csv", OLD)
    left_out, vpl = compare_with_reference(folder, tmp_path / "reference")
    assert left_out.startswith("reference left out: ")
    assert left_out.endswith("made before success was judged at the end of an episode: run it again")
    assert vpl.startswith("maze, vpl: 0.70 here, 0.70 [")
    write_text(tmp_path / "reference/oldest/success_rates.csv", OLD)
    left_out, again = compare_with_reference(folder, tmp_path / "reference")
    assert left_out.endswith("run it again (and 1 more)")
    assert again == vpl


def test_every_committed_reference_can_be_read_or_is_told_to_be_made_anew():
    for path in REFERENCE_ROOT.rglob("success_rates.csv"):
        message = ""
        try:
            read_suites(path.parent)
        except ResultsError as error:
            message = str(error)
        assert message == "" or message.endswith("run it again")


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


def with_report(folder):
    write_text(folder / "report.md", markdown_report(folder))
    return folder


def test_a_reference_keeps_the_environments_that_the_suite_does_not_hold(folder, tmp_path):
    root = tmp_path / "reference"
    for name in ("maze-success.png", "maze-curves.png", "maze-b-success.png"):
        (folder / name).write_bytes(b"first")
    write_suite(folder, {"vpl": (1, 1, 1), "spl": (1, 1, 1)}, environment="maze-b")
    kept = keep_as_reference(with_report(folder), root)
    assert (kept / "report.md").read_text() == (folder / "report.md").read_text()
    later = write_suite(tmp_path / "later" / folder.name, {"vpl": (2, 2, 2)})
    (later / "maze-success.png").write_bytes(b"second")
    assert keep_as_reference(with_report(later), root) == kept
    found = {(rate.environment, rate.method): rate.successes for rate in read_success_rates(kept)}
    assert found == {("maze", "vpl"): 2, ("maze-b", "vpl"): 1, ("maze-b", "spl"): 1}
    assert (kept / "maze-success.png").read_bytes() == b"second"
    assert not (kept / "maze-curves.png").exists()  # of rates that are no longer there
    assert not (kept / "maze/btl").exists()
    assert (kept / "maze-b-success.png").exists()
    assert (kept / "maze-b/spl/seed_0/config.json").exists()
    assert read_json(kept / "maze-b/experiment.json")["methods"] == ["vpl", "spl"]
    text = (kept / "report.md").read_text()
    assert [line for line in text.splitlines() if line.startswith(("# ", "## "))] == ["# suite", "## maze", "## maze-b"]
    assert "| btl |" not in text  # only the maze had it
    assert "| spl | 0.10 |" in text
    assert "| vpl | 0.20 |" in text


def test_of_a_reference_of_before_nothing_stays(folder, tmp_path):
    kept = tmp_path / "reference" / folder.name
    write_text(kept / "success_rates.csv", OLD)
    write_json(kept / "tidy/experiment.json", {})
    write_text(kept / "report.md", "# suite\n\n## tidy\n")
    assert keep_as_reference(with_report(folder), tmp_path / "reference") == kept
    assert {rate.environment for rate in read_success_rates(kept)} == {"maze"}
    assert not (kept / "tidy").exists()
    assert "tidy" not in (kept / "report.md").read_text()


def test_rates_of_other_experiments_are_not_read(folder, tmp_path, monkeypatch):
    root, read = tmp_path / "reference", []
    write_suite(root / "same", {"vpl": (5, 5, 1)})
    settings = {**IDENTITY["settings"], "num_transitions": 101}
    write_suite(root / "other", {"vpl": (5, 5, 1)}, identity=changed(settings=settings))
    monkeypatch.setattr(reference, "read_suites", lambda folder: read.append(folder.name) or read_suites(folder))
    assert len(compare_with_reference(folder, root)) == 1
    assert read == ["same"]
