"""Figures out of a suite's files alone, without a display."""

import ast
import itertools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from result_folders import DIAGNOSTICS, write_record, write_run

from pluralbench.benchmarks.figures import FIGURES, draw_all
from pluralbench.benchmarks.figures.active import active_figure, draw_active
from pluralbench.benchmarks.figures.didactic import draw_didactic
from pluralbench.benchmarks.figures.latents import latents_figure
from pluralbench.benchmarks.figures.rollouts import show_rollouts
from pluralbench.benchmarks.figures.style import MAX_IN_LEGEND, line_style
from pluralbench.benchmarks.figures.success import success_figure
from pluralbench.benchmarks.figures.suite import (
    group_means,
    mean_success,
    of_method,
    place_among,
    read_suite,
    read_suites,
)
from pluralbench.benchmarks.figures.sweep import sweep_figure
from pluralbench.benchmarks.results import ResultsError, SuccessRate, merge_success_rates
from pluralbench.benchmarks.results.figure_arrays import save_latents, save_reward_maps
from pluralbench.benchmarks.stages import rollouts
from pluralbench.envs import environments

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "figures"
MAY_IMPORT = (
    "pluralbench.benchmarks.figures",
    "pluralbench.benchmarks.results",
    "pluralbench.benchmarks.aggregate",
    "pluralbench.benchmarks.experiments.methods",  # the names of the reference rows
    "pluralbench.errors",
    "pluralbench.files",
)
GROUPS = {"held-out x": True, "north": True, "south": False}
"""Names of groups and whether they taught; the first one's name is a trap."""
METHODS = ("vpl+spo", "[x]", "btl")


def rates_of(method, seed, successes, episodes=10, environment="maze"):
    return [
        SuccessRate(environment, "points", method, seed, user, group, episodes, count, episodes)
        for user, (group, count) in enumerate(zip(GROUPS, successes, strict=True))
    ]


def write_suite(folder, successes=(9, 5, 1), environment="maze"):
    """A whole suite's folder of one environment, two seeds, and `METHODS`."""
    merge_success_rates(
        folder,
        [
            rate
            for method in METHODS
            for seed in (0, 1)
            for rate in rates_of(method, seed, successes, environment=environment)
        ],
    )
    groups = [{"name": name, "taught": taught} for name, taught in GROUPS.items()]
    write_record(folder, METHODS, [0, 1], groups, environment=environment)
    curve = [
        (stage, step, "mean", 0.1 * step)
        for stage, steps in {"success": (2, 4), "answers": (1, 8)}.items()
        for step in steps
    ]
    for method in METHODS:
        for seed in (0, 1):
            rates = rates_of(method, seed, successes, environment=environment)
            write_run(folder, rates, reward_model=DIAGNOSTICS, curve=curve)
    random = np.random.default_rng(0)
    picture = random.random((2, 4, 5), dtype=np.float32)
    picture[0, 0, 0] = np.nan
    maps = {"learned": picture, "true": picture, "users": ["a", "b"], "rows": [], "columns": []}
    save_reward_maps(folder / f"{environment}-reward-maps.npz", dict.fromkeys(METHODS, maps))
    latents = {"means": random.random((6, 3)), "groups": ["north", "south"] * 3}
    save_latents(folder / f"{environment}-latents.npz", {"vpl": latents})
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_suite(tmp_path / "suite")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A suite whose figures another process has drawn, without a display, and the names that it printed."""
    folder = write_suite(tmp_path_factory.mktemp("drawn") / "suite")
    code = "import sys; from pathlib import Path; from pluralbench.benchmarks.figures import draw_all"
    environment = {"PATH": "", "PYTHONPATH": str(FOLDER.parents[1]), "MPLBACKEND": "TkAgg"}
    command = [sys.executable, "-c", f"{code}; print(*(p.name for p in draw_all(Path(sys.argv[1]))))", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return folder, done.stdout.split()


def test_every_figure_is_drawn_as_png_and_pdf_without_a_display(drawn):
    folder, names = drawn
    assert names == [f"maze-{name}.png" for name in FIGURES]
    for name in FIGURES:
        with Image.open(folder / f"maze-{name}.png") as picture:
            assert min(picture.size) > 100
        assert (folder / f"maze-{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_same_files_give_the_same_bytes_in_every_process(drawn):
    folder = drawn[0]
    before = {path: path.read_bytes() for path in folder.glob("maze-*.p*")}
    assert len(before) == 2 * len(FIGURES)
    draw_all(folder)
    assert {path: path.read_bytes() for path in folder.glob("maze-*.p*")} == before


def test_figures_of_one_environment_alone_are_drawn_and_told_of(tmp_path):
    for environment in ("maze", "maze-d4rl-like"):
        merge_success_rates(tmp_path, rates_of("btl", 0, (1, 2, 3), environment=environment))
    assert [path.name for path in draw_all(tmp_path, only="maze")] == ["maze-success.png"]


def test_figures_without_numbers_are_left_out(tmp_path):
    merge_success_rates(tmp_path, rates_of("btl", 0, (1, 2, 3)))
    assert [path.name for path in draw_all(tmp_path)] == ["maze-success.png"]
    with pytest.raises(ResultsError, match="holds no results of ravens"):
        read_suite(tmp_path, "ravens")


def test_several_environments_are_read_at_once(folder):
    write_suite(folder, environment="ravens")
    assert [(suite.environment, suite.methods, suite.seeds) for suite in read_suites(folder)] == [
        ("maze", METHODS, (0, 1)),
        ("ravens", METHODS, (0, 1)),
    ]


def test_methods_come_in_the_experiments_order_and_unknown_ones_last(folder):
    merge_success_rates(folder, rates_of("aaa", 0, (1, 1, 1)))
    assert read_suite(folder, "maze").methods == (*METHODS, "aaa")


def test_reference_rows_come_first_and_learners_have_the_plain_lines(folder):
    merge_success_rates(folder, rates_of("oracle", 0, (1, 1, 1)) + rates_of("bc", 0, (1, 1, 1)))
    suite = read_suite(folder, "maze")
    assert suite.methods == ("bc", "oracle", *METHODS)
    assert [place_among(suite.methods, method) for method in (*METHODS, "bc", "oracle")] == [0, 1, 2, 3, 4]
    assert [text.get_text() for text in success_figure(suite).axes[0].get_xticklabels()] == list(suite.methods)


def test_a_method_looks_the_same_in_every_figure(folder):
    rows = ["behaviour", "bc", "tour", "individual", "bayes", "oracle"]
    curve = [(stage, step, "mean", 0.5) for stage in ("success", "answers") for step in (1, 2)]
    for row in rows:
        merge_success_rates(folder, rates_of(row, 0, (1, 1, 1)))
        model = None if row in ("behaviour", "bc", "tour") else DIAGNOSTICS
        write_run(folder, rates_of(row, 0, (1, 1, 1)), reward_model=model, curve=curve)
    suite = read_suite(folder, "maze")
    panels = [FIGURES[name](suite).axes for name in ("curves", "answers")]
    panels += [[axes] for axes in FIGURES["diagnostics"](suite).axes]
    panels.append(sweep_figure({"few": suite, "many": suite}, "users").axes)
    looks = {}
    for (axes,) in panels:
        for line in axes.lines:
            method = {"vpl": "vpl+spo"}.get(line.get_label(), line.get_label())
            looks.setdefault(method, set()).add((line.get_color(), line.get_linestyle()))
    looks = {name: own for name, own in looks.items() if not name.startswith("_")}
    assert set(looks) == {*METHODS, *rows}
    assert all(len(own) == 1 for own in looks.values())
    colours = [next(iter(own))[0] for name, own in looks.items() if name not in ("behaviour", "tour")]
    assert len(set(colours)) == len(colours)
    assert {name for name, own in looks.items() if next(iter(own))[1] != "-"} == set(rows)


def test_lines_that_coincide_have_marks_of_their_own(folder):
    lines = FIGURES["curves"](read_suite(folder, "maze")).axes[0].lines
    assert len({line.get_marker() for line in lines}) == len({line.get_markersize() for line in lines}) == 3
    assert all(line.get_markerfacecolor() == "none" for line in lines)


def test_dashes_of_reference_rows_side_by_side_lie_in_each_others_gaps():
    (first, dashes), (second, same) = (line_style(place, dashed=True)["linestyle"] for place in (6, 7))
    assert dashes == same
    assert second - first == dashes[0] == dashes[1]


def test_rollouts_say_how_many_of_the_groups_they_show(monkeypatch, tmp_path):
    environment = environments.get("maze")
    task, titles = environment.make_task(), []
    monkeypatch.setattr(rollouts, "show_rollouts", lambda frames, names, stem, title: titles.append(title))
    monkeypatch.setattr(rollouts, "_frames", lambda *parts: [])
    monkeypatch.setattr(rollouts, "as_script", lambda act: act)
    plan = SimpleNamespace(environment=environment, task=task)
    for num in (2, 10):
        draws = SimpleNamespace(first_of_each_group=np.arange(num))
        goals = task.sample_goals(num, np.random.default_rng(0))
        run = SimpleNamespace(fitted=SimpleNamespace(draws=draws), goals=goals, method=SimpleNamespace(name="vpl"))
        rollouts.record_rollouts(plan, SimpleNamespace(run=run, act=None), tmp_path)
    assert [title.rpartition(", ")[2] for title in titles] == ["all 2 groups", "3 of 10 groups"]


def test_maps_say_how_many_of_the_groups_they_show(folder):
    users = [f"u{number}" for number in range(7)]
    values = np.ones((7, 2, 3), dtype=np.float32)
    maps = {"learned": values, "true": values, "users": users, "rows": [], "columns": []}
    save_reward_maps(folder / "maze-reward-maps.npz", {"vpl": maps})
    assert "5 of 7 groups" in FIGURES["reward-maps"](read_suite(folder, "maze")).get_suptitle()
    named = {**maps, "rows": ["l"] * 2, "columns": ["l"] * 3, "users": users[:3]}
    named |= {"learned": values[:3], "true": values[:3]}
    save_reward_maps(folder / "maze-reward-maps.npz", {"vpl": named})
    assert "all 3 groups" in FIGURES["reward-maps"](read_suite(folder, "maze")).get_suptitle()


def test_held_out_is_a_flag_and_never_a_name(folder):
    suite = read_suite(folder, "maze")
    assert {rate.group for rate in suite.taught} == {"held-out x", "north"}
    assert {rate.group for rate in suite.held_out} == {"south"}
    assert mean_success(of_method(suite.taught, "btl")).estimate == pytest.approx(0.7)
    figure = success_figure(suite)
    dots = {dot.get_label(): dot for dot in figure.axes[0].collections if not str(dot.get_label()).startswith("_")}
    assert {name: len(dot.get_facecolor()) > 0 for name, dot in dots.items() if name in GROUPS or "(" in name} == {
        "held-out x": True,
        "north": True,
        "south (held out)": False,
    }


def test_success_is_of_each_users_own_episodes(tmp_path):
    merge_success_rates(tmp_path, rates_of("btl", 0, (1, 1, 1), 4) + rates_of("btl", 1, (7, 0, 0), 7))
    suite = read_suite(tmp_path, "maze")
    assert mean_success(suite.rates).estimate == pytest.approx((0.25 + 1 / 3) / 2)
    assert group_means(suite.rates) == pytest.approx({"held-out x": 0.625, "north": 0.125, "south": 0.125})
    assert "4 to 7 episodes each" in success_figure(suite).axes[0].get_title("left")


def test_error_bars_are_the_intervals_of_the_table(tmp_path):
    merge_success_rates(tmp_path, [SuccessRate("maze", "p", "btl", 0, user, "g", 5, 5, 5) for user in range(8)])
    (bars,) = [
        bars for bars in success_figure(read_suite(tmp_path, "maze")).axes[0].containers if hasattr(bars, "lines")
    ]
    (segment,) = bars.lines[2][0].get_segments()
    assert [end for _, end in segment] == pytest.approx([0.6756, 1.0], abs=1e-4)  # Wilson's, of 8 users of 8


def test_a_model_that_is_told_the_goals_has_no_latents_to_show(folder):
    told = {"means": np.array([[0.0], [1.0]] * 3), "groups": ["north", "south"] * 3}
    save_latents(folder / "maze-latents.npz", {"oracle": told})
    assert latents_figure(read_suite(folder, "maze")) is None
    save_latents(folder / "maze-latents.npz", {"oracle": told, "lore": {**told, "means": np.arange(6.0)[:, None]}})
    figure = latents_figure(read_suite(folder, "maze"))
    assert [axes.get_title("left").partition(":")[0] for axes in figure.axes] == ["lore"]


@pytest.mark.parametrize("users", [["a", "b"], ["each user"]])
def test_maps_with_named_places_show_the_names(folder, users):
    values = np.ones((len(users), 2, 3), dtype=np.float32)
    maps = {"learned": values, "true": values, "users": users, "rows": ["cup", "fork"], "columns": ["l", "m", "r"]}
    save_reward_maps(folder / "maze-reward-maps.npz", {"vpl": maps})
    figure = FIGURES["reward-maps"](read_suite(folder, "maze"))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["cup", "fork"]
    assert [axes.get_title() for axes in figure.axes[:2]] == ["true utility", "vpl"]
    assert figure.axes[0].get_ylabel() == ("" if len(users) == 1 else "wants a")


def test_names_and_panels_of_flat_maps_do_not_overlap(folder):
    values = np.ones((2, 20, 40), dtype=np.float32)
    maps = {"learned": values, "true": values, "users": ["a", "b"], "rows": [], "columns": []}
    names = [f"maxmin+spo@maxmin group {group}" for group in range(4)]
    save_reward_maps(folder / "maze-reward-maps.npz", dict.fromkeys(names, maps))
    figure = FIGURES["reward-maps"](read_suite(folder, "maze"))
    figure.draw_without_rendering()
    rows = [figure.axes[start : start + 2] for start in range(0, len(figure.axes), 2)]
    labels = [row[0].yaxis.label.get_window_extent() for row in rows]
    assert len(labels) == 5
    assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(labels))
    assert all(left.get_window_extent().x1 < right.get_window_extent().x0 for left, right in rows)


def test_reference_rows_of_a_sweep_are_dashed(tmp_path):
    folders = {label: write_suite(tmp_path / label) for label in ("few", "many")}
    for folder in folders.values():
        merge_success_rates(folder, rates_of("oracle", 0, (10, 10, 10)))
    figure = sweep_figure({label: read_suite(folder, "maze") for label, folder in folders.items()}, "users")
    looks = {line.get_label(): line.get_linestyle() for line in figure.axes[0].lines}
    assert looks == {"vpl+spo": "-", "[x]": "-", "btl": "-", "oracle": "--"}


def test_a_sweep_shows_the_worst_group_among_those_that_taught(tmp_path):
    folders = {label: write_suite(tmp_path / label, successes) for label, successes in
               {"few": (9, 5, 1), "many": (8, 4, 0)}.items()}  # fmt: skip
    merge_success_rates(folders["many"], rates_of("vpl", 0, (10, 10, 10)))  # a method of one point only
    figure = sweep_figure({label: read_suite(folder, "maze") for label, folder in folders.items()}, "users", True)
    axes = figure.axes[0]
    mean, worst = axes.lines[:2]
    assert list(mean.get_ydata()) == pytest.approx([0.7, 0.6])
    assert list(worst.get_ydata()) == pytest.approx([0.5, 0.4])
    assert axes.get_title("left") == "maze; dotted: worst group; diamonds: held-out groups"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["few", "many"]


def test_active_shows_each_way_of_asking(tmp_path):
    points = [
        {"way": way, "questions": questions, "seed": seed, "accuracy": 0.9, "success_rates": [0.0, gain * questions]}
        for way, gain in {"random": 0.1, "sequential": 0.2}.items()
        for questions in (1, 4)
        for seed in (0, 1)
    ]
    success, accuracy = active_figure(points, "tidy, vpl").axes
    lines = {line.get_label(): list(line.get_ydata()) for line in success.lines}
    assert lines == {"random": pytest.approx([0.05, 0.2]), "sequential": pytest.approx([0.1, 0.4])}
    assert list(accuracy.lines[0].get_ydata()) == pytest.approx([0.9, 0.9])
    assert draw_active(points, tmp_path / "active", "tidy").exists()


def test_the_didactic_figure_has_eight_panels(tmp_path):
    points = np.linspace(0, 1, 11)
    groups = np.tile(points, (4, 1))
    gaussians = {
        **dict.fromkeys(("points", "dpl_mean", "dpl_std"), points),
        **dict.fromkeys(("utilities", "true_chance", "btl", "vpl", "vpl_users"), groups),
        "vpl_groups": np.arange(4.0),
    }
    names = ("points", "mean", "std", "borda", "btl", "dpl-meanvar_mean", "dpl-meanvar_std")
    path = draw_didactic(gaussians, {**dict.fromkeys(names, points), "atoms": np.eye(11)}, tmp_path / "didactic")
    assert path.exists()
    assert path.with_suffix(".pdf").exists()


def test_rollouts_are_a_picture_and_a_video_of_three_users_at_most(tmp_path):
    frames = [
        [np.full((40, 60, 3), 10 * user + step, dtype=np.uint8) for step in range(length)]
        for user, length in enumerate((30, 3, 1, 7))
    ]
    path = show_rollouts(frames, ["a", "b", "[c]", "d"], tmp_path / "maze-rollouts", "maze, vpl")
    assert path.exists()
    with Image.open(path.with_suffix(".gif")) as video:
        assert video.n_frames == 24
        assert video.size == (3 * 320, 213)


def test_long_legends_are_left_out(tmp_path):
    rates = [SuccessRate("maze", "p", "btl", 0, user, f"g{user}", 2, 1, 1) for user in range(MAX_IN_LEGEND + 1)]
    merge_success_rates(tmp_path, rates)
    assert success_figure(read_suite(tmp_path, "maze")).axes[0].get_legend() is None


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_figures_know_only_the_files_of_a_suite(path):
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    ours = [name for name in names if name.startswith("pluralbench")]
    assert not [name for name in ours if not any(f"{name}.".startswith(f"{allowed}.") for allowed in MAY_IMPORT)]
    assert not [name for name in names if name.startswith(("matplotlib.pyplot", "torch"))]
