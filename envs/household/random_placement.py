"""The behaviour policy of the household tasks: every object to every place, at random, as often as any other.

The rewards in the data are 0, as no particular user is being served. Relabelling gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np

from pluralbench.envs.household.catalogue import REARRANGE_OBJECTS
from pluralbench.envs.household.environment import HouseholdEnv
from pluralbench.envs.household.flat import CONTAINERS, PLACES
from pluralbench.envs.household.rearrange import HabitatRearrange
from pluralbench.envs.household.simulator import HouseholdSimulator
from pluralbench.envs.household.tidy import NUM_MISPLACED, HabitatTidy
from pluralbench.envs.random_actions import TransitionRows, seeded_blocks
from pluralbench.envs.transitions import TransitionDataset
from pluralbench.progress import Progress

CHAIN_LENGTH = len(PLACES) * 4
"""Placements of one object in succession, every place equally often."""


def collect_rearrange(
    num_transitions: int, seed: int, progress: Progress | None = None, simulator: str | HouseholdSimulator = "auto"
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

    def block(chain: int, reset_seed: int, generator: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        env.objects = (REARRANGE_OBJECTS[chain % len(REARRANGE_OBJECTS)],)
        observation, _ = env.reset(seed=reset_seed)
        for action in generator.permutation(np.arange(CHAIN_LENGTH) % len(PLACES)):
            after, _, ended, _, _ = env.step(action)
            yield observation, action, after, 0.0, ended
            observation, _ = env.reset(options={"continue": True})

    return _collect(env, block, CHAIN_LENGTH, num_transitions, seed, progress)


def collect_tidy(
    num_transitions: int, seed: int, progress: Progress | None = None, simulator: str | HouseholdSimulator = "auto"
) -> TransitionDataset:
    """Puts the objects of random episodes, laid out for random users, into random containers.

    Arguments as for `collect_rearrange`; `num_transitions` is rounded up to whole episodes of `NUM_MISPLACED`.
    """
    env = HabitatTidy(simulator)

    def block(number: int, reset_seed: int, generator: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        observation, _ = env.reset(seed=reset_seed)
        for action in generator.integers(len(CONTAINERS), size=NUM_MISPLACED):
            after, _, ended, _, _ = env.step(action)
            yield observation, action, after, 0.0, ended
            observation = after

    return _collect(env, block, NUM_MISPLACED, num_transitions, seed, progress)


def _collect(
    env: HouseholdEnv,
    block: Callable[[int, int, np.random.Generator], Iterator[tuple[Any, ...]]],
    size: int,
    num_transitions: int,
    seed: int,
    progress: Progress | None,
) -> TransitionDataset:
    """As many blocks of `size` placements as it takes; `block` gives the arguments of `TransitionRows.add`."""
    with closing(env):
        rows = TransitionRows(env.task.action_size, env.action_space)
        for numbered in islice(seeded_blocks(seed), -(-num_transitions // size)):
            for transition in block(*numbered):
                rows.add(*transition)
            if progress is not None:
                progress(min(len(rows), num_transitions), num_transitions)
        policy = {"environment": env.task.name, "policy": "random-placement"}
        return rows.dataset({**policy, "simulator": env.simulator.name, "seed": seed})
