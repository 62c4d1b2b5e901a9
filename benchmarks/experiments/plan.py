"""An experiment with everything that it names looked up, checked, and resolved to what is really used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from pluralbench.benchmarks.experiments.methods import Method, policies
from pluralbench.benchmarks.experiments.settings import Experiment, ExperimentError
from pluralbench.envs import Environment, MultiGoalTask, environments
from pluralbench.envs.dataset_files import dataset_file
from pluralbench.envs.environment_check import check_environment
from pluralbench.features import InputFeatures
from pluralbench.iql.training import fastest_precision
from pluralbench.lines import is_one_line, shown
from pluralbench.preference_oracles.populations import draw_test_users, draw_train_users, get_population, populations
from pluralbench.preference_oracles.teacher_populations import with_teacher
from pluralbench.preference_oracles.users import Population
from pluralbench.registry import Registry
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.pair_classifier import PairClassifierSettings
from pluralbench.reward_learning.scalings import SPO_PAIRS
from pluralbench.settings import S, SettingsError, as_json, merged, settings_from, unknown_setting

LONGEST_NAME = 200
"""Bytes of a name that folders and files of results are called by; most systems allow 255, endings included."""


@dataclass(frozen=True)
class Plan:
    """What a run is going to do; made by `make_plan`."""

    experiment: Experiment  # its settings as used: the precision is no longer `auto`
    environment: Environment  # found by name
    task: MultiGoalTask  # what can be wanted there
    population: Population  # with the experiment's teacher, where it has one
    methods: tuple[Method, ...]  # in the experiment's order
    learner_settings: Mapping[str, Any]  # by the learner's specification, all its settings
    classifier_settings: PairClassifierSettings  # of the scaling `spo-pairs`, whether or not a method has it
    device: str  # where networks live

    def settings(self) -> dict[str, Any]:
        """Every setting of every stage that all methods and seeds share, as JSON values; not the environment's."""
        values = as_json(self.experiment)
        for name in ("methods", "seeds", "learner_settings", "simulator"):
            del values[name]
        return {**values, "environment": self.environment.name, "population": self.population.name}

    def settings_of(self, learner: str) -> dict[str, Any]:
        """Every setting of one learner, as JSON values."""
        return as_json(self.learner_settings[learner])


def make_plan(experiment: Experiment, device: str = "cpu") -> Plan:
    """Looks everything up before any work.

    Raises:
        UnknownNameError: a name that nothing goes by.
        ExperimentError: settings that do not go together.
        SettingsError: a setting of a learner that it does not have, or an impossible value.
        DatasetError: no such dataset.
        InputError: the environment has no such simulator, or it is not installed.
        ContractError: an environment from a file or a package breaks its contract; registered ones are trusted.
        PopulationError: the population does not suit the environment.
    """
    environment = environments.get(experiment.environment).on(experiment.simulator)
    task = environment.make_task()
    methods = tuple(Method.parse(method, experiment.policy) for method in experiment.methods)
    names = [method.name for method in methods]
    if len(set(names)) != len(names):
        raise ExperimentError(f"a method is named twice: {' '.join(names)}")
    for method in methods:
        policies.get(method.policy).check(experiment, environment, method)
    for kind, name in (("environment", environment.name), *(("method", method.name) for method in methods)):
        _check_file_name(kind, name)
    experiment.iql.features.check_columns(task.observation_size)
    if experiment.dataset:
        dataset_file(experiment.dataset)
    population = get_population(experiment.population)
    if experiment.preferences.teacher is not None:
        population = with_teacher(population, experiment.preferences.teacher)
    draw_train_users(population, task, 2, np.random.default_rng(0))
    users = draw_test_users(population, task, 1, np.random.default_rng(0))
    for method in methods:
        _check_own_name(learners, method.learner, learners.get(method.learner).name)
        _check_own_name(policies, method.policy, policies.get(method.policy).name)
    _check_own_name(populations, experiment.population, population.name)
    _check_own_name(environments, experiment.environment, environment.name)
    if experiment.environment not in environments.registered():
        check_environment(environment, users.goals)
    iql = experiment.iql
    if iql.precision == "auto":
        iql = replace(iql, precision=fastest_precision(device, iql.implementation))
    used = tuple(dict.fromkeys(method.learner for method in methods))
    _check_settings_of_others(experiment, used)
    learner_settings = {learner: _learner_settings(experiment, learner) for learner in used}
    for settings in learner_settings.values():
        getattr(settings, "features", InputFeatures()).check_columns(task.observation_size)
    return Plan(
        replace(experiment, iql=iql),
        environment,
        task,
        population,
        methods,
        learner_settings,
        _settings_of(experiment, PairClassifierSettings, SPO_PAIRS),
        device,
    )


def _check_file_name(kind: str, name: str) -> None:
    """Raises ExperimentError for a name that no folder of results can have."""
    if not name.strip() or name.startswith(".") or "/" in name or "\\" in name or not is_one_line(name):
        raise ExperimentError(f"the {kind}'s name {shown(name)} cannot be a folder's: no slashes, no dot in front")
    if len(name.encode()) > LONGEST_NAME:
        raise ExperimentError(f"the {kind}'s name {shown(name)} is too long: at most {LONGEST_NAME} bytes")


def _check_own_name(registry: Registry[Any], specification: str, name: str) -> None:
    """ExperimentError for a thing from elsewhere that results would mix up with the suite's own of that name."""
    if specification != name and name in registry.registered():
        raise ExperimentError(
            f"the {registry.kind} {specification} is called {name} as one of the suite's own; give it another name"
        )


def _check_settings_of_others(experiment: Experiment, used: tuple[str, ...]) -> None:
    """SettingsError for settings of a learner that there is not, or that none has, whether or not it is `used`.

    The classifier of `spo-pairs` goes by the scaling's name.
    """
    known = tuple(dict.fromkeys([*learners.names(), SPO_PAIRS, *(learners.get(learner).name for learner in used)]))
    for name, values in experiment.learner_settings.items():
        if name == "*":
            types = [learners.get(learner).settings_type for learner in (*learners.names(), *used)]
            having = {field.name for kind in types for field in fields(kind)}
            for key in values.keys() - having:
                raise SettingsError(unknown_setting("learner_settings.*", key, sorted(having)))
        elif name not in known:
            raise SettingsError(unknown_setting("learner_settings", name, known))
        elif name in learners.names():
            _learner_settings(experiment, name)


def _learner_settings(experiment: Experiment, learner: str) -> Any:
    """All settings of a learner."""
    model = learners.get(learner)
    return _settings_of(experiment, model.settings_type, model.name)


def _settings_of(experiment: Experiment, kind: type[S], name: str) -> S:
    """Settings by the name of their owner: those given to every learner that has them, then its own."""
    has = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    shared = {key: value for key, value in experiment.learner_settings.get("*", {}).items() if key in has}
    own = experiment.learner_settings.get(name, {})
    return settings_from(kind, merged(shared, own), f"learner_settings.{name}")
