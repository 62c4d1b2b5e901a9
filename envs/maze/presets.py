"""What the maze's experiments need beyond the neutral presets."""

from __future__ import annotations

from pluralbench.envs.environments import Settings

# Walls make rewards jump within a cell: without sines of the position a network smooths them across the walls, and the
# robot stops at the side of a wall behind which its user's goal lies. The step size is what it takes to tell the last
# two cells of a dead end apart, about which only one question in two thousand is. Two goals may disagree on a tenth of
# the questions only: at a KL weight of 1 their users share one latent, as telling them apart costs more than it pays.
_REWARD: Settings = {
    "features": {"sinusoid_columns": (0, 1), "wavelengths": (8.0, 4.0, 2.0)},
    "learning_rate": 5e-3,
    "schedule": "cosine",
    "num_updates": 2_500,
    "kl_weight": 0.1,
}

PRESETS: dict[str, Settings] = {
    "smoke": {"num_transitions": 20_000, "preferences": {"num_comparisons": 16}},
    "quick": {
        "num_transitions": 3_000_000,
        "preferences": {"num_users": 5_000},
        "learner_settings": {"*": _REWARD},
        # one navigation in forty-six ends in a given cell: without hindsight policies do not learn to stay there
        "relabel": {"hindsight": 0.5},
        # What makes IQL learn the maze in minutes instead of hours; docs/deviations.md lists each deviation.
        "iql": {
            "num_updates": 5_000,
            "discount": 0.975,  # the utility is an optimal value already: looking further only adds noise
            "n_step": 20,
            "shaping": True,
            "expectile": 0.8,
            "temperature": 8.0,
        },
        "evaluation": {"num_curve_points": 5},
    },
    "paper": {"num_transitions": 4_000_000},
}

# Where a latent is given to all that ends nearer to its goal than to others, policies may learn to stay beside it: of
# what rests within two cells of (3, 1) under its latent, one of fifteen, two thirds rested in another cell. Two goals
# with rests do not need this: there the oracle served (7, 1) in 0.996 with it and without (seeds 100 to 104).
_AT_THE_GOAL: Settings = {"relabel": {"hindsight": 1.0, "hindsight_best": 0.01}}

# In D4RL's data nothing rests anywhere: whatever ends beside a goal tells as much of staying as what ends there, and
# how to brake has to be pieced together from what passes by. After 5,000 updates the oracle served (7, 1) in 0.68,
# swinging to and fro before the goal, after 15,000 in 1.00 (seeds 100 to 104).
D4RL_LIKE_PRESETS: dict[str, Settings] = {
    **PRESETS,
    "quick": {**PRESETS["quick"], **_AT_THE_GOAL, "iql": {**PRESETS["quick"]["iql"], "num_updates": 15_000}},
}

# Ten goals share what two had to themselves: a tenth of the users and of the trajectories is about each of them. Of the
# fifteen goals that the oracle is taught (3, 1) and (4, 1) are neighbours: at a width of 0.1 each was 19 % the other to
# the networks, and policies stopped between the two.
# One question in 2,250 is about (7, 1) and the cell before it. Where one user in eleven wants to be there, 5,000 users
# give three answers to it, and the learned reward may be as high one cell too early; 100,000 give 65.
VARIANTS: dict[str, dict[str, Settings]] = {
    "two-goals-1-10": {"quick": {"preferences": {"num_users": 100_000}}},
    "ten-goals": {
        "quick": {
            "preferences": {"num_users": 20_000},
            "learner_settings": {"*": {"num_updates": 5_000}},
            "iql": {"num_updates": 26_000, "latent_width": 0.05},
            **_AT_THE_GOAL,
        }
    },
}
