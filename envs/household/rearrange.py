"""Habitat-Rearrange: store a piece of kitchenware where its user likes it best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.household.catalogue import OBJECTS, REARRANGE_OBJECTS
from pluralbench.envs.household.environment import HouseholdEnv, HouseholdTask, free_spot, one_at_most
from pluralbench.envs.household.episodes import EMPTY_SCENE, Episode, upright
from pluralbench.envs.household.flat import FLAT_SIZE, PLACES, START_PLACES
from pluralbench.envs.household.simulator import HouseholdSimulator
from pluralbench.envs.multigoal import BoolArray, FloatArray, GoalError
from pluralbench.envs.state_grid import StateGrid
from pluralbench.errors import InputError

_RESTS_ON = slice(3, 8)
_KIND = slice(8, 14)
_OUTSIDE = 1.0  # m beyond the flat's walls where something may come to lie


class RearrangeTask(HouseholdTask):
    """Rankings of the five places `catalogue.PLACES`.

    A goal (5,) lists the places' indices by falling preference: (3, 0, 4, 1, 2) wants the sofa first and the coffee
    table last. The names of the places are understood too.

    Utility of an observation: 1 - r / 4, where r is the rank (0 for the favourite) of the place on which the object
    rests; 0 where it rests on none of them. Success: it rests on the favourite.
    """

    name = "habitat-rearrange"
    observation_size = 16
    action_size = len(PLACES)
    goal_size = len(PLACES)
    choices = PLACES
    max_episode_steps = 1
    observation_names = (
        *(f"object {axis} (m)" for axis in "xyz"),
        *(f"rests on {place}" for place in PLACES),
        *(f"is a {kind}" for kind in REARRANGE_OBJECTS),
        "robot x (m)",
        "robot y (m)",
    )

    def goal(self, value: ArrayLike) -> FloatArray:
        """The ranking (5,) float64 of places by falling preference, from indices or names."""
        array = np.asarray(value)
        if array.dtype.kind in "US" and array.ndim == 1 and all(str(name) in PLACES for name in array):
            array = np.array([PLACES.index(str(name)) for name in array])
        return super().goal(array)

    def goals(self, values: ArrayLike) -> FloatArray:
        """Checked rankings (..., 5)."""
        array = np.asarray(values)
        numbers = array.astype(np.float64) if array.dtype.kind in "biuf" else np.full(1, np.nan)
        expected = np.arange(self.goal_size)
        if numbers.ndim == 0 or numbers.shape[-1] != self.goal_size or not (np.sort(numbers, -1) == expected).all():
            places = ", ".join(f"{i} {place}" for i, place in enumerate(PLACES))
            raise GoalError(f"{self.name}: a goal ranks the places {places}, the favourite first; got {values!r}")
        return numbers

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> FloatArray:
        """Rankings (num_goals, 5), all 120 equally likely."""
        return generator.permuted(np.tile(np.arange(self.goal_size, dtype=np.float64), (num_goals, 1)), axis=1)

    def opposite(self, goals: FloatArray) -> FloatArray:
        """The reversed rankings: one minus the utility, but 0 for both where the object rests on none of the places."""
        return self.goals(goals)[..., ::-1].copy()

    def possible(self, observations: FloatArray) -> BoolArray:
        """Whether object and robot are in the flat, (...), the object is of one kind and rests on one place at most."""
        observations = np.asarray(observations)
        places = np.stack([observations[..., :2], observations[..., 14:]])
        in_flat = ((places >= -_OUTSIDE) & (places <= np.array(FLAT_SIZE) + _OUTSIDE)).all(axis=(0, -1))
        kind = observations[..., _KIND]
        return np.asarray(in_flat & one_at_most(kind) & (kind.sum(-1) == 1) & one_at_most(observations[..., _RESTS_ON]))

    def utility_of_places(self, goals: FloatArray) -> NDArray[np.float32]:
        """What each of the five places is worth, (..., 5), in the order of `PLACES`."""
        ranks = np.argsort(np.asarray(goals), axis=-1)  # the inverse of a permutation
        return (1.0 - ranks / (self.goal_size - 1)).astype(np.float32)

    def utility(self, observations: FloatArray, goals: FloatArray) -> NDArray[np.float32]:
        """1 - rank / 4 of the place on which the object rests, 0 elsewhere."""
        rests_on = np.asarray(observations)[..., _RESTS_ON]
        return np.clip((rests_on * self.utility_of_places(goals)).sum(-1), 0.0, 1.0).astype(np.float32)

    def goal_name(self, goal: FloatArray) -> str:
        """The places by falling preference: `desk > sofa > room > dining table > coffee table`."""
        return " > ".join(PLACES[int(index)] for index in goal)

    def outcomes(self, observations: FloatArray) -> NDArray[np.float32]:
        """Observations (..., 5, 16) after a placement that goes well, on each of the places.

        Args:
            observations: (..., 16); only the kind of object counts.
        """
        kinds = np.asarray(observations, dtype=np.float32)[..., _KIND]
        result = np.zeros((*kinds.shape[:-1], self.action_size, self.observation_size), dtype=np.float32)
        heights = np.array([OBJECTS[kind].half_height for kind in REARRANGE_OBJECTS], dtype=np.float32)
        for index, name in enumerate(PLACES):
            place = self.receptacles[name]
            result[..., index, :3] = place.centre
            result[..., index, 2] += kinds @ heights
            result[..., index, 14:] = place.access
        result[..., _RESTS_ON] = np.eye(self.action_size, dtype=np.float32)
        result[..., _KIND] = kinds[..., None, :]
        return result

    def state_grid(self) -> StateGrid:
        """A bowl on each of the places, in one row."""
        bowl = np.zeros(self.observation_size, dtype=np.float32)
        bowl[_KIND][REARRANGE_OBJECTS.index("bowl")] = 1.0
        return StateGrid(self.outcomes(bowl), (1, self.action_size), ("bowl",), PLACES)


class HabitatRearrange(HouseholdEnv):
    """A robot stores one piece of kitchenware somewhere in a flat; where its user wants it, it is not told.

    | observation | meaning | unit |
    |---|---|---|
    | 0 - 2 | position of the object's middle, x, y, z | m |
    | 3 - 7 | 1 for the place on which it rests: desk, dining table, coffee table, sofa, room (a rug on the floor) | |
    | 8 - 13 | 1 for its kind: bowl, plate, cup, pitcher, pan, pot | |
    | 14 - 15 | position of the robot's base, x, y | m |

    | action | meaning |
    |---|---|
    | 0 - 4 | carry it to the desk, dining table, coffee table, sofa, room |

    One step is one episode (terminated): the robot fetches the object, carries it along a collision-free path, lets go
    above the place, and physics settles. What slides off rests nowhere.

    Goal: a ranking of the places, see `RearrangeTask`. `reset(options={"goal": goal})` sets it, and it holds until
    another is set; until then every reset draws one. `reset(options={"continue": True})` starts where the last episode
    ended instead of at a random place.

    Reward: the one term `utility` of `info["reward_terms"]`. `info["success"]` and `info["is_success"]`: the object
    rests on the favourite now; `info["reached"]`: it did at any time so far; `info["rests_on"]`: index of the place, -1
    for none. All on reset as well.

    Version history: v0, first release.

    Args:
        objects: kinds of kitchenware that random episodes draw from; the paper has the bowl alone.
            The other arguments are those of `HouseholdEnv`.
    """

    task: RearrangeTask
    task_type = RearrangeTask
    can_continue = True

    def __init__(
        self,
        simulator: str | HouseholdSimulator = "auto",
        render_mode: str | None = None,
        goal: ArrayLike | None = None,
        episodes: str | Path | Sequence[Episode] | None = None,
        objects: Sequence[str] = REARRANGE_OBJECTS,
    ) -> None:
        if not objects or not set(objects) <= set(REARRANGE_OBJECTS):
            raise InputError(
                f"habitat-rearrange: objects must be among {', '.join(REARRANGE_OBJECTS)}, got {objects!r}"
            )
        self.objects = tuple(objects)
        super().__init__(simulator, render_mode, goal, episodes)

    def _observation_space(self) -> gym.spaces.Box:
        low = np.concatenate([[-1.0, -1.0, -1.0], np.zeros(11), [0.0, 0.0]])
        high = np.concatenate([[FLAT_SIZE[0] + 1, FLAT_SIZE[1] + 1, 3.0], np.ones(11), FLAT_SIZE])
        if self.simulator.scene_id != EMPTY_SCENE:  # other scenes have other extents
            low[[0, 1, 14, 15]], high[[0, 1, 14, 15]] = -50.0, 50.0
        return gym.spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def _draw_episode(self) -> Episode:
        generator = self.np_random
        kind = self.objects[generator.integers(len(self.objects))]
        places = self.simulator.receptacles()
        place = places[START_PLACES[generator.integers(len(START_PLACES))]]
        x, y = free_spot(kind, place, {}, generator)
        z = place.centre[2] + OBJECTS[kind].half_height
        start = self._random_start()
        pose = upright(place.centre[0] + x, place.centre[1] + y, z, generator.uniform(0.0, 2 * np.pi))
        return Episode("random", {kind: pose}, {kind: place.name}, (kind,), PLACES, start)

    def _begin(self, episode: Episode | None) -> None:
        super()._begin(episode)
        self._object = self._to_move[0]
        self._to_move = (self._object,)
        if self._object not in REARRANGE_OBJECTS:
            raise InputError(f"habitat-rearrange: episode {self.episode.episode_id} moves a {self._object!r}")
        self._rests_on = self._place_of(self._object)

    def _info(self) -> dict[str, Any]:
        success = bool(self.task.success(self._observe(), self.goal))
        rests_on = PLACES.index(self._rests_on) if self._rests_on in PLACES else -1
        return {"success": success, "rests_on": rests_on}

    def objects_right(self) -> dict[str, bool]:
        """Whether the object rests on the favourite."""
        return {self._object: bool(self.task.success(self._observe(), self.goal))}

    def _observe(self) -> NDArray[np.float32]:
        assert self._state is not None
        observation = np.zeros(self.task.observation_size)
        observation[:3] = self._state.objects[self._object].position
        observation[_RESTS_ON] = [place == self._rests_on for place in PLACES]
        observation[_KIND] = [kind == self._object for kind in REARRANGE_OBJECTS]
        observation[14:] = self._state.robot[:2]
        return np.clip(observation, self.observation_space.low, self.observation_space.high).astype(np.float32)
