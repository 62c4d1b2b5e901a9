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

_MAZE = ("maze.environment:MazeNavigation", "maze.vector_environment:MazeNavigationVector")
_RAVENS = ("ravens.environment:RavensManipulation", "ravens.vector_environment:RavensManipulationVector")
_REARRANGE = ("household.rearrange:HabitatRearrange", "household.vector_environment:HabitatRearrangeVector")
_TIDY = ("household.tidy:HabitatTidy", "household.vector_environment:HabitatTidyVector")


def register() -> None:
    """Registers every id that Gymnasium does not know yet."""
    for gym_id, places, steps, settings in (
        (MAZE, _MAZE, 800, {}),
        (RAVENS, _RAVENS, 25, {"zones": "two-zones"}),
        (RAVENS_FOUR_ZONES, _RAVENS, 25, {"zones": "four-zones"}),
        (REARRANGE, _REARRANGE, 1, {}),
        (TIDY, _TIDY, 16, {}),
    ):
        if gym_id not in registry:
            single, vector = (f"pluralbench.envs.{place}" for place in places)
            register_id(gym_id, single, max_episode_steps=steps, kwargs=settings, vector_entry_point=vector)
