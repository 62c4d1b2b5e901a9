"""The neutral presets, and the experiment of an environment at a preset."""

from __future__ import annotations

from typing import Any

from pluralbench.benchmarks.experiments.methods import ALL_METHODS, REFERENCE_ROWS, possible_methods
from pluralbench.benchmarks.experiments.settings import Experiment, ExperimentError
from pluralbench.envs import environments
from pluralbench.envs.environments import Settings
from pluralbench.lines import shown
from pluralbench.preference_oracles.populations import get_population
from pluralbench.registry import unknown_name
from pluralbench.settings import SettingsError, as_json, merged, settings_from

_METHODS = (*REFERENCE_ROWS, "btl", "vpl", "vpl+spo")

NEUTRAL: dict[str, Settings] = {
    # seconds, for tests
    "smoke": {
        "methods": _METHODS,
        "seeds": (0,),
        "num_transitions": 1_000,
        "preferences": {"num_users": 64, "diagnostic_users_per_group": 8},
        "learner_settings": {"*": {"num_updates": 20, "num_validations": 2}},
        "relabel": {"num_latents": 32, "num_comparison_states": 32},
        "iql": {"num_updates": 20, "batch_size": 32, "hidden_sizes": (32, 32)},
        "evaluation": {"users_per_group": 1, "episodes": 2, "num_curve_points": 2},
    },
    # minutes on two cores, shows the main effect
    "quick": {
        "methods": _METHODS,
        "seeds": (0, 1),
        "num_transitions": 100_000,
        "preferences": {"num_users": 2_000},
        "learner_settings": {"*": {"learning_rate": 3e-3, "schedule": "cosine"}},
        "relabel": {"latents": "even", "comparison_states": "wanted"},
        "iql": {
            "num_updates": 8_000,
            "precision": "auto",
            "normalize_rewards": True,
            "temperature": 3.0,
            "polyak": 0.02,
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "actor_average": 0.001,
            "latent_centres": 32,
        },
    },
    # the papers' protocol, for one GPU
    "paper": {
        "methods": ALL_METHODS,
        "seeds": (0, 1, 2, 3, 4),
        "num_transitions": 1_000_000,
        "preferences": {"num_users": 5_000, "diagnostic_users_per_group": 100},
        "learner_settings": {"*": {"num_updates": 10_000, "batch_users": 256, "latent_size": 32}},
        "relabel": {"num_latents": 4_096, "num_comparison_states": 1_000},
        "iql": {"num_updates": 1_000_000},
        "evaluation": {"users_per_group": 40, "num_curve_points": 10},
    },
}
PRESETS = tuple(NEUTRAL)


def experiment_for(environment: str, preset: str, *changes: Settings) -> Experiment:
    """The experiment of an environment at a preset.

    What stands first is overridden by what follows: the neutral preset, what the environment is like (its features,
    its actions, its default population), its own preset, what it has for the population, and `changes`.

    Args:
        environment: a name, or `file.py:NAME`.
        preset: one of `PRESETS`.
        *changes: nested settings, `{"population": "ten-goals", "iql": {"num_updates": 60}}` for example; `methods` may
            be `("all",)`, and a `policy` goes before `methods` are looked at.

    Raises:
        UnknownNameError: no such environment or population.
        ExperimentError: no such preset, or settings of another environment.
        SettingsError: an unknown setting, or an impossible value; all are checked together.
    """
    if preset not in NEUTRAL:
        raise ExperimentError(unknown_name("preset", preset, PRESETS))
    found = environments.get(environment)
    task = found.make_task()
    for changed in (found.presets, *found.variants.values()):
        for name in changed.keys() - NEUTRAL.keys():
            raise ExperimentError(f"{found.name} has settings for a preset: {unknown_name('preset', name, PRESETS)}")
    own: dict[str, Any] = {
        "environment": environment,
        "population": found.default_population,
        "policy": "greedy" if found.outcomes is not None else "iql",
        "iql": {"features": as_json(found.features), "discrete_actions": task.discrete_actions},
    }
    base = merged(NEUTRAL[preset], own, found.presets.get(preset, {}))
    _check_own(base, f"{environment}, its preset {preset!r}")
    chosen = _checked(merged(base, *changes), environment)
    if chosen["population"] != base["population"]:
        name = get_population(chosen["population"]).name
        base = merged(base, found.variants.get(name, {}).get(preset, {}))
        _check_own(base, f"{environment}, its preset {preset!r} for {name}")
        chosen = _checked(merged(base, *changes), environment)
    if chosen["methods"] == ("all",):
        chosen["methods"] = ALL_METHODS
    if chosen["methods"] in (ALL_METHODS, tuple(base["methods"])):
        chosen["methods"] = possible_methods(
            chosen["methods"], found, chosen["policy"], has_dataset=bool(chosen.get("dataset"))
        )
    return settings_from(Experiment, chosen)


def _check_own(base: dict[str, Any], whose: str) -> None:
    """SettingsError that says `whose` it is, for a fault in what an environment has for a preset itself."""
    try:
        settings_from(Experiment, base)
    except SettingsError as error:
        raise SettingsError(f"{whose}: {error}") from error


def _checked(chosen: dict[str, Any], environment: str) -> dict[str, Any]:
    """The settings that are looked at before all are checked together: names are texts, methods several."""
    for name in ("population", "policy", "environment"):
        if not isinstance(chosen[name], str):
            raise SettingsError(f"{name} is a name, got {shown(chosen[name])}")
    if chosen["environment"] != environment:
        raise ExperimentError(f"the environment is {environment} already; name {chosen['environment']} in its place")
    methods = chosen["methods"]
    if isinstance(methods, str):
        methods = (methods,)
    if not isinstance(methods, list | tuple) or not all(isinstance(method, str) for method in methods):
        raise SettingsError(f"methods are names, got {shown(methods)}")
    return {**chosen, "methods": tuple(methods)}
