"""Offline data: the transitions that a behaviour policy left behind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]


class DatasetError(ValueError):
    """A dataset or a file that is not what it should be; the message names it and what was expected."""


@dataclass(frozen=True)
class TransitionDataset:
    """N transitions in the order in which they happened, episode after episode.

    Attributes:
        observations: (N, S) float32, what the robot saw before acting.
        actions: (N, A) float32.
        next_observations: (N, S) float32, what it saw after; true also where an episode was cut short.
        rewards: (N,) float32, the environment's reward for arriving at `next_observations`, not off by one.
        terminals: (N,) bool, True where the task truly ended there.
        timeouts: (N,) bool, True where the episode was cut short there.
        metadata: what made it (environment, policy, seed, settings, versions); JSON values only.
    """

    observations: Float32
    actions: Float32
    next_observations: Float32
    rewards: Float32
    terminals: Bool
    timeouts: Bool
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        num = len(self.observations)
        if self.observations.ndim != 2 or self.actions.ndim != 2:
            raise DatasetError("observations and actions must be (N, S) and (N, A)")
        if num == 0:
            raise DatasetError("a dataset needs at least one transition")
        if self.next_observations.shape != self.observations.shape or len(self.actions) != num:
            raise DatasetError("observations, actions and next_observations differ in length or size")
        for name in ("rewards", "terminals", "timeouts"):
            if getattr(self, name).shape != (num,):
                raise DatasetError(f"{name} must be ({num},), is {getattr(self, name).shape}")
        if self.terminals.dtype != np.bool_ or self.timeouts.dtype != np.bool_:
            raise DatasetError(
                f"terminals and timeouts must be bool, are {self.terminals.dtype}, {self.timeouts.dtype}"
            )
        for name in ("observations", "actions", "next_observations", "rewards"):
            values = getattr(self, name)
            if values.dtype != np.float32 or not np.isfinite(values).all():
                raise DatasetError(f"{name} must be finite float32, is {values.dtype}")

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def episode_bounds(self) -> NDArray[np.int64]:
        """(M, 2): the first transition of each episode and one past its last; a cut at the end of the data counts."""
        ends = np.flatnonzero(self.terminals | self.timeouts) + 1
        if len(ends) == 0 or ends[-1] != len(self):
            ends = np.append(ends, len(self))
        return np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)

    @property
    def episode_index(self) -> NDArray[np.int64]:
        """(N,): to which episode each transition belongs."""
        bounds = self.episode_bounds
        return np.repeat(np.arange(len(bounds)), bounds[:, 1] - bounds[:, 0])

    def take_episodes(self, episodes: ArrayLike) -> TransitionDataset:
        """The transitions of these episodes, in this order; an episode that the end of the data cut becomes a timeout.

        Raises:
            DatasetError: no episode is asked for, or one that does not exist.
        """
        chosen = np.asarray(episodes, dtype=np.int64).reshape(-1)
        bounds = self.episode_bounds
        if len(chosen) == 0 or chosen.min() < 0 or chosen.max() >= len(bounds):
            raise DatasetError(f"episodes go from 0 to {len(bounds) - 1}, asked for {chosen.tolist()[:10] or 'none'}")
        starts, lengths = bounds[chosen, 0], bounds[chosen, 1] - bounds[chosen, 0]
        ends = np.cumsum(lengths)
        rows = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
        timeouts = self.timeouts[rows]
        timeouts[ends - 1] |= ~self.terminals[rows[ends - 1]]
        return replace(
            self,
            observations=self.observations[rows],
            actions=self.actions[rows],
            next_observations=self.next_observations[rows],
            rewards=self.rewards[rows],
            terminals=self.terminals[rows],
            timeouts=timeouts,
        )

    def split_episodes(
        self, held_out_fraction: float, generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Episodes split at random into two parts that share none: (train, held out), each sorted, none empty.

        Raises:
            DatasetError: fewer than two episodes, or a fraction outside (0, 1).
        """
        num = len(self.episode_bounds)
        if num < 2 or not 0 < held_out_fraction < 1:
            raise DatasetError(f"cannot hold out a share of {held_out_fraction} of {num} episode(s)")
        num_held_out = min(max(round(held_out_fraction * num), 1), num - 1)
        order = generator.permutation(num)
        return np.sort(order[num_held_out:]), np.sort(order[:num_held_out])
