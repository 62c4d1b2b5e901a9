"""Ravens-Manipulation: registered here; PyBullet is imported only when an environment is made or data is collected."""

from __future__ import annotations

from functools import partial

import gymnasium as gym

from pluralbench.envs.environments import Environment, Progress, environments
from pluralbench.envs.ravens.task import RavensTask
from pluralbench.envs.transitions import TransitionDataset


def _collect(
    num_transitions: int, seed: int, progress: Progress | None = None, *, zones: str = "two-zones"
) -> TransitionDataset:
    from pluralbench.envs.ravens.pick_place_policy import collect

    return collect(num_transitions, seed, progress, zones=zones)


for _zones, _name, _gym_id in (
    ("two-zones", "ravens", "pluralbench/RavensManipulation-v0"),
    ("four-zones", "ravens-four-zones", "pluralbench/RavensManipulationFourZones-v0"),
):
    gym.register(
        id=_gym_id,
        entry_point="pluralbench.envs.ravens.environment:RavensManipulation",
        vector_entry_point="pluralbench.envs.ravens.vector_environment:RavensManipulationVector",
        max_episode_steps=RavensTask.max_episode_steps,
        kwargs={"zones": _zones},
    )
    environments.register(
        _name,
        Environment(
            name=_name,
            gym_id=_gym_id,
            make_task=partial(RavensTask, _zones),
            collect=partial(_collect, zones=_zones),
            behaviour_version=1,
            default_population=_zones,
            max_parallel_episodes=32,  # each is a physics client, which takes 30 MB
        ),
    )
