"""Arguments that several commands share, and the errors of the command line."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from pluralbench.benchmarks.experiments.settings import MOST_SEEDS
from pluralbench.envs.environments import AUTO
from pluralbench.errors import InputError
from pluralbench.lines import shown
from pluralbench.registry import unknown_name
from pluralbench.settings import LARGEST_SEED, from_assignments, leaves, merged, sets

_MAX_SUITE_NAME = 80


class UsageError(InputError):
    """Arguments that the command line does not understand."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line.

    Attributes:
        first_words: where set, what the first argument that is no option must be one of. argparse sees to that too, but
            names no nearest one and knows nothing of files.
    """

    first_words: tuple[str, ...] = ()

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of argparse; UsageError for a first word that is none."""
        given = sys.argv[1:] if args is None else args
        word = next((word for word in given if not word.startswith("-")), None)
        if self.first_words and word is not None and word not in self.first_words:
            if ".py" in word:
                self.error(f"{shown(word)} is no command; a file's environment: pluralbench run {word}")
            self.error(unknown_name("command", word, self.first_words))
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises instead of printing the usage."""
        raise UsageError(f"{message} (see {self.prog} --help)")


def seed(text: str) -> int:
    """A seed from the command line, for argparse.

    Raises:
        ArgumentTypeError: no whole number from 0 to 2^32 - 1.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {LARGEST_SEED}, got {shown(text)}")
    return int(text)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Where to compute, write and keep data."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of results (%(default)s)")
    parser.add_argument("--data-dir", type=Path, help="where datasets are kept (the user's cache folder)")


def add_simulator(parser: argparse.ArgumentParser) -> None:
    """Which simulator, of the environments that have a choice."""
    parser.add_argument("--simulator", metavar="NAME", help="of an environment with a choice of simulators, or auto")


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """What of a preset to change."""
    parser.add_argument("--preset", default="quick", metavar="NAME", help="smoke, quick or paper (%(default)s)")
    methods = "all, or learner[+scaling][@policy]: btl vpl+spo maxmin+spo@maxmin; or bc, behaviour, tour"
    parser.add_argument("--methods", action="extend", nargs="+", metavar="METHOD", help=methods)
    parser.add_argument("--population", metavar="NAME", help="a population's name, or file.py:Name")
    parser.add_argument(
        "--teacher", metavar="NAME", help="how all users answer: a name, file.py:Name, or mistake_rate=0.25,..."
    )
    parser.add_argument("--dataset", metavar="FILE", help="learn from this HDF5 file of transitions, or d4rl:NAME")
    parser.add_argument("--policy", metavar="NAME", help="iql, or greedy where one step decides")
    add_simulator(parser)
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seeds", type=int, metavar="N", help="how many seeds: 0 to N - 1")
    seeds.add_argument(
        "--seed-list", type=seed, action="extend", nargs="+", metavar="SEED", help="which seeds: 100 101 102"
    )
    parser.add_argument("--data-per-seed", action="store_true", help="collect a dataset of its own for each seed")
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="other settings: iql.num_updates=1000",
    )
    parser.add_argument("--suite", metavar="NAME", help="name of the folder under --out (preset and changes)")


def add_resume(parser: argparse.ArgumentParser) -> None:
    """How to go on."""
    parser.add_argument("--resume", action="store_true", help="go on from where an interrupted run stopped")


def add_tracking(parser: argparse.ArgumentParser) -> None:
    """Who is told of numbers and figures as they come."""
    what = "tensorboard, wandb: also write metrics and figures for these; W&B offline unless WANDB_MODE says otherwise"
    parser.add_argument("--track", action="extend", nargs="+", default=[], metavar="NAME", help=what)


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """On how many processes or machines."""
    group = parser.add_argument_group("where tasks run (docs/clusters.md)")
    group.add_argument("--launcher", metavar="NAME", help="local or ray (one after the other in this process)")
    group.add_argument("--jobs", type=int, metavar="N", help="local: so many processes (one for each processor)")
    group.add_argument("--runs-per-task", type=int, default=0, metavar="N", help="of stacked policies (0: all)")
    group.add_argument("--ray-address", default="", metavar="ADDRESS", help="auto or HOST:PORT; else one starts here")
    group.add_argument("--cpus-per-task", type=int, default=1, metavar="N", help="ray: processors of a task")
    group.add_argument("--gpus-per-task", type=float, default=0.0, metavar="F", help="ray: of a GPU; 0.25: four on one")


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """The experiment's settings that `add_experiment`'s options name, nested.

    Raises:
        UsageError: a number of seeds that cannot be, or `--set` with what another option sets.
    """
    changes: dict[str, Any] = {}
    for name in ("population", "policy", "dataset", "simulator"):
        if getattr(options, name) is not None:
            changes[name] = getattr(options, name)
    if options.methods is not None:
        changes["methods"] = tuple(options.methods)
    if options.teacher is not None:
        changes["preferences"] = {"teacher": options.teacher}
    if options.seeds is not None:
        if not 1 <= options.seeds <= MOST_SEEDS:
            raise UsageError(f"--seeds must be at least 1 and at most {MOST_SEEDS}, is {options.seeds}")
        changes["seeds"] = tuple(range(options.seeds))
    if options.seed_list is not None:
        changes["seeds"] = tuple(options.seed_list)
    if options.data_per_seed:
        changes["data_per_seed"] = True
    others = from_assignments(options.set)
    for path, _ in leaves(changes):
        if sets(others, path):
            option = "seed-list" if options.seed_list is not None and path == ("seeds",) else path[-1]
            raise UsageError(f"--{option.replace('_', '-')} and --set {'.'.join(path)} set the same: give one of them")
    return merged(others, changes)


def suite_name(options: argparse.Namespace, population: str | None, sweep: str | None = None) -> str:
    """The folder of results: `--suite`, or the preset and whatever of its numbers' meaning the options change.

    Methods and seeds are no part of it: more of them join the same experiment. `population` is the population's own
    name where the options name one, `sweep` that of a sweep.
    """
    if options.suite is not None:
        return str(options.suite)
    own_data = "data-per-seed" if options.data_per_seed else None
    simulator = None if options.simulator == AUTO else options.simulator
    parts = [sweep, options.preset, population, simulator, options.policy, options.teacher, options.dataset, own_data]
    parts += sorted(options.set)
    named = "-".join(re.sub(r"[^\w.=,+-]+", "_", part).strip("_") for part in parts if part)
    if len(named) <= _MAX_SUITE_NAME and not options.dataset:
        return named
    from pluralbench.benchmarks.experiments.identity import digest

    return f"{named[:_MAX_SUITE_NAME]}-{digest(parts)[:8]}"


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
