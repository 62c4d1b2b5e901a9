"""Ravens-Manipulation; PyBullet is imported only when an environment is made or data is collected."""

from __future__ import annotations

from functools import partial

from pluralbench.envs import gymnasium_ids
from pluralbench.envs.environments import Environment, Settings, collect_at, script_at
from pluralbench.envs.ravens.presets import FOUR_ZONES_PRESETS, PRESETS
from pluralbench.envs.ravens.task import RavensTask
from pluralbench.features import InputFeatures


def _environment(name: str, gym_id: str, zones: str, presets: dict[str, Settings]) -> Environment:
    return Environment(
        name=name,
        gym_id=gym_id,
        make_task=partial(RavensTask, zones),
        collect=partial(collect_at, "pluralbench.envs.ravens.pick_place_policy:collect", zones=zones),
        behaviour_version=1,
        success_version=2,  # 1: at any time in an episode
        behaviour=partial(script_at, "pluralbench.envs.ravens.scripts:behaviour_script", zones=zones),
        tour=partial(script_at, "pluralbench.envs.ravens.scripts:tour_script", zones=zones),
        default_population=zones,
        presets=presets,
        features=InputFeatures(differences=(((0, 1, 2), (3, 4, 5)),)),  # cup minus block
        state_grid=RavensTask(zones).state_grid,
        max_parallel_episodes=32,  # each is a physics client, which takes 30 MB
    )


RAVENS = _environment("ravens", gymnasium_ids.RAVENS, "two-zones", PRESETS)
RAVENS_FOUR_ZONES = _environment("ravens-four-zones", gymnasium_ids.RAVENS_FOUR_ZONES, "four-zones", FOUR_ZONES_PRESETS)
