"""States laid out in a rectangle, so that a reward can be drawn over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StateGrid:
    """H x W states of an environment.

    Attributes:
        observations: (H * W, S) float32, NaN where no robot can be.
        shape: (H, W).
        row_names, column_names: H and W names where rows and columns have any.
    """

    observations: NDArray[np.float32]
    shape: tuple[int, int]
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.observations.ndim != 2 or len(self.observations) != self.shape[0] * self.shape[1]:
            raise ValueError(f"a grid of {self.shape} needs as many observations, got {self.observations.shape}")

    @property
    def reachable(self) -> NDArray[np.bool_]:
        """(H * W,) which of the states exist."""
        return np.asarray(np.isfinite(self.observations).all(axis=1))
