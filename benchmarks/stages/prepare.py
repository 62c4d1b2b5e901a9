"""What every method is given alike: the dataset, the users of each seed, and their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.benchmarks.experiments.identity import Identity, dataset_fingerprint, planned_identity
from pluralbench.benchmarks.experiments.plan import Plan
from pluralbench.benchmarks.experiments.settings import ExperimentError
from pluralbench.benchmarks.results.names import ResultsError, check_text
from pluralbench.benchmarks.stages.session import Session
from pluralbench.envs import DatasetError, TransitionDataset
from pluralbench.envs.collection import load_or_collect
from pluralbench.envs.dataset_files import check_fits, dataset_file
from pluralbench.envs.transition_files import load_transitions
from pluralbench.preference_oracles.fingerprints import users_fingerprint
from pluralbench.preference_oracles.labelling import collect_preferences
from pluralbench.preference_oracles.populations import draw_test_users, draw_train_users
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.users import Users, joined_users

TARGET_PAIRS = 16
"""Pairs of each test user on which a reward model is judged and that it never sees."""
MIN_CONTEXT = 16
"""Answers of each test user that may serve as context, at least."""


@dataclass(frozen=True)
class Prepared:
    """The plan and the data that its seeds share: all of them, or a single one where each has its own."""

    plan: Plan  # what is run
    data_seed: int  # of the dataset
    dataset: TransitionDataset  # N transitions
    train_episodes: NDArray[np.int64]  # about these the train users are asked
    held_out_episodes: NDArray[np.int64]  # about these only test users are


@dataclass(frozen=True)
class SeedDraws:
    """What one seed drew for every method alike: users, and what they answered."""

    seed: int  # which
    train_users: Users  # who taught
    train: PreferenceDataset  # their answers about train episodes
    test_users: Users  # new users, those for whom policies act among them
    test: PreferenceDataset  # the test users' answers about held-out episodes
    acting: NDArray[np.int64]  # rows of `test_users` for whom policies act

    @property
    def acting_users(self) -> Users:
        """The U users for whom policies act."""
        return self.test_users.take(self.acting)

    @property
    def everybody(self) -> Users:
        """Whom there may be: the train users, and test users of the groups that taught nothing."""
        held_out = ~np.array(self.test_users.taught)[self.test_users.group_index]
        return joined_users(self.train_users, self.test_users.take(np.flatnonzero(held_out)))

    @property
    def start_seeds(self) -> NDArray[np.int64]:
        """(U,) of each test user: what the user's episodes start from, whatever the method."""
        return generator_for(self.seed, "starts").integers(2**31, size=len(self.test_users))

    @property
    def first_of_each_group(self) -> NDArray[np.int64]:
        """The place among the acting users of the first user of each group."""
        return np.unique(self.acting_users.group_index, return_index=True)[1]

    def context(self, num_answers: int, rows: ArrayLike | None = None) -> PreferenceDataset:
        """The first answers of the test users, or of those of some rows: what a model may know of them."""
        users = self.test if rows is None else self.test.take_users(rows)
        return users.take_queries(np.arange(num_answers))

    def all_context(self) -> PreferenceDataset:
        """All answers that may serve as context."""
        return self.context(self.test.num_comparisons - TARGET_PAIRS)

    def targets(self) -> PreferenceDataset:
        """The test users' last answers, which no model ever sees."""
        return self.test.take_queries(slice(self.test.num_comparisons - TARGET_PAIRS, None))


def generator_for(seed: int, purpose: str) -> np.random.Generator:
    """An independent stream for each seed and purpose."""
    return np.random.default_rng([seed, *purpose.encode()])


def data_seeds(plan: Plan) -> dict[int, list[int]]:
    """The plan's seeds by the seed of the dataset that they learn from."""
    experiment = plan.experiment
    if not experiment.data_per_seed:
        return {experiment.data_seed: list(experiment.seeds)}
    return {experiment.data_seed + seed: [seed] for seed in experiment.seeds}


def prepare(plan: Plan, session: Session, data_seed: int) -> Prepared:
    """Loads or collects a dataset and holds some of its episodes out."""
    experiment = plan.experiment
    if experiment.dataset:
        path = dataset_file(experiment.dataset)
        dataset = load_transitions(path)
        try:
            check_fits(dataset, plan.task)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from error
    else:
        with session.reporter.stage(f"{plan.environment.name}: data of the behaviour policy") as progress:
            dataset = load_or_collect(
                plan.environment, experiment.num_transitions, data_seed, session.data_dir, progress
            )
    num_episodes = len(dataset.episode_bounds)
    if num_episodes < 2:
        raise ExperimentError(f"the dataset has {num_episodes} episode; two are needed to hold some out")
    order = generator_for(data_seed, "held-out episodes").permutation(num_episodes)
    num_held_out = min(max(1, round(experiment.preferences.held_out_episodes * num_episodes)), num_episodes - 1)
    return Prepared(plan, data_seed, dataset, np.sort(order[num_held_out:]), np.sort(order[:num_held_out]))


def draw_users(plan: Plan, seed: int) -> tuple[Users, Users]:
    """One seed's train and test users."""
    experiment = plan.experiment
    per_group = max(experiment.preferences.diagnostic_users_per_group, experiment.evaluation.users_per_group)
    num_users = experiment.preferences.num_users
    train = draw_train_users(plan.population, plan.task, num_users, generator_for(seed, "train users"))
    generator = generator_for(seed, "held-out users")  # the stream's name, older than the word "test users"
    return train, draw_test_users(plan.population, plan.task, per_group, generator)


def draw_seed(prepared: Prepared, seed: int) -> SeedDraws:
    """Draws one seed's train and test users and collects their answers."""
    plan, settings = prepared.plan, prepared.plan.experiment.preferences
    evaluation = plan.experiment.evaluation

    def answers(users: Users, num_comparisons: int, episodes: NDArray[np.int64], purpose: str) -> PreferenceDataset:
        return collect_preferences(
            plan.task,
            prepared.dataset,
            users,
            num_comparisons=num_comparisons,
            segment_length=settings.segment_length,
            seed=int(generator_for(seed, purpose).integers(2**31)),
            episodes=episodes,
            strategy=settings.strategy,
            provenance={
                "environment": plan.environment.name,
                "population": plan.population.name,
                "teacher": settings.teacher or "the population's",
                "queries": purpose,
            },
        )

    train_users, test_users = draw_users(plan, seed)
    train = answers(train_users, settings.num_comparisons, prepared.train_episodes, "train answers")
    if not (train.mask & (train.labels != 0.5)).any():
        raise ExperimentError(
            f"seed {seed}: all {train.labels.size} answers of the train users are ties or skipped, so that there is "
            "nothing to learn: are all segments of the data worth the same to everybody?"
        )
    num_context = max(evaluation.num_answers, MIN_CONTEXT)
    groups = np.unique(test_users.group_index)
    acting = [np.flatnonzero(test_users.group_index == group)[: evaluation.users_per_group] for group in groups]
    return SeedDraws(
        seed,
        train_users,
        train,
        test_users,
        answers(test_users, num_context + TARGET_PAIRS, prepared.held_out_episodes, "held-out answers"),
        np.concatenate(acting),
    )


def identity_before_work(plan: Plan) -> Identity:
    """The experiment's identity as far as it is known before any data is touched: settings, learners and users."""
    drawn = {seed: draw_users(plan, seed) for seed in plan.experiment.seeds}
    _check_test_users(plan, {seed: test_users for seed, (_, test_users) in drawn.items()})
    fingerprints = {str(seed): [users_fingerprint(users) for users in both] for seed, both in drawn.items()}
    return {**planned_identity(plan), "users": fingerprints}


def _check_test_users(plan: Plan, test_users: Mapping[int, Users]) -> None:
    """Refuses before any work what no table of results could hold.

    Raises:
        ExperimentError: names that are no text for one line, or seeds with other groups of users.
    """
    first, most = next(iter(test_users.values())), plan.experiment.evaluation.users_per_group
    try:
        for name in (plan.population.name, *first.group_names):
            check_text(name, "a name of the population or one of its groups")
    except ResultsError as error:
        raise ExperimentError(str(error)) from error
    expected = np.bincount(first.group_index, minlength=len(first.group_names)).clip(max=most)
    for seed, users in test_users.items():
        numbers = np.bincount(users.group_index, minlength=len(users.group_names)).clip(max=most)
        if users.group_names != first.group_names or not np.array_equal(numbers, expected):
            raise ExperimentError(
                f"{plan.population.name}: seed {seed} has other groups of test users, or other numbers of them, than "
                f"seed {next(iter(test_users))}; every seed must have as many of each"
            )


def identity_of(before: Identity, drawn: Sequence[tuple[Prepared, Sequence[SeedDraws]]]) -> Identity:
    """The whole identity of what is about to be run, from what was known before any data was touched."""
    answers = {str(own.seed): [own.train.fingerprint, own.test.fingerprint] for _, draws in drawn for own in draws}
    data = {str(prepared.data_seed): dataset_fingerprint(prepared.dataset) for prepared, _ in drawn}
    return {**before, "data": data, "answers": answers}
