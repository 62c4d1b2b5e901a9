"""What the two household environments share: a simulator, a robot that fetches and places, pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import Episode, Pose, load_episodes
from pluralbench.envs.household.flat import RECEPTACLES, Receptacle
from pluralbench.envs.household.simulator import (
    HouseholdSimulator,
    HouseholdState,
    SimulatorError,
    resting_place,
)
from pluralbench.envs.household.simulator_choice import make_simulator
from pluralbench.envs.multigoal import FloatArray, MultiGoalTask
from pluralbench.errors import InputError

AIM_NOISE = 0.02
"""Standard deviation of where the robot lets go, m, along x and y."""
MARGIN = 0.04
"""What it keeps free between an object and the edge of a place, m."""
_NUM_SPOTS = 8

StepResult = tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]


class ActionError(InputError):
    """An action that names no place; one line with the places."""


class HouseholdTask(MultiGoalTask):
    """A task whose actions are places, with a one-step outcome model.

    Attributes:
        choices: receptacles that the actions mean, in order.
        receptacles: where the places are; those of the simulator's scene.
    """

    choices: tuple[str, ...]
    receptacles: Mapping[str, Receptacle] = RECEPTACLES
    discrete_actions = True

    def outcomes(self, observations: FloatArray) -> NDArray[np.float32]:
        """Observations (..., A, S) that are predicted after each of the A actions in observations (..., S)."""
        raise NotImplementedError


def free_spot(
    name: str, place: Receptacle, others: dict[str, Pose], generator: np.random.Generator
) -> tuple[float, float]:
    """Where on `place` to put an object, as an offset (2,) from its centre, m: of some random spots the freest."""
    room = np.maximum(np.array(place.half_extents) - OBJECTS[name].radius - MARGIN, 0.0)
    spots = generator.uniform(-1.0, 1.0, size=(_NUM_SPOTS, 2)) * room
    there = [pose.position[:2] for other, pose in others.items() if other != name]
    if not there:
        return (float(spots[0, 0]), float(spots[0, 1]))
    distances = np.linalg.norm(spots[:, None] + np.array(place.centre[:2]) - np.array(there), axis=-1).min(1)
    best = spots[int(distances.argmax())]
    return (float(best[0]), float(best[1]))


class HouseholdEnv(gym.Env[NDArray[Any], np.int64]):
    """Base of the household environments; see the two for what they ask of the robot.

    An action is carried out as a whole: the robot drives to the object and, holding it, to the chosen place along
    collision-free paths, aims at a free spot (`AIM_NOISE`), lets go, and physics settles.

    Args:
        task: goals, utility and observations.
        simulator: `auto`, `pybullet`, `habitat`, or a simulator that is shared and then not closed here.
        render_mode: None or `rgb_array`.
        goal: until `reset` names another; None for one drawn at every reset.
        episodes: a file of episodes, or episodes, that resets go through in turn; None to draw each one.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        task: HouseholdTask,
        simulator: str | HouseholdSimulator = "auto",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
        episodes: str | Path | Sequence[Episode] | None = None,
    ) -> None:
        self.task = task
        self.render_mode = render_mode
        self.goal: FloatArray = np.full(task.goal_size, np.nan) if goal is None else task.goal(goal)
        self._draws_goal = goal is None
        loaded = load_episodes(episodes) if isinstance(episodes, (str, Path)) else episodes
        self._episodes = None if loaded is None else tuple(loaded)
        self._next_episode = 0
        self._owns_simulator = isinstance(simulator, str)
        self.simulator = self._start(simulator) if isinstance(simulator, str) else simulator
        task.receptacles = self.simulator.receptacles()
        self.action_space = gym.spaces.Discrete(task.action_size)
        self._space = self._observation_space()
        self.observation_space: gym.spaces.Box = self._space
        self._state: HouseholdState | None = None
        self._running = False

    def _start(self, simulator: str) -> HouseholdSimulator:
        if not self._episodes:
            return make_simulator(simulator, render=self.render_mode is not None)
        scenes = {(episode.scene_id, episode.scene_dataset_config) for episode in self._episodes}
        if len(scenes) > 1:
            raise SimulatorError(f"the episodes are of {len(scenes)} scenes; give one scene's at a time")
        scene, dataset = scenes.pop()
        return make_simulator(simulator, scene, dataset, render=self.render_mode is not None)

    @abstractmethod
    def _observation_space(self) -> gym.spaces.Box: ...

    @abstractmethod
    def _draw_episode(self, goal: FloatArray) -> Episode: ...

    @abstractmethod
    def _observe(self) -> NDArray[np.float32]: ...

    def _flags(self, success: bool) -> dict[str, Any]:
        return {"success": success, "is_success": success}

    def _random_start(self) -> tuple[float, float]:
        """Somewhere on the free floor, for the robot's base, m."""
        points = self.simulator.floor_plan().free_points
        x, y = points[self.np_random.integers(len(points))]
        return (float(x), float(y))

    def _random_episode(
        self,
        objects: dict[str, Pose],
        lying_on: dict[str, str],
        to_move: tuple[str, ...],
        start: tuple[float, float],
    ) -> Episode:
        """An episode in this simulator's scene."""
        return Episode(
            episode_id="random",
            objects=objects,
            lying_on=lying_on,
            to_move=to_move,
            choices=self.task.choices,
            start=start,
            scene_id=self.simulator.scene_id,
            scene_dataset_config=self.simulator.scene_dataset_config,
        )

    def _begin(self, options: dict[str, Any]) -> None:
        """Sets the goal and starts an episode: the simulator's state is that of all objects at rest."""
        if "goal" in options:
            self.goal, self._draws_goal = self.task.goal(options["goal"]), False
        elif self._draws_goal:
            self.goal = self.task.sample_goals(1, self.np_random)[0]
        if self._episodes is None:
            self.episode = self._draw_episode(self.goal)
        else:
            self.episode = self._episodes[self._next_episode % len(self._episodes)]
            self._next_episode += 1
        self.simulator.reset(self.episode)
        self.simulator.settle()
        self._state = self.simulator.state()
        self._running = True

    def _checked(self, action: Any) -> str:
        if not self._running:
            raise ResetNeeded(f"{self.task.name}: the episode is over; call reset() before another step()")
        index = np.asarray(action)
        if (
            index.size != 1
            or not np.issubdtype(index.dtype, np.integer)
            or not 0 <= index.item() < len(self.task.choices)
        ):
            raise ActionError(
                f"{self.task.name}: receptacle {action!r} is out of range; choose a whole number from 0 to "
                f"{len(self.task.choices) - 1} ({', '.join(self.task.choices)})"
            )
        return self.task.choices[int(index.item())]

    def put(self, name: str, receptacle: str) -> str | None:
        """Fetches an object and places it; the receptacle on which it then rests, None where it slid off."""
        assert self._state is not None
        simulator, before = self.simulator, self._state
        simulator.restore(before)
        places = simulator.receptacles()
        lies_on = resting_place(name, before.objects[name], places)
        pick = places[lies_on].access if lies_on else before.objects[name].position[:2]
        plan = simulator.floor_plan()
        to_object, onwards = plan.path(before.robot[:2], pick), plan.path(pick, places[receptacle].access)
        simulator.carry(name, np.concatenate([to_object[-1:], onwards]))
        spot = free_spot(name, places[receptacle], dict(before.objects), self.np_random)
        offset = np.array(spot) + self.np_random.normal(0.0, AIM_NOISE, 2)
        simulator.place(name, receptacle, offset, self.np_random.uniform(0.0, 2 * np.pi))
        settled = simulator.settle()
        self._state = simulator.state()
        return resting_place(name, self._state.objects[name], places) if settled else None

    def render(self) -> NDArray[np.uint8] | None:
        """The flat from above its open front, (480, 640, 3)."""
        if self.render_mode is None:
            gym.logger.warn(f"{self.task.name}: make the environment with render_mode='rgb_array' to render it")
            return None
        if self._state is None:
            raise ResetNeeded(f"{self.task.name}: call reset() before render()")
        self.simulator.restore(self._state)
        return self.simulator.render()

    def close(self) -> None:
        """Closes the simulator, unless it is shared."""
        if self._owns_simulator:
            self.simulator.close()
