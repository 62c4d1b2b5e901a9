"""What the table's experiments need beyond the neutral presets."""

from __future__ import annotations

from pluralbench.envs.environments import Settings

PRESETS: dict[str, Settings] = {
    "quick": {
        "methods": ("oracle", "btl", "vpl", "vpl+maxnorm", "vpl+spo"),
        "num_transitions": 125_000,
        "iql": {"discount": 0.9},  # an episode has 25 steps
        "evaluation": {"users_per_group": 1, "num_curve_points": 4, "curve_episodes": 10},
    },
    "paper": {"num_transitions": 125_000},
}
