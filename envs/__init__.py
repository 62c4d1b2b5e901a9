"""What the robot can do, and what can be wanted of it; importing it makes every environment known, no simulator."""

from __future__ import annotations

from pluralbench.envs.environments import Environment, environments
from pluralbench.envs.multigoal import GoalError, MultiGoalTask
from pluralbench.envs.scripts import PlannedScript, RandomScript, Script
from pluralbench.envs.state_grid import StateGrid
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.lazy import lazily

__all__ = [  # noqa: RUF022 (by what they are about)
    "Environment",
    "environments",
    "MultiGoalTask",
    "GoalError",
    "StateGrid",
    "Script",
    "PlannedScript",
    "RandomScript",
    "TransitionDataset",
    "DatasetError",
    "load_or_collect",
    "load_transitions",
    "save_transitions",
    "make_vector",
    "check_environment",
    "ContractError",
]

__getattr__ = lazily(
    __name__,
    {
        "load_or_collect": "pluralbench.envs.collection",
        "load_transitions": "pluralbench.envs.transition_files",
        "save_transitions": "pluralbench.envs.transition_files",
        "make_vector": "pluralbench.envs.vectors",
        "check_environment": "pluralbench.envs.environment_check",
        "ContractError": "pluralbench.envs.environment_check",
    },
)
"""Names that are imported when they are first asked for, with where they are."""

environments.register_lazily("maze", "pluralbench.envs.maze:MAZE")
environments.register_lazily("maze-d4rl-like", "pluralbench.envs.maze:MAZE_D4RL_LIKE")
environments.register_lazily("ravens", "pluralbench.envs.ravens:RAVENS")
environments.register_lazily("ravens-four-zones", "pluralbench.envs.ravens:RAVENS_FOUR_ZONES")
environments.register_lazily("habitat-rearrange", "pluralbench.envs.household:REARRANGE")
environments.register_lazily("habitat-tidy", "pluralbench.envs.household:TIDY")
