"""What the two household environments share: a simulator, a robot that fetches and places, pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.household.catalogue import OBJECTS
from pluralbench.envs.household.episodes import EMPTY_SCENE, Episode, Pose, load_episodes
from pluralbench.envs.household.flat import RECEPTACLES, Receptacle
from pluralbench.envs.household.simulator import HouseholdSimulator, HouseholdState, SimulatorError, resting_place
from pluralbench.envs.household.simulator_choice import make_simulator
from pluralbench.envs.multigoal import BoolArray, FloatArray, MultiGoalTask
from pluralbench.errors import InputError

AIM_NOISE = 0.02
"""Standard deviation of where the robot lets go, m, along x and y."""
MARGIN = 0.04
"""What it keeps free between an object and the edge of a place, m."""
_NUM_SPOTS = 8


class ActionError(InputError):
    """An action that names no place; one line with the places."""


class HouseholdTask(MultiGoalTask):
    """A task whose actions are places, with a one-step outcome model."""

    choices: tuple[str, ...]
    """Receptacles that the actions mean, in order."""
    receptacles: Mapping[str, Receptacle] = RECEPTACLES
    """Where the places are; those of the simulator's scene."""
    discrete_actions = True


def one_at_most(flags: FloatArray) -> BoolArray:
    """Whether at most one of some flags (..., K) is 1 and the others are 0, (...)."""
    return np.asarray(((flags == 0.0) | (flags == 1.0)).all(axis=-1) & (flags.sum(axis=-1) <= 1.0))


def free_spot(
    name: str, place: Receptacle, others: dict[str, Pose], generator: np.random.Generator
) -> tuple[float, float]:
    """Where on `place` to put an object, as an offset (2,) from its centre, m: of some random spots the freest."""
    room = np.maximum(np.array(place.half_extents) - OBJECTS[name].radius - MARGIN, 0.0)
    spots = generator.uniform(-1.0, 1.0, size=(_NUM_SPOTS, 2)) * room
    there = [pose.position[:2] for other, pose in others.items() if other != name]
    best = 0
    if there:
        distances = np.linalg.norm(spots[:, None] + np.array(place.centre[:2]) - np.array(there), axis=-1).min(1)
        best = int(distances.argmax())
    return (float(spots[best, 0]), float(spots[best, 1]))


class HouseholdEnv(gym.Env[NDArray[Any], np.int64]):
    """Base of the household environments; see the two for what they ask of the robot.

    An action is carried out as a whole: the robot drives to the object and, holding it, to the chosen place along
    collision-free paths, aims at a free spot (`AIM_NOISE`), lets go, and physics settles.

    Args:
        simulator: `auto`, `pybullet`, `habitat`, or a simulator that is shared and then not closed here.
        render_mode: None or `rgb_array`.
        goal: until `reset` names another; None for one drawn at every reset.
        episodes: a JSON file of episodes, or episodes, that resets go through in turn; None to draw each one.
    """

    task_type: ClassVar[type[HouseholdTask]]
    can_continue: ClassVar[bool] = False
    """Whether `reset(options={"continue": True})` starts where the last episode ended."""
    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        simulator: str | HouseholdSimulator = "auto",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
        episodes: str | Path | Sequence[Episode] | None = None,
    ) -> None:
        self.task = self.task_type()
        self.render_mode = render_mode
        self.goal: FloatArray = np.full(self.task.goal_size, np.nan) if goal is None else self.task.goal(goal)
        self._draws_goal = goal is None
        loaded = load_episodes(episodes) if isinstance(episodes, (str, Path)) else episodes
        self._episodes = None if loaded is None else tuple(loaded)
        self._next_episode = 0
        self._owns_simulator = isinstance(simulator, str)
        self.simulator = self._start(simulator) if isinstance(simulator, str) else simulator
        self.task.receptacles = self.simulator.receptacles()
        self.action_space = gym.spaces.Discrete(self.task.action_size)
        self.observation_space: gym.spaces.Box = self._observation_space()
        self._state: HouseholdState | None = None
        self._running = self._reached = False

    def _start(self, simulator: str) -> HouseholdSimulator:
        scenes = {(episode.scene_id, episode.scene_dataset_config) for episode in self._episodes or ()}
        if len(scenes) > 1:
            raise SimulatorError(f"the episodes are of {len(scenes)} scenes; give one scene's at a time")
        scene, dataset = scenes.pop() if scenes else (EMPTY_SCENE, "default")
        return make_simulator(simulator, scene, dataset, render=self.render_mode is not None)

    @abstractmethod
    def _observation_space(self) -> gym.spaces.Box: ...

    @abstractmethod
    def _draw_episode(self) -> Episode: ...

    @abstractmethod
    def _observe(self) -> NDArray[np.float32]: ...

    @abstractmethod
    def _info(self) -> dict[str, Any]:
        """What is told of the present, `success` among it."""

    @abstractmethod
    def objects_right(self) -> dict[str, bool]:
        """For each object to move, whether it rests where the user wants it now."""

    def objects_at(self) -> dict[str, int]:
        """For each object to move, the action whose place it rests on now; -1 for none of them."""
        places = {name: self._place_of(name) for name in self._to_move}
        choices = self.task.choices
        return {name: choices.index(place) if place in choices else -1 for name, place in places.items()}

    def _told(self) -> dict[str, Any]:
        info = self._info()
        self._reached |= info["success"] and self._num_done > 0  # where things lay at first nobody has brought about
        return {**info, "is_success": info["success"], "reached": self._reached}

    def _random_start(self) -> tuple[float, float]:
        """Somewhere on the free floor, for the robot's base, m."""
        points = self.simulator.floor_plan().free_points
        x, y = points[self.np_random.integers(len(points))]
        return (float(x), float(y))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Starts an episode; options as above, and `episode`, an `Episode` to take up instead of the one due.

        Raises:
            GoalError: no goal of this task.
            SimulatorError: an episode of another scene than the one that is open.
        """
        super().reset(seed=seed)
        options = options or {}
        goes_on = self.can_continue and options.get("continue") and self._state is not None
        if "goal" in options:
            self.goal, self._draws_goal = self.task.goal(options["goal"]), False
        elif self._draws_goal and not goes_on:
            self.goal = self.task.sample_goals(1, self.np_random)[0]
        self._num_done = 0
        if not goes_on:
            self._begin(options.get("episode"))
        self._running, self._reached = True, False
        return self._observe(), self._told()

    def _begin(self, episode: Episode | None) -> None:
        """Takes up this episode, the next one or a random one: the simulator's state is that of all objects at rest."""
        if episode is not None:
            self.episode = episode
        elif self._episodes is None:
            scene, dataset = self.simulator.scene_id, self.simulator.scene_dataset_config
            self.episode = replace(self._draw_episode(), scene_id=scene, scene_dataset_config=dataset)
        else:
            self.episode = self._episodes[self._next_episode % len(self._episodes)]
            self._next_episode += 1
        self._to_move = self.episode.to_move
        self._rests_on: str | None = None
        self.simulator.reset(self.episode)
        self.simulator.settle()
        self._state = self.simulator.state()

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Carries the object whose turn it is to a place."""
        receptacle = self._checked(action)
        self._rests_on = self.put(self._to_move[self._num_done], receptacle)
        self._num_done += 1
        self._running = self._num_done < len(self._to_move)
        observation = self._observe()
        terms = {"utility": float(self.task.utility(observation, self.goal))}
        return observation, terms["utility"], not self._running, False, {**self._told(), "reward_terms": terms}

    def _checked(self, action: Any) -> str:
        if not self._running:
            raise ResetNeeded(f"{self.task.name}: the episode is over; call reset() before another step()")
        index, choices = np.asarray(action), self.task.choices
        if index.size != 1 or index.dtype.kind not in "iu" or not 0 <= index.item() < len(choices):
            raise ActionError(
                f"{self.task.name}: receptacle {action!r} is out of range; choose a whole number from 0 to "
                f"{len(choices) - 1} ({', '.join(choices)})"
            )
        return choices[index.item()]

    def _place_of(self, name: str) -> str | None:
        """The receptacle on which an object rests now."""
        assert self._state is not None
        return resting_place(name, self._state.objects[name], self.simulator.receptacles())

    def put(self, name: str, receptacle: str) -> str | None:
        """Fetches an object and places it; the receptacle on which it then rests, None where it slid off."""
        assert self._state is not None
        simulator, before = self.simulator, self._state
        simulator.restore(before)
        places = simulator.receptacles()
        lies_on = self._place_of(name)
        pick = places[lies_on].access if lies_on else before.objects[name].position[:2]
        plan = simulator.floor_plan()
        to_object, onwards = plan.path(before.robot[:2], pick), plan.path(pick, places[receptacle].access)
        simulator.carry(name, np.concatenate([to_object[-1:], onwards]))
        spot = free_spot(name, places[receptacle], dict(before.objects), self.np_random)
        offset = np.array(spot) + self.np_random.normal(0.0, AIM_NOISE, 2)
        simulator.place(name, receptacle, offset, self.np_random.uniform(0.0, 2 * np.pi))
        settled = simulator.settle()
        self._state = simulator.state()
        return self._place_of(name) if settled else None

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
