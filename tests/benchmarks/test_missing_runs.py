"""Runs that are missing or damaged are told of wherever numbers or figures of an experiment are shown."""

import pytest
from result_folders import DIAGNOSTICS, write_record, write_run
from rich.console import Console

from pluralbench.benchmarks import figures
from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.figures import draw_all
from pluralbench.benchmarks.figures.success import success_figure
from pluralbench.benchmarks.figures.suite import read_suite
from pluralbench.benchmarks.figures.sweep import sweep_figure
from pluralbench.benchmarks.report import compare_lines, markdown_report, terminal_table
from pluralbench.benchmarks.results import SuccessRate, merge_success_rates, read_rows, write_success_rates
from pluralbench.benchmarks.results.figure_arrays import save_latents, save_reward_maps

CURVE = [("success", step, "mean", 0.5) for step in (1, 2)]
GROUPS = [{"name": name, "taught": True} for name in "ab"]


def rates(method, seed, environment="maze"):
    return [SuccessRate(environment, "points", method, seed, user, name, 5, 4, 5) for user, name in enumerate("ab")]


def write_whole(folder, methods=("vpl", "btl"), seeds=(0, 1, 2), environment="maze"):
    write_record(folder, methods, seeds, GROUPS, environment=environment)
    for method in methods:
        for seed in seeds:
            merge_success_rates(folder, rates(method, seed, environment))
            write_run(folder, rates(method, seed, environment), reward_model=DIAGNOSTICS, curve=CURVE)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_whole(tmp_path / "suite")


def printed(folder):
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(terminal_table(folder, "maze"))
    return capture.get()


def drop(folder, method, *seeds):
    """Takes runs away, as if they had never been."""
    kept = [row for row in read_rows(folder) if (row.method, row.seed) not in {(method, seed) for seed in seeds}]
    write_success_rates(folder, kept)
    for seed in seeds:
        for path in sorted((folder / f"maze/{method}/seed_{seed}").iterdir()):
            path.unlink()


def lose_summary(folder):
    (folder / "maze/vpl/seed_1/summary.json").unlink()


def change_rows(folder):
    kept = [row for row in read_rows(folder) if (row.method, row.seed) != ("vpl", 1)]
    changed = [SuccessRate("maze", "points", "vpl", 1, user, name, 5, 3, 5) for user, name in enumerate("ab")]
    write_success_rates(folder, [*kept, *changed])


def lose_rows(folder):
    write_success_rates(folder, [row for row in read_rows(folder) if (row.method, row.seed) != ("vpl", 1)])


def damage(name):
    return lambda folder: (folder / f"maze/vpl/seed_1/{name}").write_text("?")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda folder: drop(folder, "vpl", 1, 2), "2 of 3 seeds of vpl are missing: 1, 2"),
        (lambda folder: drop(folder, "vpl", 1), "seed 1 of vpl is missing"),
        (lose_summary, "seed 1 of vpl is not finished"),
        (change_rows, "vpl seed 1 is damaged (success_rates.csv: other rows than maze/vpl/seed_1/summary.json says)"),
        (lose_rows, "vpl seed 1 is damaged (success_rates.csv: other rows than maze/vpl/seed_1/summary.json says)"),
        (damage("summary.json"), "vpl seed 1 is damaged (maze/vpl/seed_1/summary.json: is no JSON file"),
        (damage("config.json"), "vpl seed 1 is damaged (maze/vpl/seed_1/config.json: is no JSON file"),
        (damage("metrics.csv"), "vpl seed 1 is damaged (maze/vpl/seed_1/metrics.csv, line 1: expected the"),
    ],
)
def test_a_run_that_is_not_whole_is_told_of_and_its_method_marked(folder, capsys, monkeypatch, change, line):
    monkeypatch.setattr(figures, "FIGURES", {"success": success_figure})  # the others take long
    assert not [text for text in compare_lines(folder, "maze") if text.startswith("*")]
    assert "*" not in printed(folder) + markdown_report(folder)
    change(folder)
    (told,) = [text for text in compare_lines(folder, "maze") if text.startswith("*")]
    assert told.startswith(f"* {line}")
    assert "\nvpl *" in printed(folder)
    assert "btl *" not in printed(folder)
    text = markdown_report(folder)
    assert "| vpl * |" in text
    assert f"\n- * {line.split(' (')[0]}" in text
    capsys.readouterr()
    assert main(["plot", str(folder)]) == 0
    output = capsys.readouterr().out
    assert f"maze: {line}" in output
    assert "maze-success.png" in output
    titles = [text.get_text() for text in success_figure(read_suite(folder, "maze")).axes[0].get_xticklabels()]
    assert titles == ["vpl *", "btl"]
    assert (
        success_figure(read_suite(folder, "maze")).axes[0].get_title("left").endswith("\n* runs are missing or damaged")
    )
    assert main(["report", str(folder)]) == 0
    assert line in " ".join(capsys.readouterr().out.split())


def test_the_success_figure_counts_the_seeds_of_each_method(folder):
    assert ": 3 seeds, " in success_figure(read_suite(folder, "maze")).axes[0].get_title("left")
    lose_rows(folder)
    assert ": 2 to 3 seeds, " in success_figure(read_suite(folder, "maze")).axes[0].get_title("left")


def test_a_method_without_any_run_is_missing(folder):
    drop(folder, "vpl", 0, 1, 2)
    assert compare_lines(folder, "maze")[0] == "* 3 of 3 seeds of vpl are missing: 0, 1, 2"


def test_a_reference_keeps_no_more_than_rows_and_is_whole(folder):
    for path in folder.glob("maze/*/seed_*/*"):
        if path.name != "config.json" or path.parent.name != "seed_0":
            path.unlink()
    assert not [line for line in compare_lines(folder, "maze") if line.startswith("*")]


def test_a_sweep_marks_methods_that_are_not_whole_at_some_point(tmp_path):
    folders = {label: write_whole(tmp_path / label) for label in ("few", "many")}
    drop(folders["many"], "vpl", 2)
    axes = sweep_figure({label: read_suite(folder, "maze") for label, folder in folders.items()}, "users").axes[0]
    assert {line.get_label() for line in axes.lines} == {"vpl *", "btl"}
    assert axes.get_title("left") == "maze; * runs are missing or damaged"


def test_a_damaged_figure_is_left_out_and_told_of_and_the_others_are_drawn(folder, monkeypatch):
    some = ("success", "reward-maps", "latents")
    monkeypatch.setattr(figures, "FIGURES", {name: figures.FIGURES[name] for name in some})  # the others take long
    save_latents(folder / "maze-latents.npz", {"vpl": {"means": [[0.0], [1.0]], "groups": ["a", "b"]}})
    maps = {"learned": [[[1.0, 2.0]]], "true": [[[1.0, 2.0]]], "users": ["a"], "rows": [], "columns": []}
    save_reward_maps(folder / "maze-reward-maps.npz", {"vpl": maps})
    names = {path.name for path in draw_all(folder, lambda line: pytest.fail(line))}
    assert {"maze-latents.png", "maze-reward-maps.png"} < names
    for name in ("latents", "reward-maps"):
        path = folder / f"maze-{name}.npz"
        path.write_bytes(path.read_bytes()[:-30])
    lines = []
    assert {path.name for path in draw_all(folder, lines.append)} == names - {
        "maze-latents.png",
        "maze-reward-maps.png",
    }
    assert [line.partition(":")[0] for line in sorted(lines)] == [
        f"figure maze-{name} left out" for name in ("latents", "reward-maps")
    ]


def test_an_environment_whose_experiment_json_is_damaged_is_left_out_and_told_of(folder, capsys, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", {"success": success_figure})  # the others take long
    write_whole(folder, environment="ravens")
    (folder / "maze/experiment.json").write_text("{}")
    lines = []
    assert {path.name.partition("-")[0] for path in draw_all(folder, lines.append)} == {"ravens"}
    (line,) = lines
    assert line.startswith(f"figures of maze left out: {folder}/maze/experiment.json: ")
    assert main(["report", str(folder)]) == 2
    capsys.readouterr()
    assert main(["plot", str(folder)]) == 2  # formerly 0, with the error twice
    said = capsys.readouterr()
    assert line in said.err
    assert "experiment.json" not in said.out
    assert "ravens-success.png" in said.out


def test_names_that_lead_out_of_the_folder_write_nothing(folder, tmp_path, capsys):
    path = folder / "success_rates.csv"
    path.write_text(path.read_text().replace("maze,", "../../x,"))
    before = sorted(tmp_path.rglob("*"))
    for command in ("plot", "report"):
        assert main([command, str(folder)]) == 2
        assert "line 2: the environment must name one folder" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
