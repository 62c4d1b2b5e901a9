"""Scripts: what acts in an environment without having learned anything, such as the policy that made the data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray


class Script(ABC):
    """Acts in B episodes side by side and may remember what it did in each.

    A job is whom an episode is for: row j of the goals or rewards that the script was made with, where it was made with
    any. Everything random comes from the episodes' seeds, so that an episode is the same in whatever company it runs.
    """

    @abstractmethod
    def begin(self, observations: NDArray[np.float32], jobs: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        """B episodes start, with observations (B, S), for jobs (B,), with seeds (B,)."""

    @abstractmethod
    def act(self, observations: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Actions (R, ...) for observations (R, S) of the episodes `rows` (R,) of the B that began."""


class PlannedScript(Script):
    """Acts along paths that were planned for J rewards, one for each job.

    Attributes:
        ends: (J, M, S) float32, the observations in which the best paths from M starts end.
    """

    ends: NDArray[np.float32]


class RandomScript(Script):
    """Actions drawn evenly from the action space."""

    def __init__(self, action_space: gym.Space[Any]) -> None:
        self._space = action_space
        self._generators: list[np.random.Generator] = []

    def begin(self, observations: NDArray[np.float32], jobs: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        """One generator for each episode."""
        self._generators = [np.random.default_rng(seed) for seed in seeds]

    def act(self, observations: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[Any]:
        """As many draws as there are rows."""
        space = self._space
        if isinstance(space, gym.spaces.Discrete):
            return np.array([space.start + self._generators[row].integers(space.n) for row in rows], dtype=np.int64)
        if not isinstance(space, gym.spaces.Box) or not space.is_bounded():
            raise NotImplementedError(f"random actions need a Discrete or a bounded Box space, not {space}")
        drawn = [self._generators[row].uniform(space.low, space.high) for row in rows]
        return np.asarray(drawn, dtype=space.dtype).reshape(len(rows), *space.shape)
