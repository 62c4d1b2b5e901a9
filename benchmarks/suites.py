"""The experiments of the suite: one literal per environment and preset."""

from __future__ import annotations

from benchmarks.experiment import (
    EvaluationSettings,
    Experiment,
    ExperimentError,
    PreferenceSettings,
    RelabelSettings,
)
from envs.registry import unknown_name
from iql.settings import InputFeatures, IQLSettings

PRESETS = ("smoke", "quick", "paper")

ALL_METHODS = (
    "oracle", "btl", "btl+spo", "dpl-meanvar", "dpl-categorical", "maxmin", "lore+spo",
    "vpl", "vpl+batchnorm", "vpl+maxnorm", "vpl+spo", "spl+spo",
)  # fmt: skip

MAZE_FEATURES = InputFeatures(sinusoid_columns=(0, 1), wavelengths=(4.0, 2.0))

# What makes IQL learn the maze in minutes instead of hours; README.md lists each deviation from the paper.
MAZE_IQL = IQLSettings(
    num_updates=14_000,
    n_step=20,
    temperature=3.0,
    polyak=0.02,
    learning_rate=1e-3,
    schedule="cosine",
    actor_average=0.001,
    features=MAZE_FEATURES,
)

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
        num_transitions=1_000_000,
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

SUITES = {"maze": MAZE}


def experiment_for(environment: str, preset: str) -> Experiment:
    """The experiment of an environment at a preset; ExperimentError names the known ones otherwise."""
    if preset not in PRESETS:
        raise ExperimentError(unknown_name("preset", preset, list(PRESETS)))
    if environment not in SUITES:
        raise ExperimentError(unknown_name("environment", environment, sorted(SUITES)))
    return SUITES[environment][preset]
