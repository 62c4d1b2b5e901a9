"""The two household tasks, on PyBullet or on habitat-sim.

A simulator is imported only when an environment is made or data is collected.
"""

from __future__ import annotations

from typing import Any

from pluralbench.envs import gymnasium_ids
from pluralbench.envs.environments import Environment
from pluralbench.envs.household.presets import (
    REARRANGE_PRESETS,
    REARRANGE_SWEEPS,
    TIDY_PRESETS,
    TIDY_SWEEPS,
    TIDY_VARIANTS,
)
from pluralbench.envs.household.random_placement import collect_rearrange, collect_tidy
from pluralbench.envs.household.rearrange import RearrangeTask
from pluralbench.envs.household.simulator_choice import PYBULLET, SIMULATORS, require_simulator
from pluralbench.envs.household.tidy import TidyTask

_SIMULATORS: dict[str, Any] = {
    "simulators": SIMULATORS,
    "simulator": PYBULLET,
    "require_simulator": require_simulator,
}
REARRANGE = Environment(
    name="habitat-rearrange",
    gym_id=gymnasium_ids.REARRANGE,
    make_task=RearrangeTask,
    collect=collect_rearrange,
    behaviour_version=2,
    default_population="five-rankings",
    presets=REARRANGE_PRESETS,
    sweeps=REARRANGE_SWEEPS,
    state_grid=RearrangeTask().state_grid,
    outcomes=RearrangeTask().outcomes,
    max_parallel_episodes=4096,
    **_SIMULATORS,
)
TIDY = Environment(
    name="habitat-tidy",
    gym_id=gymnasium_ids.TIDY,
    make_task=TidyTask,
    collect=collect_tidy,
    behaviour_version=2,
    default_population="function-or-material",
    presets=TIDY_PRESETS,
    variants=TIDY_VARIANTS,
    sweeps=TIDY_SWEEPS,
    state_grid=TidyTask().state_grid,
    outcomes=TidyTask().outcomes,
    max_parallel_episodes=4096,
    reported_infos=("share_right", "right_agreed", "num_agreed", "right_disputed", "num_disputed"),
    **_SIMULATORS,
)
