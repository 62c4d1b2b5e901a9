"""Habitat-Tidy: put things away the way their user sorts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pluralbench.envs.household.catalogue import ATTRIBUTES, OBJECTS, attribute_table
from pluralbench.envs.household.environment import HouseholdEnv, HouseholdTask, free_spot, one_at_most
from pluralbench.envs.household.episodes import Episode, Pose, upright
from pluralbench.envs.household.flat import CONTAINERS, START_PLACES
from pluralbench.envs.multigoal import BoolArray, FloatArray, GoalError, check_goals
from pluralbench.envs.state_grid import StateGrid

NUM_MISPLACED = 4
"""Objects that a random episode asks to put away ..."""
NUM_PLACED = 2
"""... and objects that lie where the user wants them already."""
_PLACED = slice(0, 5)
_CONTAINER = slice(5, 7)
_PRESENTED = slice(7, 12)
_TIE = 1e-9
_SIDES: dict[str | None, int] = {CONTAINERS[0]: 1, CONTAINERS[1]: -1}


class TidyTask(HouseholdTask):
    """Weights of the five attributes `catalogue.ATTRIBUTES`, by which a user sorts into two containers.

    With weights w, a goal (5,), an object of attributes a (signs) belongs into the left box if w . a > 0, into the
    right box if w . a < 0; where w . a = 0 the user does not care. (1, 0, 0, 0, 0) puts tableware left and cookware
    right, (0, 1, 0, 0, 0) metal left and plastic right.

    Utility of an observation, which shows the object placed last: 1 in its container, 0 in the other one, 1/2 in either
    where the user does not care, 0 where it slid off and lies in neither, and 1/2 before anything was placed. Success
    of an observation: the object lies in a container and not in the wrong one. The environment's `info["success"]` is
    that of all placements, which no single observation shows.
    """

    name = "habitat-tidy"
    observation_size = 12
    action_size = len(CONTAINERS)
    goal_size = len(ATTRIBUTES)
    goal_sets: Mapping[str, Sequence[ArrayLike]] = {"single-attributes": np.eye(len(ATTRIBUTES)).tolist()}
    choices = CONTAINERS
    max_episode_steps = len(OBJECTS)
    observation_names = (
        *(f"{name} of the object placed" for name in ATTRIBUTES),
        *(f"lies in the {name}" for name in CONTAINERS),
        *(f"{name} of the object presented" for name in ATTRIBUTES),
    )
    _known = ("(1, 0, 0, 0, 0) to sort by function", "(0, 1, 0, 0, 0) to sort by material")

    def goals(self, values: ArrayLike) -> FloatArray:
        """Checked weights (..., 5)."""
        if np.asarray(values).dtype.kind not in "biuf":
            raise GoalError(f"{self.name}: a goal is {self.goal_size} numbers, for example {', '.join(self._known)}")
        goals = check_goals(values, self.name, self.goal_size, self._known)
        if not (goals != 0).any(-1).all():
            raise GoalError(f"{self.name}: a goal needs a weight other than 0, for example {', '.join(self._known)}")
        return goals

    def sample_goals(self, num_goals: int, generator: np.random.Generator) -> FloatArray:
        """Weights (num_goals, 5) of random direction, their absolute values adding up to one."""
        weights = generator.standard_normal((num_goals, self.goal_size))
        return weights / np.abs(weights).sum(-1, keepdims=True)

    def opposite(self, goals: FloatArray) -> FloatArray:
        """The negative weights: one minus the utility, but 0 for both where the object slid off."""
        return -self.goals(goals)

    def side(self, attributes: FloatArray, goals: FloatArray) -> NDArray[np.int64]:
        """1 where objects of these attributes (..., 5) belong left, -1 where right, 0 where it does not matter."""
        score = (np.asarray(attributes, dtype=np.float64) * np.asarray(goals, dtype=np.float64)).sum(-1)
        return (np.sign(score) * (np.abs(score) > _TIE)).astype(np.int64)

    def possible(self, observations: FloatArray) -> BoolArray:
        """Whether attributes are signs or missing, (...), and the object placed lies in one container at most."""
        observations = np.asarray(observations)
        signs = np.concatenate([observations[..., _PLACED], observations[..., _PRESENTED]], axis=-1)
        return np.asarray(np.isin(signs, (-1.0, 0.0, 1.0)).all(-1) & one_at_most(observations[..., _CONTAINER]))

    def utility(self, observations: FloatArray, goals: FloatArray) -> NDArray[np.float32]:
        """1 in the right container, 0 in the wrong one and in none, 1/2 if it does not matter or nothing is placed."""
        observations = np.asarray(observations)
        placed, container = observations[..., _PLACED], observations[..., _CONTAINER]
        fits = (container[..., 0] - container[..., 1]) * self.side(placed, goals)
        nothing_yet = (placed == 0).all(-1)
        return np.clip(0.5 * (container.sum(-1) + fits + nothing_yet), 0.0, 1.0).astype(np.float32)

    def success(self, observations: FloatArray, goals: FloatArray) -> BoolArray:
        """Whether the object placed last lies in a container that suits."""
        lies_in_one = np.asarray(observations)[..., _CONTAINER].sum(-1) > 0.5
        return lies_in_one & (self.utility(observations, goals) > 0.25)

    def goal_name(self, goal: FloatArray) -> str:
        """`by function`, `by material, the other way round`, or `0.6 function - 0.4 size`."""
        weights = np.asarray(goal, dtype=np.float64)
        used = np.flatnonzero(weights)
        if len(used) == 1:
            return f"by {ATTRIBUTES[used[0]]}" + (", the other way round" if weights[used[0]] < 0 else "")
        parts = [f"{'+' if weights[i] > 0 else '-'} {abs(weights[i]):.2g} {ATTRIBUTES[i]}" for i in used]
        return " ".join(parts).removeprefix("+ ")

    def outcomes(self, observations: FloatArray) -> NDArray[np.float32]:
        """Observations (..., 2, 12) after the object presented was placed well in each of the containers.

        Args:
            observations: (..., 12); only the object presented counts.
        """
        presented = np.asarray(observations, dtype=np.float32)[..., _PRESENTED]
        result = np.zeros((*presented.shape[:-1], self.action_size, self.observation_size), dtype=np.float32)
        result[..., _PLACED] = presented[..., None, :]
        result[..., _CONTAINER] = np.eye(self.action_size, dtype=np.float32)
        return result

    def state_grid(self) -> StateGrid:
        """Each object in each container."""
        presented = np.zeros((len(OBJECTS), self.observation_size), dtype=np.float32)
        presented[:, _PRESENTED] = attribute_table()
        outcomes = self.outcomes(presented)  # (16, 2, S)
        return StateGrid(outcomes.reshape(-1, self.observation_size), outcomes.shape[:2], tuple(OBJECTS), CONTAINERS)


class HabitatTidy(HouseholdEnv):
    """A robot puts kitchen objects into two containers; how their user sorts them, it is not told.

    Some objects lie in the right container already, `NUM_MISPLACED` others somewhere in the flat. Each step presents
    one of them, and the action chooses its container.

    | observation | meaning |
    |---|---|
    | 0 - 4 | object placed last: function, material, colour, size, fragility, +1 or -1; 0 before the first |
    | 5 - 6 | 1 for the container in which it lies: left box, right box; none if it slid off |
    | 7 - 11 | attributes of the object presented now; 0 when all are put away |

    | action | meaning |
    |---|---|
    | 0, 1 | put it into the left box, the right box |

    What lies in the containers from the start would give the user away, so the observation leaves it out, and with it
    the exact spot at which an object came to rest, which depends on it: what the robot may know of the user are that
    user's answers. It is there in the simulator, and in the picture.

    Goal: attribute weights, see `TidyTask`. `reset(options={"goal": goal})` sets it, and it holds until another is set;
    until then every reset draws one.

    Reward: the one term `utility` of `info["reward_terms"]`, of the object just placed. Episode end: terminated when
    all are put away. `info` holds, on reset and on every step,

    | key | meaning |
    |---|---|
    | success, is_success | all objects that were misplaced lie in a container that suits (False before the end) |
    | reached | that was so at any time so far |
    | share_right | share of the objects that were misplaced which do now |
    | right_agreed, num_agreed | of those on which users who sort by function and by material agree: how many, of how many |
    | right_disputed, num_disputed | of those on which they disagree |

    Arguments: those of `HouseholdEnv`. Version history: v0, first release.
    """  # noqa: E501

    task: TidyTask
    task_type = TidyTask

    def _observation_space(self) -> gym.spaces.Box:
        signs = np.ones(5, dtype=np.float32)
        low = np.concatenate([-signs, np.zeros(2, dtype=np.float32), -signs])
        return gym.spaces.Box(low, np.ones(self.task.observation_size, dtype=np.float32), dtype=np.float32)

    def _draw_episode(self) -> Episode:
        generator = self.np_random
        places = self.simulator.receptacles()
        names = _draw_objects(generator)
        objects: dict[str, Pose] = {}
        lying_on = {}
        loose = generator.permutation(len(START_PLACES))
        for number, name in enumerate(names):
            if number < NUM_MISPLACED:
                place = places[START_PLACES[loose[number]]]
            else:
                side = int(self.task.side(np.array(OBJECTS[name].attributes), self.goal))
                index = int(generator.integers(2)) if side == 0 else (0 if side > 0 else 1)
                place = places[CONTAINERS[index]]
            x, y = free_spot(name, place, objects, generator)
            z = place.centre[2] + OBJECTS[name].half_height
            objects[name] = upright(place.centre[0] + x, place.centre[1] + y, z, generator.uniform(0.0, 2 * np.pi))
            lying_on[name] = place.name
        return Episode("random", objects, lying_on, names[:NUM_MISPLACED], CONTAINERS, self._random_start())

    def _observe(self) -> NDArray[np.float32]:
        observation = np.zeros(self.task.observation_size, dtype=np.float32)
        if self._num_done:
            observation[_PLACED] = OBJECTS[self._to_move[self._num_done - 1]].attributes
            observation[_CONTAINER] = [name == self._rests_on for name in CONTAINERS]
        if self._num_done < len(self._to_move):
            observation[_PRESENTED] = OBJECTS[self._to_move[self._num_done]].attributes
        return observation

    def _attributes(self) -> NDArray[np.float64]:
        """Of the objects to move, (N, 5)."""
        return np.array([OBJECTS[name].attributes for name in self._to_move]).reshape(-1, len(ATTRIBUTES))

    def _right(self) -> BoolArray:
        """Whether each of them lies in a container that suits now, (N,)."""
        signs = np.array([_SIDES.get(self._place_of(name), 0) for name in self._to_move])
        return (signs != 0) & (signs * self.task.side(self._attributes(), self.goal) >= 0)

    def objects_right(self) -> dict[str, bool]:
        """For each object to move, whether it lies in a container that suits now."""
        return dict(zip(self._to_move, self._right().tolist(), strict=True))

    def _info(self) -> dict[str, Any]:
        attributes = self._attributes()
        agreed = attributes[:, 0] == attributes[:, 1]
        right = self._right()
        success = bool(not self._running and right.all())
        return {
            "success": success,
            "share_right": float(right.mean()),
            "right_agreed": int(right[agreed].sum()),
            "num_agreed": int(agreed.sum()),
            "right_disputed": int(right[~agreed].sum()),
            "num_disputed": int((~agreed).sum()),
        }


def _draw_objects(generator: np.random.Generator) -> tuple[str, ...]:
    """Different objects: first the misplaced ones, of which users agree on half and disagree on half, then the rest."""
    table, names = attribute_table(), np.array(list(OBJECTS))
    agreed = table[:, 0] == table[:, 1]
    some = generator.permutation(names[agreed])
    others = generator.permutation(names[~agreed])
    half = NUM_MISPLACED // 2
    misplaced = generator.permutation(np.concatenate([some[:half], others[: NUM_MISPLACED - half]]))
    rest = generator.permutation(np.concatenate([some[half:], others[NUM_MISPLACED - half :]]))
    return tuple(str(name) for name in (*misplaced, *rest[:NUM_PLACED]))
