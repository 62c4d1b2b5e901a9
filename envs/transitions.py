"""Offline data: the transitions that a behaviour policy left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.errors import InputError

Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]


class DatasetError(InputError):
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
        if 0 in (self.observations.shape[1], self.actions.shape[1]):
            raise DatasetError("observations and actions need at least one number")
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
            if values.dtype != np.float32:
                raise DatasetError(f"{name} must be finite float32, is {values.dtype}")
            if not (finite := np.isfinite(values)).all():
                row = int(np.argmin(finite.reshape(num, -1).all(axis=1)))
                raise DatasetError(f"{name} must be finite float32; row {row} is not finite")

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
