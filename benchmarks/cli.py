"""The command line: `python -m benchmarks`, also installed as `pluralbench`.

Wrong input ends with exit code 2 and one line that says what is wrong and what would be right.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pluralbench.benchmarks.suites import PRESETS, SUITES
from pluralbench.benchmarks.sweeps import SWEEPS

_PRESET_HELP = f"one of {', '.join(PRESETS)} (%(default)s)"
_RESUME_HELP = "go on from where an interrupted run stopped"


class UsageError(ValueError):
    """Arguments that the command line does not understand."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Raises instead of printing the usage."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code: 0, 2 for wrong input, 130 after Ctrl-C."""
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
    except KeyboardInterrupt:
        print("interrupted; --resume goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except _user_errors() as error:
        print(f"pluralbench: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _user_errors() -> tuple[type[Exception], ...]:
    """What a user can put right; anything else is a defect of ours and shows its traceback."""
    from pluralbench.benchmarks.experiment import ExperimentError
    from pluralbench.benchmarks.results import ResultsError
    from pluralbench.envs.multigoal import GoalError
    from pluralbench.envs.transitions import DatasetError
    from pluralbench.iql.settings import IQLError
    from pluralbench.preference_oracles.preferences import PreferenceError
    from pluralbench.preference_oracles.queries import QueryError
    from pluralbench.preference_oracles.teachers import TeacherError
    from pluralbench.preference_oracles.users import PopulationError
    from pluralbench.registry import UnknownNameError
    from pluralbench.reward_learning.model_files import ModelFileError
    from pluralbench.reward_learning.network_learner import LearnerError

    return (
        UsageError, ExperimentError, ResultsError, GoalError, UnknownNameError, DatasetError, IQLError,
        PreferenceError, QueryError, TeacherError, PopulationError, ModelFileError, LearnerError,
    )  # fmt: skip


def _parser() -> Parser:
    parser = Parser(
        prog="python -m benchmarks",
        description="Offline-RL robotics benchmarks for robots that serve many different people.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name in (*SUITES, "all"):
        what = "every environment's benchmark" if name == "all" else f"the {name} benchmark"
        _add_benchmark(commands.add_parser(name, help=what, description=f"Runs {what}."), name)
    didactic = commands.add_parser("didactic", help="four Gaussian rewards: what each learner makes of them")
    didactic.add_argument("--seed", type=int, default=0)
    _add_common(didactic)
    didactic.set_defaults(run=_didactic)
    for name, sweep in SWEEPS.items():
        parser_of = commands.add_parser(name, help=sweep.description)
        parser_of.add_argument("--preset", default="quick", metavar="NAME", help=_PRESET_HELP)
        parser_of.add_argument("--resume", action="store_true", help=_RESUME_HELP)
        _add_common(parser_of)
        parser_of.set_defaults(run=_sweep, sweep=name)
    active = commands.add_parser("active", help="success against the number of questions, chosen or random")
    active.add_argument("--environment", default="habitat-tidy", metavar="NAME", help="a household task (%(default)s)")
    active.add_argument("--preset", default="quick", metavar="NAME", help=_PRESET_HELP)
    active.add_argument("--resume", action="store_true", help="keep the reward models of an interrupted run")
    _add_common(active)
    active.set_defaults(run=_active)
    plot = commands.add_parser("plot", help="draw the figures of a folder of results again")
    plot.add_argument("folder", type=Path, help="results/quick, say")
    plot.set_defaults(run=_plot)
    report = commands.add_parser("report", help="write report.md for a folder of results and print its tables")
    report.add_argument("folder", type=Path, help="results/quick, say")
    report.set_defaults(run=_report)
    speed = commands.add_parser("speed", help="measure what runs how fast here, beside plain baselines")
    speed.add_argument("--only", nargs="+", metavar="ROW", help="some rows of the table")
    _add_common(speed)
    speed.set_defaults(run=_speed)
    commands.add_parser("list", help="what can be named").set_defaults(run=_list)
    _add_data(commands)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of results (%(default)s)")
    parser.add_argument("--data-dir", type=Path, help="where datasets are kept (the user's cache folder)")


def _add_benchmark(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--preset", default="quick", metavar="NAME", help=_PRESET_HELP)
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="all, or learner[+scaling][@policy]: btl vpl+spo maxmin+spo@maxmin",
    )
    parser.add_argument("--population", metavar="NAME", help="a population's name, or file.py:Name")
    parser.add_argument(
        "--teacher", metavar="NAME", help="how every user answers: a name, file.py:Name, or mistake_rate=0.25,..."
    )
    parser.add_argument("--dataset", metavar="FILE", help="learn from this HDF5 file of transitions, D4RL's say")
    parser.add_argument("--policy", metavar="NAME", help="iql, or greedy where one step decides")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many seeds")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="other settings: iql.num_updates=1000"
    )
    parser.add_argument("--suite", metavar="NAME", help="name of the folder under --out (the preset and population)")
    parser.add_argument("--resume", action="store_true", help=_RESUME_HELP)
    _add_common(parser)
    parser.set_defaults(run=_benchmark, environment=name)


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="generate, inspect and convert datasets and preference data")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    generate = actions.add_parser("generate", help="write an environment's dataset to a file")
    generate.add_argument("environment")
    generate.add_argument("path", type=Path)
    generate.add_argument("--transitions", type=int, default=1_000_000)
    generate.add_argument("--seed", type=int, default=0)
    generate.set_defaults(run=_data_generate)
    inspect = actions.add_parser("inspect", help="print what a dataset or a preference file holds")
    inspect.add_argument("path", type=Path)
    inspect.set_defaults(run=_data_inspect)
    convert = actions.add_parser("convert", help="rewrite a file in the format that the target's ending names")
    convert.add_argument("source", type=Path)
    convert.add_argument("target", type=Path, help=".hdf5, .npz, or .pairs.npz for one row per pair")
    convert.set_defaults(run=_data_convert)


def device_for(name: str) -> str:
    """The torch device of `--device`; UsageError where there is no such device here."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise UsageError(f"unknown device {name!r}; use auto, cpu or cuda") from error
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"device {name!r} is not supported; use auto, cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device here; use --device cpu or --device auto")
    return name


def _assignments(pairs: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set takes KEY=VALUE, got {pair!r}")
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError:
            values[key] = text
    return values


def _benchmark(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.experiment import override
    from pluralbench.benchmarks.preparation import resolve
    from pluralbench.benchmarks.suites import all_methods, experiment_for

    device = device_for(options.device)
    chosen = {"methods": options.methods and tuple(options.methods), "num_seeds": options.seeds,
              "policy": options.policy, "dataset": options.dataset}  # fmt: skip
    experiments = []
    for environment in SUITES if options.environment == "all" else [options.environment]:
        default = experiment_for(environment, options.preset)
        experiment = experiment_for(environment, options.preset, options.population)
        experiment = override(experiment, _assignments(options.set))
        experiment = dataclasses.replace(experiment, **{k: v for k, v in chosen.items() if v is not None})
        if experiment.methods == ("all",):
            experiment = dataclasses.replace(experiment, methods=all_methods(experiment.policy))
        if options.teacher is not None:
            preferences = dataclasses.replace(experiment.preferences, teacher=options.teacher)
            experiment = dataclasses.replace(experiment, preferences=preferences)
        population = resolve(experiment)[2]
        suite = [experiment.suite, *([population.name] if experiment.population != default.population else []),
                 *([experiment.policy] if experiment.policy != default.policy else [])]  # fmt: skip
        experiment = dataclasses.replace(experiment, suite=options.suite or "-".join(suite))
        experiments.append(experiment)
    for experiment in experiments:
        _run_and_show(experiment, options, device)


def _run_and_show(experiment: Any, options: argparse.Namespace, device: str) -> None:
    import time

    from pluralbench.benchmarks.figures import draw_all
    from pluralbench.benchmarks.pipeline import run_experiment
    from pluralbench.benchmarks.progress import Reporter
    from pluralbench.benchmarks.report import terminal_table

    reporter = Reporter()
    start = time.perf_counter()
    reporter.say(f"{experiment.environment}, {experiment.population}: {' '.join(experiment.methods)}, "
                 f"{experiment.num_seeds} seeds, on {device}")  # fmt: skip
    folder = run_experiment(experiment, options.out, device, options.data_dir, options.resume, reporter)
    figures = draw_all(folder)
    reporter.console.print(terminal_table(folder, experiment.environment))
    reporter.say(f"{time.perf_counter() - start:.0f} s in all; results in {folder}, figures:")
    for figure in figures:
        reporter.say(f"  {figure}")


def _didactic(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.didactic import run_didactic
    from pluralbench.benchmarks.progress import Reporter

    reporter = Reporter()
    device = device_for(options.device)
    with reporter.stage("didactic experiment") as progress:
        run_didactic(options.out / "didactic", options.seed, device, progress)
    reporter.say(f"results and figure in {options.out / 'didactic'}")


def _sweep(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.progress import Reporter
    from pluralbench.benchmarks.run_sweep import run_sweep

    reporter, device = Reporter(), device_for(options.device)
    figure = run_sweep(options.sweep, options.preset, options.out, device, options.data_dir, options.resume, reporter)
    reporter.say(f"figure: {figure}")


def _active(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.active_experiment import run_active
    from pluralbench.benchmarks.progress import Reporter

    reporter, device = Reporter(), device_for(options.device)
    figure = run_active(
        options.environment, options.preset, options.out, device, options.data_dir, options.resume, reporter
    )
    reporter.say(f"figure: {figure}")


def _plot(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.figures import draw_all

    for figure in draw_all(options.folder):
        print(figure)


def _report(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.progress import Reporter
    from pluralbench.benchmarks.report import environments_of, markdown_report, terminal_table
    from pluralbench.files import replace_file

    text = markdown_report(options.folder)
    with replace_file(options.folder / "report.md") as temporary:
        temporary.write_text(text)
    reporter = Reporter()
    for environment in environments_of(options.folder):
        reporter.console.print(terminal_table(options.folder, environment))
    reporter.say(f"{options.folder / 'report.md'}")


def _speed(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.speed import run_speed

    run_speed(options.out / "speed", device_for(options.device), options.only)


def _list(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.listing import listing

    print(listing())


def _data_generate(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.data_commands import generate

    generate(options.environment, options.path, options.transitions, options.seed)


def _data_inspect(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.data_commands import inspect

    print(inspect(options.path))


def _data_convert(options: argparse.Namespace) -> None:
    from pluralbench.benchmarks.data_commands import convert

    convert(options.source, options.target)
