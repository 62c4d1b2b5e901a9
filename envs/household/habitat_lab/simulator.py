"""Our household simulators as a simulator of habitat-lab's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gym import spaces
from habitat.core.registry import registry
from habitat.core.simulator import Sensor, SensorSuite, SensorTypes, Simulator
from numpy.typing import NDArray

from pluralbench.envs.household.habitat_lab.configs import SIMULATOR
from pluralbench.envs.household.simulator import HouseholdState, SimulatorError
from pluralbench.envs.household.simulator_choice import make_simulator


class PictureSensor(Sensor):
    """The flat from above its open front, (480, 640, 3) uint8."""

    def __init__(self, draw: Callable[[], NDArray[np.uint8]]) -> None:
        self._draw = draw
        super().__init__()

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return "picture"

    def _get_sensor_type(self, *args: Any, **kwargs: Any) -> Any:
        return SensorTypes.COLOR

    def _get_observation_space(self, *args: Any, **kwargs: Any) -> Any:
        return spaces.Box(0, 255, (480, 640, 3), np.uint8)

    def get_observation(self, *args: Any, **kwargs: Any) -> NDArray[np.uint8]:
        """Draws it."""
        return self._draw()


@registry.register_simulator(name=SIMULATOR)
class HouseholdLabSimulator(Simulator):
    """Holds the `HouseholdSimulator` in which a task carries out its actions, and shows pictures of it.

    Time passes within an action, until all objects rest, and nowhere else: `step`, `step_physics` and `reset` change
    nothing, and nothing here is random.

    Args:
        config: `configs.HouseholdSimulatorConfig`.

    Attributes:
        household: the simulator; its axes have z up.
        state: what pictures show; the task sets it.

    Raises:
        SimulatorError: an unknown backend, missing files, or a simulator that is not installed; one line.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.habitat_config = config
        self.household = make_simulator(
            config.backend, config.scene, config.scene_dataset, config.object_configs, render=config.picture
        )
        self.state: HouseholdState | None = None
        self._sensor_suite = SensorSuite([PictureSensor(self.render)] if config.picture else [])

    @property
    def sensor_suite(self) -> Any:
        """The picture, if it is asked for."""
        return self._sensor_suite

    def reset(self) -> Any:
        """Observations of the present."""
        return self._sensor_suite.get_observations()

    def step(self, action: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Observations of the present."""
        return self._sensor_suite.get_observations()

    def step_physics(self, delta: float) -> None:
        """Nothing: all objects rest between actions."""

    def seed(self, seed: int) -> None:
        """Nothing: what is random is the task's."""

    def reconfigure(self, config: Any, episode: Any = None) -> None:
        """Takes the config of the episode that begins.

        Raises:
            SimulatorError: it is of another scene than the one that is open.
        """
        self.habitat_config = config
        if episode is not None and episode.scene_id.upper() != self.household.scene_id.upper():
            raise SimulatorError(
                f"episode {episode.episode_id} is of the scene {episode.scene_id!r}, but {self.household.scene_id!r} "
                "is open; make an environment for each scene"
            )

    def render(self, mode: str = "rgb") -> NDArray[np.uint8]:
        """The picture, (480, 640, 3), pixel by pixel that of our environment.

        Raises:
            SimulatorError: the config asks for none.
        """
        if not self.habitat_config.picture:
            raise SimulatorError("this simulator was made without pictures; set habitat.simulator.picture=True")
        if self.state is not None:
            self.household.restore(self.state)
        return self.household.render()

    def close(self, destroy: bool = True) -> None:
        """Closes the household simulator."""
        self.household.close()
