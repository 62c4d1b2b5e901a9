"""Sweeps: a benchmark for each point, the figure over the points, and what is made of a sweep's folder."""

import pytest
from result_folders import write_suite

from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.benchmarks.experiments.sweeps import check_changes, sweep_points
from pluralbench.benchmarks.figures.sweep import draw_sweep, read_points
from pluralbench.benchmarks.reference import keep_as_reference
from pluralbench.benchmarks.results import ResultsError, read_success_rates, read_sweeps
from pluralbench.files import read_json, write_json

SWEEP = {
    "sweep": "minority",
    "environment": "maze",
    "x_label": "minority : majority",
    "worst_group": True,
    "points": {"1:10": "1-10", "1:1": "1-1", "1:2": "1-2"},
}


@pytest.fixture
def folder(tmp_path):
    """A sweep of which two points have been run, one of them in a second environment too."""
    folder = tmp_path / "minority-quick"
    write_suite(folder / "1-10", {"vpl": (9, 5, 1), "btl": (9, 0, 0)})
    write_suite(folder / "1-1", {"vpl": (10, 10, 1)})
    write_suite(folder / "1-1", {"vpl": (0, 0, 0)}, environment="a-maze")
    write_json(folder / "maze/sweep-minority.json", SWEEP)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["users", "noise", "minority"])
def test_a_sweep_runs_and_draws(name, run, tmp_path):
    environment, points = sweep_points(name, None)
    assert run(name, "--preset", "smoke") == 0
    folder = tmp_path / f"{name}-smoke"
    assert (folder / f"{environment}-{name}.png").stat().st_size > 5_000
    assert len(list(folder.glob("*/success_rates.csv"))) == len(points)
    (record,) = read_sweeps(folder)
    assert list(record["points"]) == list(points)
    assert main(["plot", str(folder)]) == main(["report", str(folder)]) == 0


def test_a_sweep_is_drawn_from_its_folder(folder):
    (record,) = read_sweeps(folder)
    points = read_points(folder, record)
    assert list(points) == ["1:10", "1:1"]  # in its order, not that of the folders
    assert {suite.environment for suite in points.values()} == {"maze"}
    path = draw_sweep(folder, record)
    assert path == folder / "maze-minority.png"
    assert path.exists()
    assert path.with_suffix(".pdf").exists()
    with pytest.raises(ResultsError, match="no point of minority in a-maze has been run"):
        read_points(folder / "1-10", {**record, "environment": "a-maze"})


def test_a_sweep_is_plotted_and_reported_with_its_points(folder, capsys):
    assert main(["plot", str(folder)]) == 0
    drawn = capsys.readouterr().out.splitlines()
    assert str(folder / "maze-minority.png") in drawn
    assert str(folder / "1-1/a-maze-success.png") in drawn
    assert "maze, minority: not run: 1:2" in drawn
    assert main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    table = said[said.index("maze, minority: success rate of test users; of the worst-off group") :].splitlines()
    assert table[1].split() == ["minority", ":", "majority", "vpl", "btl"]
    assert table[3].split()[:2] == ["1:10", "0.70"]
    assert "maze, minority: not run: 1:2" in table
    assert (folder / "1-10/report.md").read_text().startswith("# 1-10\n")
    lines = (folder / "report.md").read_text().splitlines()
    assert lines[:3] == ["# minority-quick", "", "## maze, minority"]
    assert "| minority : majority | vpl | btl |" in lines
    first, second = (line for line in lines if line.startswith("| [1:1"))
    assert first.startswith("| [1:10](1-10/report.md) | 0.70 [")
    assert second.startswith("| [1:1](1-1/report.md) | 1.00 [")
    assert second.endswith(" |  |")  # run without btl
    assert "maze, minority: not run: 1:2" in lines
    assert "![maze-minority](maze-minority.png)" in lines


def test_a_folder_that_is_none_of_results_is_answered_with_those_in_it(folder, capsys):
    assert main(["report", str(folder.parent)]) == 2
    assert capsys.readouterr().err.endswith(f"holds no results: no success_rates.csv in it; {folder}?\n")
    assert main(["report", str(folder / "nothing")]) == 2
    assert capsys.readouterr().err == f"pluralbench: there is no folder {folder / 'nothing'}\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"environment": "a-maze"}, "is of 'minority' in 'a-maze'"),
        ({"points": {}}, "points: Dictionary should have at least 1 item"),
        ({"points": {"1:1": "../other"}}, "must name one folder"),
        ({"points": {"1:1": "1-1", "1:2": "1-1"}}, "points: one of them stands there twice"),
        ({"worst_group": 1}, "worst_group: "),
    ],
)
def test_a_damaged_record_is_told_in_a_line(folder, capsys, change, message):
    write_json(folder / "maze/sweep-minority.json", {**SWEEP, **change})
    for command in ("plot", "report"):
        assert main([command, str(folder)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "sweep-minority.json: " in line
        assert message in line


def test_a_sweep_becomes_a_reference_with_its_points(folder, tmp_path):
    main(["plot", str(folder)])
    main(["report", str(folder)])
    root = tmp_path / "reference"
    with pytest.raises(ResultsError, match=f"is a point of a sweep: give the whole one, {folder}"):
        keep_as_reference(folder / "1-1", root)
    kept = keep_as_reference(folder, root)
    assert kept == root / "minority-quick"
    assert read_json(kept / "maze/sweep-minority.json") == SWEEP
    assert {rate.method for rate in read_success_rates(kept / "1-10")} == {"vpl", "btl"}
    for name in ("report.md", "maze-minority.png", "1-1/a-maze-success.png", "1-10/maze/btl/seed_0/config.json"):
        assert (kept / name).is_file(), name
    assert not (kept / "success_rates.csv").exists()
    with pytest.raises(ResultsError, match="cannot become a reference"):
        keep_as_reference(kept, root)


@pytest.mark.parametrize(
    ("command", "varied"),
    [
        (("noise", "--teacher", "rational"), "noise varies preferences.teacher"),
        (("noise", "--set", "preferences.teacher=boltzmann"), "noise varies preferences.teacher"),
        (("minority", "--population", "five-attributes"), "minority varies population"),
        (("users", "--set", "population=10-rankings"), "users varies population"),
        (("active", "--policy", "iql"), "active has the policy greedy, not 'iql'"),
    ],
)
def test_what_a_sweep_varies_cannot_be_given(command, varied, run, tmp_path, capsys):
    assert run(*command, "--preset", "smoke") == 2
    assert capsys.readouterr().err == f"pluralbench: {varied}: leave it out\n"
    assert list(tmp_path.iterdir()) == []


def test_what_the_points_of_a_sweep_have_in_common_can_be_given():
    points = [
        {"methods": ("btl",), "iql": {"num_updates": 9, "discount": 0.9}},
        {"methods": ("vpl",), "iql": {"num_updates": 9}},
    ]
    check_changes("own", points, {"methods": ("oracle",), "iql": {"num_updates": 5, "temperature": 1.0}, "seeds": (1,)})
    for changes in ({"iql": {"discount": 0.5}}, {"iql": "discount=0.5"}):
        with pytest.raises(ExperimentError, match=r"^own varies iql.discount: leave it out$"):
            check_changes("own", points, changes)


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
