"""The Gymnasium ids of all environments; nothing is imported for them but Gymnasium.

`import pluralbench` registers them, and ``gym.make("pluralbench:pluralbench/MazeNavigation-v0")`` does that import by
itself. (Gymnasium 1.0 removed the entry points by which an installed package could announce its ids.)
"""

from __future__ import annotations

from gymnasium.envs.registration import register as register_id
from gymnasium.envs.registration import registry

MAZE = "pluralbench/MazeNavigation-v0"
RAVENS = "pluralbench/RavensManipulation-v0"
RAVENS_FOUR_ZONES = "pluralbench/RavensManipulationFourZones-v0"
REARRANGE = "pluralbench/HabitatRearrange-v0"
TIDY = "pluralbench/HabitatTidy-v0"

_ENVS = "pluralbench.envs"
_MAZE = (f"{_ENVS}.maze.environment:MazeNavigation", f"{_ENVS}.maze.vector_environment:MazeNavigationVector")
_RAVENS = (
    f"{_ENVS}.ravens.environment:RavensManipulation",
    f"{_ENVS}.ravens.vector_environment:RavensManipulationVector",
)
_REARRANGE = (
    f"{_ENVS}.household.rearrange:HabitatRearrange",
    f"{_ENVS}.household.vector_environment:HabitatRearrangeVector",
)
_TIDY = (f"{_ENVS}.household.tidy:HabitatTidy", f"{_ENVS}.household.vector_environment:HabitatTidyVector")


def register() -> None:
    """Registers every id that Gymnasium does not know yet."""
    for gym_id, (single, vector), max_episode_steps, settings in (
        (MAZE, _MAZE, 800, {}),
        (RAVENS, _RAVENS, 25, {"zones": "two-zones"}),
        (RAVENS_FOUR_ZONES, _RAVENS, 25, {"zones": "four-zones"}),
        (REARRANGE, _REARRANGE, 1, {}),
        (TIDY, _TIDY, 16, {}),
    ):
        if gym_id not in registry:
            register_id(
                id=gym_id,
                entry_point=single,
                vector_entry_point=vector,
                max_episode_steps=max_episode_steps,
                kwargs=settings,
            )
