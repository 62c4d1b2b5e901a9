"""What the table's experiments need beyond the neutral presets."""

from __future__ import annotations

from pluralbench.envs.environments import Settings

PRESETS: dict[str, Settings] = {
    "quick": {
        "methods": (
            "behaviour",
            "bc",
            "tour",
            "individual",
            "bayes",
            "oracle",
            "btl",
            "vpl",
            "vpl+maxnorm",
            "vpl+spo",
        ),
        "num_transitions": 125_000,
        "iql": {"discount": 0.9},  # an episode has 25 steps
        "evaluation": {"num_curve_points": 4},
    },
    "paper": {"num_transitions": 125_000},
}
