"""The two household tasks, on PyBullet or on habitat-sim.

Registered here; a simulator is imported only when an environment is made or data is collected.
"""

from __future__ import annotations

import gymnasium as gym

from pluralbench.envs.environments import Environment, Progress, environments
from pluralbench.envs.household.rearrange import RearrangeTask
from pluralbench.envs.household.tidy import TidyTask
from pluralbench.envs.transitions import TransitionDataset

REARRANGE_ID = "pluralbench/HabitatRearrange-v0"
TIDY_ID = "pluralbench/HabitatTidy-v0"


def _collect_rearrange(num_transitions: int, seed: int, progress: Progress | None = None) -> TransitionDataset:
    from pluralbench.envs.household.random_placement import collect_rearrange

    return collect_rearrange(num_transitions, seed, progress)


def _collect_tidy(num_transitions: int, seed: int, progress: Progress | None = None) -> TransitionDataset:
    from pluralbench.envs.household.random_placement import collect_tidy

    return collect_tidy(num_transitions, seed, progress)


gym.register(
    id=REARRANGE_ID,
    entry_point="pluralbench.envs.household.rearrange:HabitatRearrange",
    vector_entry_point="pluralbench.envs.household.vector_environment:HabitatRearrangeVector",
    max_episode_steps=RearrangeTask.max_episode_steps,
)
gym.register(
    id=TIDY_ID,
    entry_point="pluralbench.envs.household.tidy:HabitatTidy",
    vector_entry_point="pluralbench.envs.household.vector_environment:HabitatTidyVector",
    max_episode_steps=TidyTask.max_episode_steps,
)
environments.register(
    "habitat-rearrange",
    Environment(
        name="habitat-rearrange",
        gym_id=REARRANGE_ID,
        make_task=RearrangeTask,
        collect=_collect_rearrange,
        behaviour_version=1,
        default_population="five-rankings",
    ),
)
environments.register(
    "habitat-tidy",
    Environment(
        name="habitat-tidy",
        gym_id=TIDY_ID,
        make_task=TidyTask,
        collect=_collect_tidy,
        behaviour_version=1,
        default_population="function-or-material",
        reported_infos=("share_right", "right_agreed", "num_agreed", "right_disputed", "num_disputed"),
    ),
)
