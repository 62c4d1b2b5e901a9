"""`pluralbench forecast`: lengths of tasks from small rehearsals, and the graph that they make."""

from __future__ import annotations

import json

import pytest

from pluralbench.benchmarks.commands.cli import main
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.launch import rehearsal
from pluralbench.benchmarks.launch.rehearsal import Line, rehearse
from pluralbench.benchmarks.launch.schedule import finish_time
from pluralbench.benchmarks.launch.tasks import PolicyTask
from pluralbench.benchmarks.reporter import Reporter

METHODS = ("tour", "oracle", "btl", "vpl", "vpl+spo")


def test_a_line_goes_through_its_rehearsals():
    def seconds(updates, episodes, transitions):
        return 3.0 + 0.25 * updates + 0.5 * episodes + 0.001 * transitions

    line = Line.through(
        (40, 1, 100), *(seconds(*size) for size in [(40, 1, 100), (80, 1, 100), (40, 2, 100), (40, 1, 200)])
    )
    assert line.at(1_000, 5, 10_000) == pytest.approx(seconds(1_000, 5, 10_000))
    assert line.at(0, 5, 0, share_of_users=2.0) == pytest.approx(2 * seconds(0, 5, 0))


def test_noise_makes_nothing_faster_by_more_work():
    assert Line.through((40, 1, 100), 10.0, 9.0, 9.0, 9.0) == Line(10.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def rehearsed():
    """Of a made-up clock: every fit takes 10 s, every task of policies 60 s, whatever their sizes."""
    plan = make_plan(experiment_for("maze", "smoke", {"methods": METHODS, "seeds": (5, 6, 7)}))
    with pytest.MonkeyPatch.context() as patch:
        real = rehearsal._start

        def timed(*arguments):
            _, tasks = real(*arguments)
            return 2.0, {name: (task, 10.0 if "reward" in name else 60.0) for name, (task, _) in tasks.items()}

        patch.setattr(rehearsal, "_start", timed)
        return rehearse(plan, Reporter(quiet=True))


def lengths(jobs, word):
    return sorted(job.seconds for job in jobs if word in job.name)


def test_every_seed_has_its_fits_and_a_stack_holds_all_seeds(rehearsed):
    jobs = rehearsed.jobs(release=100.0)
    assert lengths(jobs, "reward model") == [10.0] * 4 * 3  # three learners and the one that learns nothing
    assert sum("policies of tour" in job.name for job in jobs) == 3
    (stack,) = (job for job in jobs if "policies of vpl vpl+spo" in job.name)
    assert stack.seconds == 60.0 * 3
    assert stack.needs == {job.name for job in jobs if "reward model" in job.name}
    assert {job.release for job in jobs} == {102.0}


def test_the_largest_task_of_policies_is_handed_out_first(rehearsed):
    """The rehearsal carries tasks out in the order in which any launcher gets them; `tour` is named first."""
    sizes = [len(task.runs) for task, _ in rehearsed.tasks if isinstance(task, PolicyTask)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]
    names = [job.name for job in rehearsed.jobs() if "policies" in job.name]
    assert "vpl vpl+spo" in names[0]


def test_runs_apart_are_as_much_work_and_are_done_sooner(rehearsed):
    whole, apart = rehearsed.jobs(), rehearsed.jobs(runs_per_task=1)
    assert lengths(apart, "policies of vpl vpl+spo") == [30.0] * 6
    assert sum(job.seconds for job in apart) == pytest.approx(sum(job.seconds for job in whole))
    assert finish_time(apart, 16) < finish_time(whole, 16)
    assert lengths(rehearsed.jobs(runs_per_task=4), "policies of vpl vpl+spo") == [60.0, 120.0]


@pytest.mark.slow
def test_the_command_writes_a_table_and_a_figure(tmp_path, capsys):
    arguments = ["--preset", "smoke", "--environments", "habitat-tidy", "--methods", "oracle", "btl"]
    assert main(["forecast", *arguments, "--out", str(tmp_path)]) == 0
    assert "longest chain" in capsys.readouterr().out
    seconds = json.loads((tmp_path / "forecast-smoke" / "forecast.json").read_text())["seconds"]
    assert list(seconds["whole stacks"].values()) == sorted(seconds["whole stacks"].values(), reverse=True)
    assert (tmp_path / "forecast-smoke" / "forecast.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data-per-seed"], "a forecast is for data that all seeds share"),
        (["--runs-per-task", "0"], "--runs-per-task must be at least 1"),
        (["--environments", "moon"], "moon"),
        (["--resume"], "--resume"),  # it rehearses anew
    ],
)
def test_wrong_options_are_refused(arguments, message, tmp_path, capsys):
    assert main(["forecast", "--preset", "smoke", "--out", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err
