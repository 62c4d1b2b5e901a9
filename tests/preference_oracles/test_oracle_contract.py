"""What every registered population with every registered teacher must keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_worlds import all_tasks, random_data

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.preference_oracles.group_populations import TEST_IDS_FROM
from pluralbench.preference_oracles.labelling import answer_queries, collect_preferences, resolve_thresholds
from pluralbench.preference_oracles.populations import get_population, populations
from pluralbench.preference_oracles.preferences import PreferenceDataset
from pluralbench.preference_oracles.queries import segment_pool
from pluralbench.preference_oracles.teacher_populations import with_teacher
from pluralbench.preference_oracles.teachers import teachers
from pluralbench.preference_oracles.users import Population, PopulationError

TASKS = all_tasks()
DATA = {task.name: random_data(task) for task in TASKS}
LENGTH = 3
COMPARISONS = 20


def world(population: Population) -> tuple[MultiGoalTask, TransitionDataset]:
    """The first of the tasks that can express the population."""
    for task in TASKS:
        try:
            population.train_users(task, 1, np.random.default_rng(0))
        except PopulationError:
            continue
        return task, DATA[task.name]
    raise AssertionError(f"no task expresses {population.name}")


def assert_rate(events: np.ndarray, probabilities: np.ndarray) -> None:
    """The events happened as often as independent ones of these probabilities do, within five standard deviations."""
    spread = np.sqrt((probabilities * (1 - probabilities)).sum())
    assert abs(events.sum() - probabilities.sum()) <= 5 * spread + 1e-9 * events.size


@pytest.mark.parametrize("teacher_name", teachers.names())
@pytest.mark.parametrize("population_name", populations.names())
def test_population_with_teacher(population_name: str, teacher_name: str) -> None:
    population = with_teacher(get_population(population_name), teacher_name)
    task, data = world(population)
    users = population.train_users(task, 150, np.random.default_rng(1))
    preferences = collect_preferences(task, data, users, COMPARISONS, LENGTH, seed=2)
    assert preferences.segments.shape == (150, COMPARISONS, 2, LENGTH, task.observation_size)

    pool = segment_pool(data, LENGTH)
    thresholds = resolve_thresholds(task, data, pool, users, np.random.default_rng(3))
    utilities = task.utility(preferences.segments, users.goals[:, None, None, None])
    first, second = utilities[:, :, 0], utilities[:, :, 1]
    teacher = users.teacher

    p = teacher.preference_probability(first, second, thresholds)
    swapped = teacher.preference_probability(second, first, thresholds)
    np.testing.assert_allclose(p + swapped, 1, atol=1e-12)
    assert (teacher.preference_probability(first, first, thresholds) == 0.5).all()

    skip = teacher.skip_probability(first, second, thresholds)
    equal = teacher.equal_probability(first, second, thresholds)
    answers = answer_queries(task, preferences.segments, users.goals, teacher, np.random.default_rng(4), thresholds)
    assert_rate(~answers.mask, skip)
    assert_rate((answers.labels == 0.5)[answers.mask], equal[answers.mask])
    decided = answers.mask & (answers.labels != 0.5)
    p_first = ((p - 0.5 * equal) / np.where(equal < 1, 1 - equal, 1))[decided]
    assert_rate((answers.labels == 1)[decided], p_first)
    assert_rate(answers.flipped[decided], np.full(decided.sum(), teacher.mistake_rate))
    assert not answers.flipped[~decided].any()
    assert (answers.labels[~answers.mask] == 0.5).all()

    order = np.random.default_rng(5).permutation(len(users))
    permuted = users.take(order)
    at = None if thresholds is None else thresholds.take(order)
    np.testing.assert_array_equal(permuted.teacher.preference_probability(first[order], second[order], at), p[order])
    np.testing.assert_array_equal(permuted.ids, users.ids[order])


@pytest.mark.parametrize("name", populations.names())
def test_population_draws_users(name: str) -> None:
    population = get_population(name)
    assert population.name == name
    assert population.description
    task, _ = world(population)
    users = population.train_users(task, 500, np.random.default_rng(1))
    again = population.train_users(task, 500, np.random.default_rng(1))
    other = population.train_users(task, 500, np.random.default_rng(2))
    np.testing.assert_array_equal(users.goals, again.goals)
    np.testing.assert_array_equal(users.group_index, again.group_index)
    assert users.teacher.summary() == again.teacher.summary()
    if len(users.group_names) > 1:
        assert (users.group_index != other.group_index).any()
    for goal in np.unique(users.goals, axis=0)[:20]:
        np.testing.assert_array_equal(task.goal(goal), goal)

    test = population.test_users(task, 3, np.random.default_rng(1))
    num_train = len(users.group_names)
    assert test.group_names[:num_train] == users.group_names
    assert users.taught == (True,) * num_train
    assert test.taught == (True,) * num_train + (False,) * (len(test.group_names) - num_train)
    assert not any(group.startswith("held-out") for group in test.group_names)
    assert not set(test.ids) & set(users.ids)
    assert test.ids.min() >= TEST_IDS_FROM
    assert (np.bincount(test.group_index, minlength=len(test.group_names)) == 3).all()
    trained = set(users.group_index)
    assert test.taught == tuple(index in trained for index in range(len(test.group_names)))
    assert len(set(test.group_names)) == len(test.group_names)


@pytest.mark.parametrize("name", populations.names())
def test_answers_are_the_seeds_and_survive_the_disk(name: str, tmp_path: Path) -> None:
    population = get_population(name)
    task, data = world(population)
    users = population.train_users(task, 40, np.random.default_rng(1))
    preferences = collect_preferences(task, data, users, 5, LENGTH, seed=2)
    again = collect_preferences(task, data, users, 5, LENGTH, seed=2)
    other = collect_preferences(task, data, users, 5, LENGTH, seed=3)
    assert_equal(preferences, again)
    assert (preferences.segments != other.segments).any()

    path = tmp_path / "preferences.hdf5"
    preferences.save(path)
    assert_equal(PreferenceDataset.load(path), preferences)
    assert_equal(PreferenceDataset.load(path, lazy=True), preferences)


def assert_equal(a: PreferenceDataset, b: PreferenceDataset) -> None:
    for column in ("segments", "labels", "mask", "user_ids", "group_index", "goals"):
        np.testing.assert_array_equal(getattr(a, column), getattr(b, column), err_msg=column)
    assert a.group_names == b.group_names
    assert a.provenance == b.provenance
