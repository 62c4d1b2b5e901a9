"""Many household episodes side by side, all in one simulator.

Between two placements nothing in the flat moves, so an episode is no more than the poses of its objects: the simulator
takes up one episode after the other. Each gives exactly what it would give by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from gymnasium.vector import AutoresetMode

from pluralbench.envs.household.environment import HouseholdEnv
from pluralbench.envs.household.rearrange import HabitatRearrange
from pluralbench.envs.household.simulator_choice import make_simulator
from pluralbench.envs.household.tidy import HabitatTidy
from pluralbench.envs.vectors import SerialVector, check_vector


class HouseholdVector(SerialVector):
    """`num_envs` episodes of a household environment, with its spaces, rewards and ends; see `VectorEpisodes`.

    Args:
        num_envs: number of episodes.
        simulator: `auto`, `pybullet` or `habitat`.
        render_mode: None or `rgb_array`; `render()` gives one picture per environment.
        autoreset_mode: NEXT_STEP or DISABLED.
        max_episode_steps: taken because Gymnasium names it; episodes end by themselves before.
        **arguments: the environment's own, for example `goal` or `episodes`.
    """

    environment: ClassVar[Callable[..., HouseholdEnv]]

    def __init__(
        self,
        num_envs: int = 1,
        simulator: str = "auto",
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        check_vector("household", num_envs, autoreset_mode)  # before a simulator is started
        self.simulator = make_simulator(simulator, render=render_mode is not None)
        envs = [type(self).environment(self.simulator, render_mode, **arguments) for _ in range(num_envs)]
        super().__init__(envs, envs[0].task, autoreset_mode, render_mode)

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the shared simulator."""
        self.simulator.close()


class HabitatRearrangeVector(HouseholdVector):
    """Many episodes of `HabitatRearrange`."""

    environment = HabitatRearrange


class HabitatTidyVector(HouseholdVector):
    """Many episodes of `HabitatTidy`."""

    environment = HabitatTidy
