"""The two household tasks in habitat-lab: our environments, with habitat-lab's actions, sensor and measures."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from gym import spaces
from habitat.core.embodied_task import EmbodiedTask, Measure, SimulatorTaskAction
from habitat.core.registry import registry
from habitat.core.simulator import Sensor, SensorTypes
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.household.environment import ActionError, HouseholdEnv
from pluralbench.envs.household.episodes import EpisodeError
from pluralbench.envs.household.habitat_lab.configs import (
    DATASET,
    MEASURE,
    OBSERVATION,
    PLACE,
    REARRANGE,
    REARRANGE_MEASURES,
    TIDY,
    TIDY_MEASURES,
)
from pluralbench.envs.household.habitat_lab.dataset import HouseholdEpisode
from pluralbench.envs.household.rearrange import HabitatRearrange
from pluralbench.envs.household.simulator import HouseholdSimulator
from pluralbench.envs.household.tidy import HabitatTidy
from pluralbench.errors import InputError
from pluralbench.registry import unknown_name


class HouseholdLabTask(EmbodiedTask):
    """Base of the two: plays `household`, one of our environments, in the simulator that habitat-lab has made.

    An episode of a file goes on with the random numbers of `seed` (at first `habitat.seed`), as our environment with
    the same episodes does; a random episode has a seed of its own and is always the same.

    Attributes:
        household: our environment.
        observation: (S,) float32, its last.
        measured: what the measures show.
    """

    measures: ClassVar[tuple[str, ...]]
    """Keys of `measured`."""

    def __init__(self, config: Any, sim: Any, dataset: Any = None) -> None:
        self.household = self._household(config, sim.household)
        self.observation = np.zeros(self.household.task.observation_size, dtype=np.float32)
        self.measured: dict[str, Any] = {}
        self._ended = True
        self._next_seed: int | None = int(sim.habitat_config.seed)
        self._next_goal: Any = None
        super().__init__(config, sim, dataset)

    @abstractmethod
    def _household(self, config: Any, simulator: HouseholdSimulator) -> HouseholdEnv: ...

    def seed(self, seed: int) -> None:
        """What the next episode of a file begins with."""
        self._next_seed = int(seed)

    def set_goal(self, goal: ArrayLike) -> None:
        """Sets the user's goal, from the next reset on and until another is set.

        Raises:
            GoalError: no goal of this task.
        """
        self._next_goal = self.household.task.goal(goal)

    def reset(self, episode: Any) -> Any:
        """Takes up an episode.

        Raises:
            EpisodeError: it is not of our dataset.
        """
        if not isinstance(episode, HouseholdEpisode):
            raise EpisodeError(
                f"{self.household.task.name}: episodes come from the dataset {DATASET!r}, got a "
                f"{type(episode).__name__}; set habitat.dataset.type={DATASET}"
            )
        options: dict[str, Any] = {} if self._next_goal is None else {"goal": self._next_goal}
        if episode.household is None:
            seed: int | None = episode.seed
        else:
            options["episode"] = episode.household
            seed, self._next_seed = self._next_seed, None
        self._next_goal = None
        self.observation, info = self.household.reset(seed=seed, options=options)
        self._show(0.0, False, info)
        return super().reset(episode)

    def step(self, action: Any, episode: Any) -> Any:
        """Carries out an action, given by its name or its number.

        Raises:
            ActionError: there is no such action; one line with all of them.
        """
        name = action.get("action") if isinstance(action, dict) else action
        names = list(self.actions)
        number = isinstance(name, (int, np.integer)) and not isinstance(name, bool) and 0 <= name < len(names)
        if not number and not (isinstance(name, str) and name in names):
            raise ActionError(
                f"{self.household.task.name}: no action {name!r}; choose a whole number from 0 to {len(names) - 1} or "
                f"its name ({', '.join(names)})"
            )
        return super().step(action, episode)

    def place(self, receptacle: str) -> None:
        """Carries the object whose turn it is to one of the task's places."""
        index = self.household.task.choices.index(receptacle)
        self.observation, reward, ended, _, info = self.household.step(np.int64(index))
        self._show(reward, ended, info)

    def _show(self, reward: float, ended: bool, info: dict[str, Any]) -> None:
        self._ended = ended
        self._sim.state = self.household.simulator.state()
        right, places = self.household.objects_right(), self.household.objects_at()
        self.measured = {
            "utility": reward,
            "objects_right": {name: float(is_right) for name, is_right in right.items()},
            "objects_at": {name: float(place) for name, place in places.items()},
            **{key: float(info[key]) for key in self.measures if key in info},
        }

    def _check_episode_is_active(self, *args: Any, **kwargs: Any) -> bool:
        return not self._ended


@registry.register_task(name=REARRANGE)
class RearrangeLabTask(HouseholdLabTask):
    """`HabitatRearrange`."""

    measures = REARRANGE_MEASURES

    def _household(self, config: Any, simulator: HouseholdSimulator) -> HouseholdEnv:
        return HabitatRearrange(simulator, goal=config.goal, objects=tuple(config.objects))


@registry.register_task(name=TIDY)
class TidyLabTask(HouseholdLabTask):
    """`HabitatTidy`."""

    measures = TIDY_MEASURES

    def _household(self, config: Any, simulator: HouseholdSimulator) -> HouseholdEnv:
        return HabitatTidy(simulator, goal=config.goal)


@registry.register_task_action(name=PLACE)
class PlaceAction(SimulatorTaskAction):
    """Carries the object whose turn it is to the config's `receptacle`.

    Raises:
        ActionError: it is no place of the task.
    """

    def __init__(self, *args: Any, config: Any, sim: Any, task: HouseholdLabTask, **kwargs: Any) -> None:
        super().__init__(*args, config=config, sim=sim, **kwargs)
        choices = task.household.task.choices
        if config.receptacle not in choices:
            raise ActionError(unknown_name("receptacle", config.receptacle, list(choices)))

    def step(self, *args: Any, task: HouseholdLabTask, **kwargs: Any) -> Any:
        """Simulates until all objects rest."""
        task.place(self._config.receptacle)
        return self._sim.step(None)


@registry.register_sensor(name=OBSERVATION)
class ObservationSensor(Sensor):
    """The observation of our environment, (S,) float32; the goal is no part of it."""

    def __init__(self, *args: Any, task: HouseholdLabTask, **kwargs: Any) -> None:
        self._task = task
        super().__init__(*args, task=task, **kwargs)

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return "observation"

    def _get_sensor_type(self, *args: Any, **kwargs: Any) -> Any:
        return SensorTypes.TENSOR

    def _get_observation_space(self, *args: Any, **kwargs: Any) -> Any:
        space = self._task.household.observation_space
        return spaces.Box(space.low, space.high, dtype=np.float32)

    def get_observation(self, *args: Any, **kwargs: Any) -> NDArray[np.float32]:
        """The task's last."""
        return self._task.observation


@registry.register_measure(name=MEASURE)
class HouseholdMeasure(Measure):
    """One number of the present, or one for each object to move.

    `utility` is the reward of the last step, `objects_right` 1 for each object that rests where the user wants it, and
    `objects_at` the action whose place each object rests on, -1 for none of them. The others are those of our
    environment's `info`.

    Raises:
        InputError: the task has no measure `config.key`.
    """

    def __init__(self, *args: Any, config: Any, task: HouseholdLabTask, **kwargs: Any) -> None:
        if config.key not in task.measures:
            raise InputError(unknown_name("measure", config.key, list(task.measures)))
        self._key = config.key
        super().__init__(*args, config=config, task=task, **kwargs)

    def _get_uuid(self, *args: Any, **kwargs: Any) -> str:
        return str(self._key)

    def reset_metric(self, *args: Any, task: HouseholdLabTask, **kwargs: Any) -> None:
        """Takes what the task shows."""
        self._metric = task.measured[self._key]

    def update_metric(self, *args: Any, task: HouseholdLabTask, **kwargs: Any) -> None:
        """Takes what the task shows."""
        self._metric = task.measured[self._key]
