"""A stand-in for habitat-lab, hydra and gym with the part of their documented interface that `habitat_lab` uses.

It shows that what we register fits together where habitat-lab cannot be installed; it does not show that habitat-lab is
as documented. The tests take the real one wherever it is installed. Configs are dicts with attributes, composed of the
defaults that our YAML files name and of the files themselves; gym's spaces are Gymnasium's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import types
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import yaml


class Config(dict):
    """A dict with attributes that takes no new keys."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self, f"the config has no key {name!r}"
        self[name] = value

    def merge(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            assert name in self, f"the config has no key {name!r}"
            if isinstance(self[name], Config):
                self[name].merge(value)
            else:
                self[name] = value


def _config(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return Config({field.name: _config(getattr(value, field.name)) for field in dataclasses.fields(value)})
    return Config({name: _config(each) for name, each in value.items()}) if isinstance(value, dict) else value


class ConfigStore:
    nodes: dict[str, type] = {}  # noqa: RUF012

    @classmethod
    def instance(cls) -> ConfigStore:
        return cls()

    def store(self, *, group: str, name: str, node: type) -> None:
        self.nodes[f"/{group}/{name}"] = node


@dataclasses.dataclass
class Typed:
    type: str = ""


@dataclasses.dataclass
class DatasetConfig(Typed):
    split: str = "train"
    data_path: str = "{split}.json.gz"


@dataclasses.dataclass
class SimulatorConfig(Typed):
    scene: str = "van-gogh-room.glb"
    scene_dataset: str = "default"
    seed: int = 100


@dataclasses.dataclass
class TaskConfig(Typed):
    physics_target_sps: float = 60.0
    reward_measure: str | None = None
    success_measure: str | None = None
    success_reward: float = 2.5
    slack_reward: float = -0.01
    end_on_success: bool = False
    lab_sensors: dict[str, Any] = dataclasses.field(default_factory=dict)
    measurements: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class AgentConfig:
    height: float = 1.5


def get_config(config_path: str, overrides: list[str] | None = None) -> Config:
    content = yaml.safe_load(Path(config_path).read_text())
    options = Config(iterator_options=Config(shuffle=True), max_episode_steps=1000)
    habitat = Config(seed=100, env_task="GymHabitatEnv", environment=options)
    for default in content["defaults"]:
        if isinstance(default, dict) and default != {"/habitat": "habitat_config_base"}:
            ((group, name),) = default.items()
            habitat[group.removeprefix("/habitat/")] = _config(ConfigStore.nodes[f"{group}/{name}"]())
    habitat.merge(content["habitat"])
    for override in overrides or []:
        path, _, value = override.partition("=")
        *above, last = path.split(".")[1:]
        node = habitat
        for name in above:
            node = node[name]
        node.merge({last: yaml.safe_load(value)})
    habitat.simulator.seed = habitat.seed
    return Config(habitat=habitat)


@contextlib.contextmanager
def read_write(config: Config):
    yield config


class Registry:
    def __init__(self) -> None:
        self.known: dict[str, type] = {}

    def _register(self, *, name: str):
        def keep(cls: type) -> type:
            self.known[name] = cls
            return cls

        return keep

    register_dataset = register_simulator = register_task = register_task_action = _register
    register_sensor = register_measure = _register


registry = Registry()


class Episode:
    def __init__(self, **values: Any) -> None:
        assert values.keys() == {
            "episode_id", "scene_id", "scene_dataset_config", "start_position", "start_rotation", "info"
        }  # fmt: skip
        self.__dict__.update(values)


class Dataset:
    pass


class Simulator:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class Sensor:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.config = kwargs.get("config")
        self.uuid = self._get_uuid(*args, **kwargs)
        self.sensor_type = self._get_sensor_type(*args, **kwargs)
        self.observation_space = self._get_observation_space(*args, **kwargs)


class SensorSuite:
    def __init__(self, sensors: Any) -> None:
        self.sensors = {sensor.uuid: sensor for sensor in sensors}
        spaces = {name: sensor.observation_space for name, sensor in self.sensors.items()}
        self.observation_spaces = gymnasium.spaces.Dict(spaces)

    def get_observations(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {name: sensor.get_observation(*args, **kwargs) for name, sensor in self.sensors.items()}


class Measure:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.uuid = self._get_uuid(*args, **kwargs)
        self._metric: Any = None


class SimulatorTaskAction:
    def __init__(self, *args: Any, config: Config, sim: Simulator, **kwargs: Any) -> None:
        self._config, self._sim = config, sim

    def reset(self, *args: Any, **kwargs: Any) -> None:
        return None


class EmbodiedTask:
    def __init__(self, config: Config, sim: Any, dataset: Dataset | None = None) -> None:
        self._config, self._sim, self._dataset = config, sim, dataset
        self.measures_made = self._entities(config.measurements)
        self.sensor_suite = SensorSuite(self._entities(config.lab_sensors).values())
        self.actions = self._entities(config.actions)
        self.is_episode_active = False

    def _entities(self, configs: Config) -> dict[str, Any]:
        given = {"sim": self._sim, "dataset": self._dataset, "task": self}
        return {name: registry.known[c.type](config=c, name=name, **given) for name, c in configs.items()}

    def reset(self, episode: Any) -> dict[str, Any]:
        observations = self._sim.reset()
        observations.update(self.sensor_suite.get_observations(observations=observations, episode=episode, task=self))
        for action in self.actions.values():
            action.reset(episode=episode, task=self)
        self.is_episode_active = True
        return observations

    def step(self, action: dict[str, Any], episode: Any) -> dict[str, Any]:
        name = action["action"]
        name = name if isinstance(name, str) else list(self.actions)[name]
        observations = self.actions[name].step(**(action.get("action_args") or {}), task=self)
        self._sim.step_physics(1.0 / self._config.physics_target_sps)
        observations.update(
            self.sensor_suite.get_observations(observations=observations, episode=episode, action=action, task=self)
        )
        self.is_episode_active = self._check_episode_is_active(
            observations=observations, action=action, episode=episode
        )
        return observations


class Env:
    def __init__(self, config: Config, dataset: Any = None) -> None:
        self._config = config = config.get("habitat", config)
        self._dataset = dataset or registry.known[config.dataset.type](config=config.dataset)
        assert not config.environment.iterator_options.shuffle
        self._turn = 0
        self.current_episode = self.episodes[0]
        config.simulator.scene_dataset = self.current_episode.scene_dataset_config
        config.simulator.scene = self.current_episode.scene_id
        self.sim = registry.known[config.simulator.type](config=config.simulator)
        self.task = registry.known[config.task.type](config=config.task, sim=self.sim, dataset=self._dataset)
        suites = (self.sim.sensor_suite, self.task.sensor_suite)
        spaces = {name: space for suite in suites for name, space in suite.observation_spaces.spaces.items()}
        self.observation_space = gymnasium.spaces.Dict(spaces)
        self.episode_over = False

    @property
    def episodes(self) -> list[Any]:
        return self._dataset.episodes

    def reset(self) -> dict[str, Any]:
        self.current_episode = self.episodes[self._turn % len(self.episodes)]
        self._turn += 1
        self.episode_over = False
        self.sim.reconfigure(self._config.simulator, self.current_episode)
        observations = self.task.reset(episode=self.current_episode)
        for measure in self.task.measures_made.values():
            measure.reset_metric(episode=self.current_episode, task=self.task, observations=observations)
        return observations

    def step(self, action: Any) -> dict[str, Any]:
        assert not self.episode_over, "Episode over, call reset before calling step"
        action = {"action": action} if isinstance(action, (str, int, np.integer)) else action
        observations = self.task.step(action=action, episode=self.current_episode)
        for measure in self.task.measures_made.values():
            given = {"episode": self.current_episode, "action": action, "observations": observations}
            measure.update_metric(task=self.task, **given)
            measure._get_uuid(task=self.task, **given)
        self.episode_over = not self.task.is_episode_active
        return observations

    def get_metrics(self) -> dict[str, Any]:
        return {measure.uuid: measure._metric for measure in self.task.measures_made.values()}

    def seed(self, seed: int) -> None:
        self.sim.seed(seed)
        self.task.seed(seed)

    def render(self, mode: str = "rgb") -> Any:
        return self.sim.render(mode)

    def close(self) -> None:
        self.sim.close()


class GymEnv:
    """What habitat.gym's wrappers make of an `Env` whose actions take no arguments."""

    def __init__(self, config: Config) -> None:
        self._env = Env(config)
        self._task_config = config.get("habitat", config).task
        self._env.seed(config.get("habitat", config).seed)
        self.action_space = gymnasium.spaces.Discrete(len(self._env.task.actions))
        self.observation_space = self._env.observation_space

    def reset(self) -> dict[str, Any]:
        return self._env.reset()

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        assert self.action_space.contains(action)
        observations, metrics = self._env.step({"action": action}), self._env.get_metrics()
        success = metrics[self._task_config.success_measure]
        reward = self._task_config.slack_reward + metrics[self._task_config.reward_measure]
        reward += self._task_config.success_reward if success else 0.0
        over = self._env.episode_over or bool(self._task_config.end_on_success and success)
        return observations, reward, over, metrics

    def close(self) -> None:
        self._env.close()


def modules() -> dict[str, types.ModuleType]:
    """What to put into `sys.modules`."""
    contents: dict[str, dict[str, Any]] = {
        "habitat": {"Env": Env, "get_config": get_config, "registry": registry, "__version__": "a stand-in"},
        "habitat.config": {"read_write": read_write},
        "habitat.config.default_structured_configs": {
            "ActionConfig": Typed,
            "LabSensorConfig": Typed,
            "MeasurementConfig": Typed,
            **{each.__name__: each for each in (AgentConfig, DatasetConfig, SimulatorConfig, TaskConfig)},
        },
        "habitat.core": {},
        "habitat.core.dataset": {"Dataset": Dataset, "Episode": Episode},
        "habitat.core.embodied_task": {each.__name__: each for each in (EmbodiedTask, Measure, SimulatorTaskAction)},
        "habitat.core.registry": {"registry": registry},
        "habitat.core.simulator": {
            "Sensor": Sensor,
            "SensorSuite": SensorSuite,
            "SensorTypes": types.SimpleNamespace(COLOR=1, TENSOR=8),
            "Simulator": Simulator,
        },
        "habitat.gym": {"make_gym_from_config": GymEnv},
        "hydra": {},
        "hydra.core": {},
        "hydra.core.config_store": {"ConfigStore": ConfigStore},
        "gym": {"spaces": gymnasium.spaces},
    }
    made = {name: types.ModuleType(name) for name in contents}
    for name, values in contents.items():
        above, _, last = name.rpartition(".")
        if above:
            setattr(made[above], last, made[name])
        vars(made[name]).update(values)
    return made
