"""What the command line understands; `cli` runs what it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralbench import __version__
from pluralbench.benchmarks.commands.arguments import (
    Parser,
    add_experiment,
    add_launcher,
    add_place,
    add_resume,
    add_simulator,
    add_tracking,
    seed,
)
from pluralbench.benchmarks.experiments.sweeps import SWEEPS
from pluralbench.envs import environments


def make_parser() -> Parser:
    """The parser of all commands; its options name, as `run`, the function of a module here that does the work."""
    parser = Parser(
        prog="pluralbench", description="Offline-RL robotics benchmarks for robots that serve many different people."
    )
    parser.add_argument("--version", action="version", version=f"pluralbench {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    _add_benchmarks(commands)
    _add_sweeps(commands)
    didactic = commands.add_parser("didactic", help="rewards on a line: what each learner makes of disagreement")
    didactic.add_argument("--seed", type=seed, default=0)
    add_place(didactic)
    didactic.set_defaults(run="views:run_didactic")
    plot = commands.add_parser("plot", help="draw the figures of a folder of results again")
    plot.set_defaults(run="views:plot")
    report = commands.add_parser("report", help="write report.md for a folder of results and print its tables")
    report.set_defaults(run="views:report")
    for viewer in (plot, report):
        viewer.add_argument("folder", type=Path, help="a suite's or a sweep's folder: results/quick for example")
    report.add_argument("--as-reference", action="store_true", help="also copy what results/reference/ keeps of it")
    speed = commands.add_parser("speed", help="measure what runs how fast here, beside plain baselines")
    speed.add_argument("--only", action="extend", nargs="+", metavar="ROW", help="some rows of the table")
    add_simulator(speed)
    add_place(speed)
    speed.set_defaults(run="speed:run_speed")
    forecast = commands.add_parser("forecast", help="how long `all` would take here, on so many workers")
    forecast.add_argument("--environments", action="extend", nargs="+", metavar="NAME", help="only these")
    forecast.add_argument("--runs-per-task", type=int, default=1, metavar="N", help="the second line's (%(default)s)")
    add_experiment(forecast)
    add_place(forecast)
    forecast.set_defaults(run="forecast:run_forecast")
    commands.add_parser("list", help="what can be named").set_defaults(run="listing:show")
    _add_data(commands)
    parser.first_words = tuple(commands.choices)
    return parser


def _add_benchmarks(commands: Any) -> None:
    names = environments.names()
    benchmarks = {
        **{name: f"the {name} benchmark" for name in names},
        "all": "every environment's benchmark",
        "run": "the benchmark of any environment: a name, or file.py:NAME, which runs that file",
    }
    for name, what in benchmarks.items():
        parser = commands.add_parser(name, help=what, description=f"Runs {what}.")
        parser.set_defaults(run="benchmark:run_benchmarks", environment=name)
        if name == "run":
            parser.add_argument("environment", metavar="ENVIRONMENT", help=f"{', '.join(names)}, or file.py:NAME")
        add_experiment(parser)
        add_resume(parser)
        add_place(parser)
        add_launcher(parser)
        add_tracking(parser)


def _add_sweeps(commands: Any) -> None:
    for name, sweep in SWEEPS.items():
        parser = commands.add_parser(name, help=sweep.description)
        parser.add_argument("--environment", metavar="NAME", help="where (the first environment that has this sweep)")
        add_experiment(parser)
        add_resume(parser)
        add_place(parser)
        if name != "active":  # one learner and no training of policies: nothing to hand out
            add_launcher(parser)
            add_tracking(parser)
        parser.set_defaults(run="active:run_active" if name == "active" else "sweep:run_sweep", sweep=name)


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="generate, inspect and convert datasets and preference data")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    generate = actions.add_parser("generate", help="write an environment's dataset to a file")
    generate.add_argument("environment", help="a name, or file.py:NAME")
    generate.add_argument("path", type=Path)
    generate.add_argument("--transitions", type=int, default=1_000_000)
    generate.add_argument("--seed", type=seed, default=0)
    add_simulator(generate)
    generate.set_defaults(run="data:generate")
    inspect = actions.add_parser("inspect", help="print what a dataset or a preference file holds")
    inspect.add_argument("path", type=Path)
    inspect.set_defaults(run="data:inspect")
    convert = actions.add_parser("convert", help="rewrite a file in the format that the target's ending names")
    convert.add_argument("source", type=Path)
    convert.add_argument("target", type=Path, help=".hdf5, .npz, .pairs.npz (a row per pair), or a folder for Minari")
    convert.add_argument("--as", dest="format", metavar="FORMAT", help="another library's, see `pluralbench list`")
    convert.add_argument(
        "--environment", metavar="NAME", help="whose spaces Minari gets (what the data name), file.py:NAME"
    )
    convert.set_defaults(run="data:convert")
