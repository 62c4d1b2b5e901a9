"""What acts on the table without having learned anything: the data's policy, and a tour of zones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.ravens.environment import to_action
from pluralbench.envs.ravens.pick_place_policy import BehaviourSettings, act, draw_episode, pick_and_place
from pluralbench.envs.ravens.task import RavensTask
from pluralbench.envs.scripts import Script


class BehaviourScript(Script):
    """The scripted pick and place of `collect`, with its noise, failures and aimless motion.

    The zone that an episode means is drawn evenly: there is no number of the episode by which zones take turns.
    """

    def __init__(self, task: RavensTask) -> None:
        self._task = task

    def begin(self, observations: NDArray[np.float32], jobs: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        """Draws how each episode's robot behaves."""
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        self._episodes = [
            draw_episode(self._task, BehaviourSettings(), int(generator.integers(len(self._task.zones))), generator)
            for generator in self._generators
        ]

    def act(self, observations: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """What each episode's robot does next."""
        seen = zip(rows, observations, strict=True)
        actions = [act(self._episodes[row], observation, self._generators[row]) for row, observation in seen]
        return np.array(actions, dtype=np.float32).reshape(len(rows), 4)


class TourScript(Script):
    """Puts the block into all zones without noise, the nearest first, leaves it in each for a step, and in the last.

    Args:
        task: whose table it is.
        zones: (P, 2), m.
    """

    def __init__(self, task: RavensTask, zones: NDArray[np.floating]) -> None:
        self._task, self._zones = task, zones

    def begin(self, observations: NDArray[np.float32], jobs: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        """Chooses the nearest zones."""
        num = len(observations)
        self._visited = np.zeros((num, len(self._zones)), dtype=np.bool_)
        self._zone = np.zeros(num, dtype=np.int64)
        self._choose(np.arange(num), observations)

    def act(self, observations: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The next move towards the present zone; where the block has lain there for a step, towards the next one."""
        rested = self._visited[rows, self._zone[rows]] & ~self._visited[rows].all(axis=1)
        if rested.any():
            self._choose(rows[rested], observations[rested])
        zones = self._zones[self._zone[rows]]
        placed = self._task.success(observations, zones)
        self._visited[rows[placed], self._zone[rows[placed]]] = True
        command = pick_and_place(observations.astype(np.float64), zones)
        return to_action(command[:, :3], command[:, 3])

    def _choose(self, rows: NDArray[np.int64], observations: NDArray[np.float32]) -> None:
        """The zone that is nearest to the block of those not visited."""
        distance = np.linalg.norm(observations[:, None, 3:5] - self._zones, axis=-1)  # (R, P)
        self._zone[rows] = np.where(self._visited[rows], np.inf, distance).argmin(axis=1)


def behaviour_script(zones: str = "two-zones") -> BehaviourScript:
    """The policy that makes the data for a layout of zones, in episodes."""
    return BehaviourScript(RavensTask(zones))


def tour_script(goals: NDArray[np.floating], zones: str = "two-zones") -> TourScript:
    """A tour of goals (G', 2), which are zones of a layout."""
    task = RavensTask(zones)
    return TourScript(task, np.unique(task.goals(goals), axis=0))
