"""The experiments of the suite: one literal per environment and preset."""

from __future__ import annotations

from dataclasses import replace

from pluralbench.benchmarks.experiment import (
    EvaluationSettings,
    Experiment,
    ExperimentError,
    PreferenceSettings,
    RelabelSettings,
)
from pluralbench.iql.settings import InputFeatures, IQLSettings
from pluralbench.registry import unknown_name

PRESETS = ("smoke", "quick", "paper")

ALL_METHODS = (
    "oracle", "btl", "btl+spo", "dpl-meanvar", "dpl-categorical", "maxmin", "maxmin+spo@maxmin", "lore+spo", "spl+spo",
    "vpl", "vpl+batchnorm", "vpl+maxnorm", "vpl+spo",
)  # fmt: skip
"""What `--methods all` stands for; the last one is filmed."""


def all_methods(policy: str) -> tuple[str, ...]:
    """`ALL_METHODS` that go with a policy: one greedy step has no place for a method's own policy."""
    return tuple(method for method in ALL_METHODS if policy != "greedy" or "@" not in method)


MAZE_FEATURES = InputFeatures(sinusoid_columns=(0, 1), wavelengths=(8.0, 4.0, 2.0))

# What makes IQL learn the maze in minutes instead of hours; README.md lists each deviation from the paper.
MAZE_IQL = IQLSettings(
    num_updates=13_000,
    precision="auto",
    standard_rewards=True,
    discount=0.975,  # the utility is an optimal value already: looking further only adds noise
    n_step=20,
    expectile=0.8,
    temperature=4.0,
    polyak=0.02,
    learning_rate=1e-3,
    schedule="cosine",
    actor_average=0.001,
    features=MAZE_FEATURES,
)

# Walls make rewards jump within a cell: without sines of the position a network smooths them across the walls, and the
# robot stops at the side of a wall behind which its user's goal lies. The step size is what it takes to tell the last
# two cells of a dead end apart, about which only one question in two thousand is. Two goals may disagree on a tenth of
# the questions only: at a KL weight of 1 their users share one latent, as telling them apart costs more than it pays.
MAZE_REWARD = {
    "fourier_columns": [0, 1],
    "fourier_wavelengths": [8.0, 4.0, 2.0],
    "learning_rate": 5e-3,
    "schedule": "cosine",
    "num_updates": 2_500,
    "kl_weight": 0.1,
}

MAZE = {
    "smoke": Experiment(
        suite="smoke",
        environment="maze",
        population="two-goals",
        methods=("oracle", "btl", "vpl", "vpl+spo"),
        num_seeds=1,
        num_transitions=20_000,
        preferences=PreferenceSettings(num_users=64, num_comparisons=16, diagnostic_users_per_group=8),
        learner_settings={"*": {"num_updates": 20, "num_validations": 2}},
        relabel=RelabelSettings(num_latents=32, num_comparison_states=32),
        iql=IQLSettings(num_updates=20, batch_size=32, hidden_sizes=(32, 32), features=MAZE_FEATURES),
        evaluation=EvaluationSettings(users_per_group=1, episodes=2, num_curve_points=2, curve_episodes=1),
    ),
    "quick": Experiment(
        suite="quick",
        environment="maze",
        population="two-goals",
        methods=("oracle", "btl", "vpl", "vpl+spo"),
        num_seeds=2,
        num_transitions=3_000_000,
        preferences=PreferenceSettings(num_users=5_000),
        learner_settings={"*": MAZE_REWARD},
        iql=MAZE_IQL,
    ),
    "paper": Experiment(
        suite="paper",
        environment="maze",
        population="two-goals",
        methods=ALL_METHODS,
        num_seeds=5,
        num_transitions=4_000_000,
        preferences=PreferenceSettings(num_users=5_000, diagnostic_users_per_group=100),
        learner_settings={"*": {"num_updates": 10_000, "batch_users": 256, "latent_size": 32}},
        relabel=RelabelSettings(num_latents=4_096, num_comparison_states=1_000),
        iql=IQLSettings(num_updates=1_000_000, features=MAZE_FEATURES),
        evaluation=EvaluationSettings(users_per_group=5, episodes=100, num_curve_points=10, curve_episodes=25),
    ),
}

# Ten goals share what two had to themselves: a tenth of the users and of the trajectories is about each of them.
MAZE_TEN_GOALS = replace(
    MAZE["quick"],
    population="ten-goals",
    preferences=PreferenceSettings(num_users=20_000),
    learner_settings={"*": {**MAZE_REWARD, "num_updates": 5_000}},
    iql=replace(MAZE_IQL, num_updates=26_000),
)

# The table's episodes have 25 steps; what matters is where the block is relative to the cup and to the zones.
RAVENS_FEATURES = InputFeatures(differences=(((0, 1, 2), (3, 4, 5)),))
RAVENS_IQL = IQLSettings(
    num_updates=8_000,
    precision="auto",
    standard_rewards=True,
    discount=0.9,
    temperature=3.0,
    polyak=0.02,
    learning_rate=1e-3,
    schedule="cosine",
    actor_average=0.001,
    features=RAVENS_FEATURES,
)

RAVENS = {
    "smoke": replace(
        MAZE["smoke"],
        environment="ravens",
        population="two-zones",
        num_transitions=1_000,
        iql=replace(MAZE["smoke"].iql, features=RAVENS_FEATURES),
    ),
    "quick": Experiment(
        suite="quick",
        environment="ravens",
        population="two-zones",
        methods=("oracle", "btl", "vpl", "vpl+maxnorm", "vpl+spo"),
        num_seeds=2,
        num_transitions=125_000,
        preferences=PreferenceSettings(num_users=2_000),
        learner_settings={"*": {"learning_rate": 3e-3, "schedule": "cosine"}},
        iql=RAVENS_IQL,
        evaluation=EvaluationSettings(users_per_group=1, num_curve_points=4, curve_episodes=10),
    ),
    "paper": replace(
        MAZE["paper"],
        environment="ravens",
        population="two-zones",
        num_transitions=125_000,
        iql=IQLSettings(num_updates=1_000_000, features=RAVENS_FEATURES),
    ),
}

HOUSEHOLD_METHODS = ("oracle", "btl", "dpl-meanvar", "dpl-categorical", "maxmin", "vpl", "vpl+spo")
HOUSEHOLD_IQL = IQLSettings(
    num_updates=3_000, discrete_actions=True, learning_rate=1e-3, schedule="cosine", polyak=0.02, temperature=3.0
)

HOUSEHOLD = {
    "smoke": replace(
        MAZE["smoke"],
        environment="habitat-rearrange",
        population="five-rankings",
        policy="greedy",
        num_transitions=200,
        iql=replace(HOUSEHOLD_IQL, num_updates=20),
    ),
    "quick": Experiment(
        suite="quick",
        environment="habitat-rearrange",
        population="five-rankings",
        policy="greedy",
        methods=HOUSEHOLD_METHODS,
        num_seeds=2,
        num_transitions=5_000,
        preferences=PreferenceSettings(num_users=2_000),
        learner_settings={"*": {"learning_rate": 3e-3, "schedule": "cosine"}},
        iql=HOUSEHOLD_IQL,
        evaluation=EvaluationSettings(users_per_group=4),
    ),
    "paper": replace(
        MAZE["paper"],
        environment="habitat-rearrange",
        population="five-rankings",
        policy="greedy",
        methods=all_methods("greedy"),
        num_transitions=20_000,
        iql=replace(HOUSEHOLD_IQL, num_updates=100_000),
        evaluation=EvaluationSettings(users_per_group=2),
    ),
}

# Questions about two different places: with random ones a fifth is about one and the same, and tells nothing. Five
# rankings differ in few pairs of places, so more bits must pass through the latents than the evidence lower bound lets.
REARRANGE = HOUSEHOLD | {
    "quick": replace(
        HOUSEHOLD["quick"],
        preferences=PreferenceSettings(num_users=2_000, strategy="stratified"),
        learner_settings={"*": {"learning_rate": 3e-3, "schedule": "cosine", "num_updates": 3_000, "kl_weight": 0.3}},
    )
}

# An episode is four placements among eight objects: three users of a group are what ten minutes allow.
TIDY = {
    preset: replace(
        experiment,
        environment="habitat-tidy",
        population="function-or-material",
        evaluation=replace(experiment.evaluation, users_per_group=3 if preset == "quick" else 2),
    )
    for preset, experiment in HOUSEHOLD.items()
}

SUITES = {"maze": MAZE, "ravens": RAVENS, "habitat-rearrange": REARRANGE, "habitat-tidy": TIDY}


VARIANTS = {("maze", "quick", "ten-goals"): MAZE_TEN_GOALS}
"""Experiments of populations that need other settings than their preset's."""


def experiment_for(environment: str, preset: str, population: str | None = None) -> Experiment:
    """The experiment of an environment at a preset, for a population of its own if one is named.

    Raises:
        ExperimentError: no such environment or preset; the known ones are named.
    """
    if preset not in PRESETS:
        raise ExperimentError(unknown_name("preset", preset, list(PRESETS)))
    if environment not in SUITES:
        raise ExperimentError(unknown_name("environment", environment, sorted(SUITES)))
    if population is None:
        return SUITES[environment][preset]
    experiment = VARIANTS.get((environment, preset, population), SUITES[environment][preset])
    return replace(experiment, population=population)
