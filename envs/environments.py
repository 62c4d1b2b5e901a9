"""The environments by name: all that a benchmark needs to know of each one, and the only place that knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.multigoal import MultiGoalTask
from pluralbench.envs.scripts import PlannedScript, Script
from pluralbench.envs.state_grid import StateGrid
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.errors import InputError
from pluralbench.features import InputFeatures
from pluralbench.progress import Progress
from pluralbench.registry import Registry, unknown_name

AUTO = "auto"
"""The simulator that an environment names itself."""
Settings = Mapping[str, Any]
"""Changes to an experiment's settings, nested as in its `config.json`: `{"iql": {"num_updates": 13_000}}`."""


CollectData = Callable[..., TransitionDataset]
"""Runs a behaviour policy: called with (num_transitions, seed, progress=None), it gives at least so many transitions in
whole episodes, and for the same seed the same bytes."""


@dataclass(frozen=True)
class DataFormat:
    """How another library keeps data of an environment, and in which frame; `data convert` reads and writes it.

    Attributes:
        description: one line.
        read: called with (path, progress=None), gives the data in the environment's own frame, or None where the path
            holds no such data. DatasetError, with the reason, for data in this format that the environment cannot have.
        write: called with (dataset, path, progress=None); DatasetError for data that the format cannot hold.
    """

    description: str
    read: Callable[..., TransitionDataset | None]
    write: Callable[..., None]


class SimulatorChoiceError(InputError):
    """A simulator that an environment does not run on; one line."""


def collect_at(
    place: str, num_transitions: int, seed: int, progress: Progress | None = None, **settings: Any
) -> TransitionDataset:
    """Runs the policy `module:function`, imported only now, so that naming an environment starts no simulator."""
    return resolve_name(place)(num_transitions, seed, progress, **settings)


def script_at(place: str, *arguments: Any, **settings: Any) -> Any:
    """Makes the script of `module:function`, imported only now, like `collect_at`."""
    return resolve_name(place)(*arguments, **settings)


@dataclass(frozen=True)
class Environment:
    """One environment: `environments.register(name, Environment(...))`, or an attribute of a file of yours.

    Only the first three fields are needed.

    Attributes:
        name: its name on the command line, for example `maze`.
        gym_id: its Gymnasium id; `gym.make(gym_id)` and `gym.make_vec(gym_id, num_envs)` build it.
        make_task: builds its `MultiGoalTask` (cheap: no simulator is started).
        collect: its behaviour policy's data; None for episodes of uniformly random actions.
        behaviour_version: part of the data cache's key; raise it when `collect` comes to give other bytes.
        success_version: part of an experiment's identity; raise it when other episodes come to count as successes.
        behaviour: makes the script that acts in episodes as `collect` does; None for uniformly random actions.
        tour: from goals (G', G), makes the script that visits all of them one after the other and asks nobody; None
            where the environment has none.
        planner: from J rewards (J, P) of the P reachable states of `state_grid`, in their order, makes the script that
            takes the best path for its job's reward; None where the environment cannot plan.
        default_population: the population that the paper uses there.
        presets: by the preset's name, what differs from the neutral one.
        variants: by population and preset, what differs from the preset for that population.
        sweeps: by the experiment's name (`users`, `noise`, ...) and the label of each of its points, what differs from
            the preset there.
        features: what the policy's networks see of an observation besides its columns, unless a preset says otherwise.
        state_grid: gives states over which rewards can be drawn.
        outcomes: the one-step outcome model: observations (..., A, S) expected after each of A actions in observations
            (..., S); for environments whose policy may be one greedy step.
        max_parallel_episodes: how many sub-environments one batched evaluation may have.
        peer_gym_id: another package's environment of the same kind, `module:id`, beside which `speed` times this one.
        reported_infos: numbers of the `info` of an episode's last step that are reported beside its success.
        simulators: names of the simulators that it runs on; `gym.make` and `collect` take each as `simulator`. None
            where there is no choice.
        simulator: of these, the one that it runs on.
        require_simulator: raises InputError where a simulator of that name is not installed.
        formats: by name, formats of other libraries for its data.
        recorded_arguments: arguments of `gym.make` that its data name in their metadata.
        reference_returns: from the metadata of its data, the returns by which scores are normalised, as JSON values;
            None where none are known.
    """

    name: str
    gym_id: str
    make_task: Callable[[], MultiGoalTask]
    collect: CollectData | None = None
    behaviour_version: int = 1
    success_version: int = 1
    behaviour: Callable[[], Script] | None = None
    tour: Callable[[NDArray[np.floating]], Script] | None = None
    planner: Callable[[NDArray[np.floating]], PlannedScript] | None = None
    default_population: str = "named-goals"
    presets: Mapping[str, Settings] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Settings]] = field(default_factory=dict)
    sweeps: Mapping[str, Mapping[str, Settings]] = field(default_factory=dict)
    features: InputFeatures = field(default_factory=InputFeatures)
    state_grid: Callable[[], StateGrid] | None = None
    outcomes: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    max_parallel_episodes: int = 256
    peer_gym_id: str | None = None
    reported_infos: tuple[str, ...] = ()
    simulators: tuple[str, ...] = ()
    simulator: str = ""
    require_simulator: Callable[[str], None] | None = None
    formats: Mapping[str, DataFormat] = field(default_factory=dict)
    recorded_arguments: tuple[str, ...] = ()
    reference_returns: Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = None

    def __post_init__(self) -> None:
        if not callable(self.make_task):
            kind = type(self.make_task).__name__
            raise TypeError(f"{self.name}: make_task is called to build the task; give {kind}, not {kind}()")

    @property
    def arguments(self) -> dict[str, Any]:
        """What `gym.make`, `gym.make_vec` and `collect` are given of it."""
        return {"simulator": self.simulator} if self.simulator else {}

    def on(self, simulator: str) -> Environment:
        """The environment on one of its simulators; `auto` for the one that it names itself.

        Raises:
            SimulatorChoiceError: it has no such simulator, or no choice of them.
            InputError: the simulator is not installed.
        """
        chosen = self.simulator if simulator == AUTO else simulator
        if chosen != self.simulator and not self.simulators:
            raise SimulatorChoiceError(f"{self.name} has no choice of simulators; leave --simulator {simulator} out")
        if chosen and chosen not in self.simulators:
            raise SimulatorChoiceError(unknown_name("simulator", chosen, [AUTO, *self.simulators]))
        if chosen and self.require_simulator is not None:
            self.require_simulator(chosen)
        return replace(self, simulator=chosen)


def _check(thing: object) -> None:
    if not isinstance(thing, Environment):
        raise TypeError(f"expected a pluralbench.envs.Environment, got {type(thing).__name__}")


environments: Registry[Environment] = Registry("environment", "pluralbench.environments", _check)
