"""Where the random numbers of many mazes come from: one generator for all of them, or one for each."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Rows = NDArray[np.int64]

_BLOCK = 100  # steps whose noise is drawn at once


class Draws(Protocol):
    """Random numbers for the mazes `rows` (R,)."""

    def standard_normal(self, rows: Rows) -> Float64:
        """Noise (R, 2) of one step."""

    def random(self, rows: Rows, size: int) -> Float64:
        """Uniform numbers (R, size) in [0, 1)."""

    def integers(self, rows: Rows, high: int) -> Rows:
        """Whole numbers (R,) from 0 to high - 1."""


class SharedDraws:
    """One generator for all mazes: the fastest, and what a maze gets depends on the others."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def standard_normal(self, rows: Rows) -> Float64:
        """See `Draws`."""
        return self._generator.standard_normal((len(rows), 2))

    def random(self, rows: Rows, size: int) -> Float64:
        """See `Draws`."""
        return self._generator.random((len(rows), size))

    def integers(self, rows: Rows, high: int) -> Rows:
        """See `Draws`."""
        return self._generator.integers(high, size=len(rows))


class SeparateDraws:
    """A generator for each maze, from its seed (B,): what a maze gets depends on nothing else."""

    def __init__(self, seeds: NDArray[np.integer]) -> None:
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        self._noise = np.empty((len(seeds), _BLOCK, 2))
        self._used = np.zeros(len(seeds), dtype=np.int64)

    def standard_normal(self, rows: Rows) -> Float64:
        """See `Draws`."""
        position = self._used[rows] % _BLOCK
        for row in rows[position == 0]:
            self._generators[row].standard_normal(out=self._noise[row])
        self._used[rows] += 1
        return self._noise[rows, position]

    def random(self, rows: Rows, size: int) -> Float64:
        """See `Draws`."""
        return np.array([self._generators[row].random(size) for row in rows]).reshape(len(rows), size)

    def integers(self, rows: Rows, high: int) -> Rows:
        """See `Draws`."""
        return np.array([self._generators[row].integers(high) for row in rows], dtype=np.int64)
