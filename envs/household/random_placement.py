"""The behaviour policy of the household tasks: every object to every place, at random, as often as any other.

The rewards in the data are 0: nobody in particular is being served. Relabelling gives them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.environments import Progress
from pluralbench.envs.household.catalogue import CONTAINERS, PLACES, REARRANGE_OBJECTS
from pluralbench.envs.household.rearrange import HabitatRearrange
from pluralbench.envs.household.simulator import HouseholdSimulator
from pluralbench.envs.household.tidy import NUM_MISPLACED, HabitatTidy
from pluralbench.envs.transitions import TransitionDataset

CHAIN_LENGTH = len(PLACES) * 4
"""Placements of one object in succession, every place equally often."""


def collect_rearrange(
    num_transitions: int,
    seed: int,
    progress: Progress | None = None,
    simulator: str | HouseholdSimulator = "auto",
) -> TransitionDataset:
    """Stores each kind of object again and again, each time on a random place, all places equally often.

    Each placement is an episode of one transition. It begins where the one before left the object, so that
    observations show outcomes as next observations do; every `CHAIN_LENGTH` placements the object and the flat change.

    Args:
        num_transitions: rounded up to whole chains.
        seed: the same seed gives the same bytes.
        progress: told of placements.
        simulator: as for the environment.
    """
    env = HabitatRearrange(simulator)
    try:
        rows = _Rows(env.task.action_size)
        for chain, reset_seed, generator in _blocks(num_transitions, CHAIN_LENGTH, seed):
            env.objects = (REARRANGE_OBJECTS[chain % len(REARRANGE_OBJECTS)],)
            observation, _ = env.reset(seed=reset_seed)
            for action in generator.permutation(np.arange(CHAIN_LENGTH) % len(PLACES)):
                after, _, _, _, _ = env.step(action)
                rows.add(observation, int(action), after, ended=True)
                observation, _ = env.reset(options={"continue": True})
            _report(progress, len(rows), num_transitions)
        return rows.dataset(env.task.name, env.simulator.name, seed)
    finally:
        env.close()


def collect_tidy(
    num_transitions: int,
    seed: int,
    progress: Progress | None = None,
    simulator: str | HouseholdSimulator = "auto",
) -> TransitionDataset:
    """Puts the objects of random episodes, laid out for random users, into random containers.

    Args:
        num_transitions: rounded up to whole episodes of `NUM_MISPLACED` placements.
        seed: the same seed gives the same bytes.
        progress: told of placements.
        simulator: as for the environment.
    """
    env = HabitatTidy(simulator)
    try:
        rows = _Rows(env.task.action_size)
        for _, reset_seed, generator in _blocks(num_transitions, NUM_MISPLACED, seed):
            observation, _ = env.reset(seed=reset_seed)
            for action in generator.integers(len(CONTAINERS), size=NUM_MISPLACED):
                after, _, ended, _, _ = env.step(action)
                rows.add(observation, int(action), after, ended)
                observation = after
            _report(progress, len(rows), num_transitions)
        return rows.dataset(env.task.name, env.simulator.name, seed)
    finally:
        env.close()


def _blocks(num_transitions: int, size: int, seed: int) -> list[tuple[int, int, np.random.Generator]]:
    """Number, environment seed and generator of each block of placements; a block does not depend on the others."""
    children = np.random.SeedSequence(seed).spawn(-(-num_transitions // size))
    return [(k, int(child.generate_state(1)[0]), np.random.default_rng(child)) for k, child in enumerate(children)]


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(min(done, total), total)


class _Rows:
    """Transitions as they come."""

    def __init__(self, action_size: int) -> None:
        self._one_hot = np.eye(action_size, dtype=np.float32)
        self._before: list[NDArray[np.float32]] = []
        self._actions: list[int] = []
        self._after: list[NDArray[np.float32]] = []
        self._ended: list[bool] = []

    def __len__(self) -> int:
        return len(self._actions)

    def add(self, before: NDArray[np.float32], action: int, after: NDArray[np.float32], ended: bool) -> None:
        self._before.append(before)
        self._actions.append(action)
        self._after.append(after)
        self._ended.append(ended)

    def dataset(self, environment: str, simulator: str, seed: int) -> TransitionDataset:
        metadata: dict[str, Any] = {
            "environment": environment,
            "policy": "random-placement",
            "simulator": simulator,
            "seed": seed,
        }
        return TransitionDataset(
            observations=np.stack(self._before),
            actions=self._one_hot[self._actions],
            next_observations=np.stack(self._after),
            rewards=np.zeros(len(self), dtype=np.float32),
            terminals=np.array(self._ended),
            timeouts=np.zeros(len(self), dtype=bool),
            metadata=metadata,
        )
