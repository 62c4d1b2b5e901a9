"""Structured configs of what this package registers, under the names that `rearrange.yaml` and `tidy.yaml` use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from habitat.config.default_structured_configs import (
    ActionConfig,
    AgentConfig,
    DatasetConfig,
    LabSensorConfig,
    MeasurementConfig,
    SimulatorConfig,
    TaskConfig,
)
from hydra.core.config_store import ConfigStore

from pluralbench.envs.household.catalogue import REARRANGE_OBJECTS
from pluralbench.envs.household.episodes import EMPTY_SCENE
from pluralbench.envs.household.rearrange import RearrangeTask
from pluralbench.envs.household.tidy import TidyTask

DATASET = "PluralBenchEpisodes-v0"
SIMULATOR = "PluralBenchHousehold-v0"
REARRANGE = "PluralBenchRearrange-v0"
TIDY = "PluralBenchTidy-v0"
PLACE = "PluralBenchPlace"
OBSERVATION = "PluralBenchObservation"
MEASURE = "PluralBenchMeasure"

_MEASURES = ("utility", "success", "reached", "objects_right", "objects_at")
REARRANGE_MEASURES = (*_MEASURES, "rests_on")
TIDY_MEASURES = (*_MEASURES, "share_right", "right_agreed", "num_agreed", "right_disputed", "num_disputed")


@dataclass
class HouseholdDatasetConfig(DatasetConfig):
    """Episodes of a file, or random ones."""

    type: str = DATASET
    data_path: str = ""
    """A file as `pluralbench.envs.household.episodes` describes it; `{split}` in it is replaced. Empty: random ones."""
    num_episodes: int = 100
    """How many random ones there are; number k is what our environment's `reset(seed=first_seed + k)` draws."""
    first_seed: int = 0
    """Of the random ones."""
    scene_id: str = EMPTY_SCENE
    """Scene of the random ones."""
    scene_dataset_config: str = "default"
    """The dataset that this scene is of."""


@dataclass
class HouseholdSimulatorConfig(SimulatorConfig):
    """One of our two simulators; `habitat.Env` fills in the scene, which is that of the episodes."""

    type: str = SIMULATOR
    scene: str = EMPTY_SCENE
    agents: dict[str, AgentConfig] = field(default_factory=lambda: {"main_agent": AgentConfig()})
    """Not read; habitat-lab wants one."""
    backend: str = "habitat"
    """`habitat`, `pybullet` or `auto`, as in `simulator_choice`."""
    object_configs: str = ""
    """Folder with the configurations of the YCB objects; empty for objects of primitives."""
    picture: bool = False
    """Whether observations have the picture `picture`, (480, 640, 3) uint8."""


@dataclass
class PlaceActionConfig(ActionConfig):
    """Carry the object whose turn it is to a place."""

    type: str = PLACE
    receptacle: str = ""
    """One of the places of the task."""


@dataclass
class ObservationSensorConfig(LabSensorConfig):
    """The observation of our environment."""

    type: str = OBSERVATION


@dataclass
class HouseholdMeasureConfig(MeasurementConfig):
    """A number of the present, or one per object."""

    type: str = MEASURE
    key: str = ""
    """One of the task's: `REARRANGE_MEASURES`, `TIDY_MEASURES`."""


@dataclass
class HouseholdTaskConfig(TaskConfig):
    """What both tasks share: habitat.gym's reward is the utility alone, and episodes end by themselves."""

    reward_measure: str | None = "utility"
    success_measure: str | None = "success"
    success_reward: float = 0.0
    slack_reward: float = 0.0
    end_on_success: bool = False
    goal: list[Any] | None = None
    """Of the user; see the task of our environment. None: drawn at every reset, until `task.set_goal`."""
    lab_sensors: dict[str, LabSensorConfig] = field(default_factory=lambda: {"observation": ObservationSensorConfig()})


def _actions(choices: Sequence[str]) -> dict[str, ActionConfig]:
    """An action for each place, in the order of our environment's."""
    return {name: PlaceActionConfig(receptacle=name) for name in choices}


def _measurements(keys: Sequence[str]) -> dict[str, MeasurementConfig]:
    return {key: HouseholdMeasureConfig(key=key) for key in keys}


@dataclass
class RearrangeTaskConfig(HouseholdTaskConfig):
    """Habitat-Rearrange."""

    type: str = REARRANGE
    objects: list[str] = field(default_factory=lambda: list(REARRANGE_OBJECTS))
    """Kinds of kitchenware that random episodes draw from."""
    actions: dict[str, ActionConfig] = field(default_factory=lambda: _actions(RearrangeTask.choices))
    measurements: dict[str, MeasurementConfig] = field(default_factory=lambda: _measurements(REARRANGE_MEASURES))


@dataclass
class TidyTaskConfig(HouseholdTaskConfig):
    """Habitat-Tidy."""

    type: str = TIDY
    actions: dict[str, ActionConfig] = field(default_factory=lambda: _actions(TidyTask.choices))
    measurements: dict[str, MeasurementConfig] = field(default_factory=lambda: _measurements(TIDY_MEASURES))


_store = ConfigStore.instance()
_store.store(group="habitat/dataset", name="pluralbench_episodes", node=HouseholdDatasetConfig)
_store.store(group="habitat/simulator", name="pluralbench_household", node=HouseholdSimulatorConfig)
_store.store(group="habitat/task", name="pluralbench_rearrange", node=RearrangeTaskConfig)
_store.store(group="habitat/task", name="pluralbench_tidy", node=TidyTaskConfig)
