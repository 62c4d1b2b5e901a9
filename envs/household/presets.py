"""What the household's experiments need beyond the neutral presets, and what they vary."""

from __future__ import annotations

from pluralbench.envs.environments import Settings

_METHODS = (
    "behaviour", "bc", "tour", "individual", "bayes", "oracle", "btl", "dpl-meanvar", "dpl-categorical", "maxmin",
    "vpl", "vpl+spo",
)  # fmt: skip
_IQL: Settings = {"learning_rate": 1e-3, "schedule": "cosine", "polyak": 0.02, "temperature": 3.0}
_SMOKE: Settings = {"num_transitions": 200, "iql": _IQL}
_QUICK: Settings = {
    "methods": _METHODS,
    "num_transitions": 5_000,
    # one step decides: a tenth of the updates that the neutral preset has
    "iql": {"num_updates": 3_000, "precision": "float32", "normalize_rewards": False, "actor_average": 0.0},
}
_PAPER: Settings = {
    "num_transitions": 20_000,
    "iql": {**_IQL, "num_updates": 100_000},
    "evaluation": {"users_per_group": 20},
}

# Questions about two different places: with random ones a fifth is about one and the same, and tells nothing. Five
# rankings differ in few pairs of places, so more bits must pass through the latents than the evidence lower bound lets.
REARRANGE_PRESETS: dict[str, Settings] = {
    "smoke": _SMOKE,
    "quick": {
        **_QUICK,
        "preferences": {"strategy": "stratified"},
        "learner_settings": {"*": {"num_updates": 3_000, "kl_weight": 0.3}},
    },
    "paper": _PAPER,
}

TIDY_PRESETS: dict[str, Settings] = {
    "smoke": {**_SMOKE, "evaluation": {"users_per_group": 2}},
    "quick": _QUICK,
    "paper": _PAPER,
}

# Five attributes are five wishes. At a KL weight of 1 three of them share one latent in some seeds: telling their users
# apart costs the evidence lower bound more than it pays.
TIDY_VARIANTS: dict[str, dict[str, Settings]] = {
    "five-attributes": {"quick": {"learner_settings": {"*": {"kl_weight": 0.1}}}}
}

_RANKINGS = {"5": "five-rankings", **{n: f"{n}-rankings" for n in ("10", "20", "50")}, "100": "hundred-rankings"}
_RATIOS = {"1:1": "function-or-material", "1:6": "function-or-material-1-6", "1:10": "function-or-material-1-10"}

REARRANGE_SWEEPS: dict[str, dict[str, Settings]] = {
    "users": {
        label: {
            "population": population,
            "methods": ("oracle", "btl", "vpl", "vpl+spo"),
        }
        for label, population in _RANKINGS.items()
    }
}
TIDY_SWEEPS: dict[str, dict[str, Settings]] = {
    "noise": {
        f"{rate:g}": {"methods": ("btl", "vpl"), "preferences": {"teacher": f"mistake_rate={rate:g}"}}
        for rate in (0.0, 0.1, 0.25, 0.4, 0.5)
    },
    "minority": {
        label: {"methods": ("oracle", "btl", "maxmin", "vpl"), "population": population}
        for label, population in _RATIOS.items()
    },
    "active": {"questions": {"methods": ("vpl",)}},
}
