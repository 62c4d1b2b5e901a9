"""Whether a machine has room for experiments: on its disks and in its memory, asked before any work."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from pluralbench.benchmarks.commands.places import NUMBER_BYTES, OUT_ADVICE, SMALL_RESULTS, dataset_bytes
from pluralbench.benchmarks.experiments.methods import policies
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.stages.prepare import data_seeds
from pluralbench.envs.collection import DATA_ADVICE, cached_transitions_path
from pluralbench.errors import MachineError
from pluralbench.folders import check_names, check_room, in_words, make_writable
from pluralbench.reward_learning.learners import learners

_CHECKPOINT_NETWORKS = 30  # actor, critics, values and targets with Adam's moments, in an old checkpoint and a new one


Work = Sequence[tuple[Path, Plan]]
"""Experiments with the folders of their results."""


def check_room_for(work: Work, options: argparse.Namespace) -> None:
    """Asks whether there is room for all experiments that are about to run; makes nothing.

    Of a run that is resumed most is there already, so that its results need no certain room.

    Raises:
        FolderError: there is clearly too little room for results or data, or a name is too long.
        MachineError: there is clearly too little memory.
    """
    data: Counter[Path] = Counter()
    for folder, plan in work:
        _check_memory(plan)
        num_bytes = dataset_bytes(plan.task, plan.experiment.num_transitions)
        data.update({path: num_bytes for path in _missing_data(plan, options.data_dir) if path not in data})
        check_names(folder, _longest_files(plan), OUT_ADVICE)
        check_room(folder, SMALL_RESULTS if options.resume else _results_bytes(plan), OUT_ADVICE)
    for path in data:
        check_names(path.parent, [path.name], DATA_ADVICE)
        check_room(path.parent, data.total(), DATA_ADVICE)


def make_folders_for(work: Work, options: argparse.Namespace) -> None:
    """Makes the folders of results, and that of data where some is missing, and makes sure that they take files.

    Raises:
        FolderError: one of them does not.
    """
    for path in (path for _, plan in work for path in _missing_data(plan, options.data_dir)):
        make_writable(path.parent, DATA_ADVICE)
    for folder, _ in work:
        make_writable(folder, OUT_ADVICE)


def _check_memory(plan: Plan) -> None:
    """Raises MachineError where the data and one seed's answers alone are more than this machine can hold."""
    experiment, asked = plan.experiment, plan.experiment.preferences
    numbers = asked.num_users * asked.num_comparisons * 2 * asked.segment_length * plan.task.observation_size
    needed = NUMBER_BYTES * numbers
    if not experiment.dataset:
        needed += dataset_bytes(plan.task, experiment.num_transitions)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise MachineError(
            f"{plan.environment.name}: data and answers take {in_words(needed)}, this machine's memory is "
            f"{in_words(memory)}; ask for fewer transitions, users, comparisons or shorter segments"
        )


def _missing_data(plan: Plan, data_dir: Path | None) -> list[Path]:
    """The files of data that the experiment is going to collect."""
    if plan.experiment.dataset:
        return []
    num = plan.experiment.num_transitions
    paths = [cached_transitions_path(plan.environment, num, seed, data_dir) for seed in data_seeds(plan)]
    return [path for path in paths if not path.exists()]


def _results_bytes(plan: Plan) -> int:
    """Reward models and networks of policies, with their checkpoints; no more than a lower bound."""
    seeds, inputs = len(plan.experiment.seeds), plan.task.observation_size + plan.task.action_size
    trained = sum(bool(policies.get(method.policy).spans_latents) for method in plan.methods)
    policy = _network_bytes((inputs, *plan.experiment.iql.hidden_sizes))
    models = 0
    for settings in plan.learner_settings.values():
        size, layers = (getattr(settings, name, None) for name in ("hidden_size", "num_layers"))
        if isinstance(size, int) and isinstance(layers, int):  # a learner of the user's own may have others
            models += _network_bytes((plan.task.observation_size, *[size] * layers))
    return SMALL_RESULTS + seeds * (trained * policy * _CHECKPOINT_NETWORKS + models)


def _network_bytes(widths: tuple[int, ...]) -> int:
    return NUMBER_BYTES * sum((before + 1) * after for before, after in pairwise(widths))


def _longest_files(plan: Plan) -> Iterator[str]:
    """Files whose names hold those of environment, methods, learners and seeds."""
    name, seed = plan.environment.name, max(plan.experiment.seeds)
    yield f"{name}-reward-maps.npz"
    for method in plan.methods:
        yield f"{name}/{method.name}/seed_{seed}/policy/policy.safetensors"
        yield f"{name}/reward_models/{learners.get(method.learner).name}/seed_{seed}/model.safetensors"
