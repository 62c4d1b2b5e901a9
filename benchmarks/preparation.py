"""What every method is given alike: the dataset, the users of each seed, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pluralbench.envs  # noqa: F401 (registers the environments)
from pluralbench.benchmarks.experiment import Experiment, ExperimentError
from pluralbench.benchmarks.progress import Reporter
from pluralbench.envs.collection import load_or_collect
from pluralbench.envs.environments import Environment, environments
from pluralbench.envs.multigoal import ForeseeingTask, MultiGoalTask
from pluralbench.envs.transition_files import load_transitions
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.preference_oracles.labelling import collect_preferences
from pluralbench.preference_oracles.populations import get_population
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.teacher_populations import with_teacher
from pluralbench.preference_oracles.users import Population, Users

TARGET_PAIRS = 16
"""Pairs of each held-out user on which a reward model is judged and that it never sees."""


@dataclass(frozen=True)
class Prepared:
    """What all seeds share."""

    environment: Environment
    task: MultiGoalTask
    population: Population
    dataset: TransitionDataset
    train_episodes: NDArray[np.int64]
    held_out_episodes: NDArray[np.int64]


@dataclass(frozen=True)
class SeedData:
    """The users of one seed and what they answered.

    Attributes:
        seed: which.
        train: answers of the train users about train episodes.
        held_out: answers of new users about held-out episodes; the first `num_answers` or more columns may serve as
            context, the last `TARGET_PAIRS` only as targets.
        evaluation_rows: the rows of `held_out` for whom policies act.
    """

    seed: int
    train: PreferenceDataset
    held_out: PreferenceDataset
    evaluation_rows: NDArray[np.int64]


def generator_for(seed: int, purpose: str) -> np.random.Generator:
    """An independent stream for each seed and purpose."""
    return np.random.default_rng([seed, *purpose.encode()])


def resolve(experiment: Experiment) -> tuple[Environment, MultiGoalTask, Population]:
    """Environment, task and population of an experiment; fails, before any work, where they do not fit."""
    names = [method.name for method in experiment.parsed_methods]
    if len(set(names)) != len(names):
        raise ExperimentError(f"a method is named twice: {' '.join(names)}")
    environment = environments.get(experiment.environment)
    task = environment.make_task()
    if experiment.policy == "greedy" and not isinstance(task, ForeseeingTask):
        raise ExperimentError(f"{task.name} does not foresee what actions lead to: use --policy iql")
    learned = [method.name for method in experiment.parsed_methods if method.policy != "none"]
    if experiment.policy == "greedy" and learned:
        raise ExperimentError(f"{learned[0]} has a policy of its own, which one greedy step is not: use --policy iql")
    population = get_population(experiment.population)
    if experiment.preferences.teacher is not None:
        population = with_teacher(population, experiment.preferences.teacher)
    population.train_users(task, 2, np.random.default_rng(0))
    population.held_out_users(task, 1, np.random.default_rng(0))
    return environment, task, population


def prepare(experiment: Experiment, data_dir: Path | None, reporter: Reporter) -> Prepared:
    """Loads or collects the dataset and holds some of its episodes out."""
    environment, task, population = resolve(experiment)
    if experiment.dataset:
        dataset = _read_dataset(Path(experiment.dataset), task)
    else:
        with reporter.stage(f"{environment.name}: data of the behaviour policy") as progress:
            dataset = load_or_collect(
                environment, experiment.num_transitions, experiment.data_seed, data_dir=data_dir, progress=progress
            )
    num_episodes = len(dataset.episode_bounds)
    if num_episodes < 2:
        raise ExperimentError(f"the dataset has {num_episodes} episode; two are needed to hold some out")
    order = generator_for(experiment.data_seed, "held-out episodes").permutation(num_episodes)
    num_held_out = min(max(1, round(experiment.preferences.held_out_episodes * num_episodes)), num_episodes - 1)
    return Prepared(
        environment,
        task,
        population,
        dataset,
        train_episodes=np.sort(order[num_held_out:]),
        held_out_episodes=np.sort(order[:num_held_out]),
    )


def _read_dataset(path: Path, task: MultiGoalTask) -> TransitionDataset:
    dataset = load_transitions(path)
    sizes = dataset.observations.shape[1], dataset.actions.shape[1]
    if sizes != (task.observation_size, task.action_size):
        raise ExperimentError(
            f"{path} holds observations and actions of sizes {sizes}; {task.name} has "
            f"{(task.observation_size, task.action_size)}"
        )
    return dataset


def held_out_users(experiment: Experiment, prepared: Prepared, seed: int) -> Users:
    """One seed's new users: those on whom reward models are diagnosed, and among them those for whom policies act."""
    per_group = max(experiment.preferences.diagnostic_users_per_group, experiment.evaluation.users_per_group)
    return prepared.population.held_out_users(prepared.task, per_group, generator_for(seed, "held-out users"))


def seed_data(experiment: Experiment, prepared: Prepared, seed: int) -> SeedData:
    """Draws one seed's train and held-out users and collects their answers."""
    settings = experiment.preferences
    train_users = prepared.population.train_users(prepared.task, settings.num_users, generator_for(seed, "train users"))
    new_users = held_out_users(experiment, prepared, seed)

    def answers(users: Users, num_comparisons: int, episodes: NDArray[np.int64], purpose: str) -> PreferenceDataset:
        return collect_preferences(
            prepared.task,
            prepared.dataset,
            users,
            num_comparisons=num_comparisons,
            segment_length=settings.segment_length,
            seed=int(generator_for(seed, purpose).integers(2**31)),
            episodes=episodes,
            strategy=settings.strategy,
            provenance={
                "environment": experiment.environment,
                "population": prepared.population.name,
                "teacher": settings.teacher or "the population's",
                "queries": purpose,
            },
        )

    num_context = max(experiment.evaluation.num_answers, 16)
    return SeedData(
        seed=seed,
        train=answers(train_users, settings.num_comparisons, prepared.train_episodes, "train answers"),
        held_out=answers(new_users, num_context + TARGET_PAIRS, prepared.held_out_episodes, "held-out answers"),
        evaluation_rows=_first_of_each_group(new_users, experiment.evaluation.users_per_group),
    )


def _first_of_each_group(users: Users, num: int) -> NDArray[np.int64]:
    groups = np.unique(users.group_index)
    return np.concatenate([np.flatnonzero(users.group_index == group)[:num] for group in groups])


def comparison_states(experiment: Experiment, prepared: Prepared, seed: int) -> NDArray[np.float32]:
    """(C, S) states of the dataset against which a scaling compares when a reward is asked for single places."""
    num = min(experiment.relabel.num_comparison_states, len(prepared.dataset))
    rows = generator_for(seed, "comparison states").integers(len(prepared.dataset), size=num)
    return prepared.dataset.next_observations[rows]
