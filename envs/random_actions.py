"""Data of uniformly random actions in any environment, and what collectors of single environments share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import gymnasium as gym
import numpy as np

from pluralbench.envs.environments import Environment
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.envs.vectors import make_single
from pluralbench.progress import Progress


def collect_random(
    environment: Environment, num_transitions: int, seed: int, progress: Progress | None = None
) -> TransitionDataset:
    """Whole episodes of actions that are drawn uniformly from the action space.

    Args:
        environment: goals are those that its resets choose; rewards are its own.
        num_transitions: at least so many; DatasetError for fewer than one.
        seed: the same seed gives the same bytes.
        progress: told (transitions done, transitions in all).
    """
    if num_transitions < 1:
        raise DatasetError(f"{environment.name}: num_transitions must be at least 1, is {num_transitions}")
    env = make_single(environment)
    rows = TransitionRows(environment.make_task().action_size, env.action_space)
    try:
        blocks = seeded_blocks(seed)
        while len(rows) < num_transitions:
            _, env_seed, generator = next(blocks)
            observation, _ = env.reset(seed=env_seed)
            env.action_space.seed(int(generator.integers(2**31)))
            ended = False
            while not ended:
                action = env.action_space.sample()
                after, reward, terminated, truncated, _ = env.step(action)
                rows.add(observation, action, after, float(reward), terminated, truncated)
                observation, ended = after, terminated or truncated
            if progress is not None:
                progress(min(len(rows), num_transitions), num_transitions)
    finally:
        env.close()
    made_by = {"environment": environment.name, "policy": "random-actions", "seed": int(seed)}
    return rows.dataset({**made_by, "versions": {"numpy": np.__version__, "gymnasium": gym.__version__}})


def seeded_blocks(seed: int) -> Iterator[tuple[int, int, np.random.Generator]]:
    """Number, environment seed and generator of block after block of data; no block depends on another."""
    root = np.random.SeedSequence(seed)
    for number in count():
        (child,) = root.spawn(1)
        yield number, int(child.generate_state(1)[0]), np.random.default_rng(child)


class TransitionRows:
    """Transitions as they come.

    Args:
        action_size: A.
        action_space: of the environment; discrete actions are kept one-hot.
    """

    def __init__(self, action_size: int, action_space: gym.Space[Any]) -> None:
        self._size = action_size
        self._first = int(action_space.start) if isinstance(action_space, gym.spaces.Discrete) else None
        self._rows: list[tuple[Any, Any, Any, float, bool, bool]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self, before: Any, action: Any, after: Any, reward: float = 0.0, terminal: bool = False, timeout: bool = False
    ) -> None:
        """One transition; what is terminal is no timeout."""
        self._rows.append((before, action, after, reward, bool(terminal), bool(timeout and not terminal)))

    def dataset(self, metadata: dict[str, Any]) -> TransitionDataset:
        """All of them."""
        before, actions, after, rewards, terminals, timeouts = zip(*self._rows, strict=True)
        num = len(self)
        if self._first is None:
            columns = np.asarray(actions, dtype=np.float32).reshape(num, -1)
        else:
            columns = np.eye(self._size, dtype=np.float32)[np.asarray(actions, dtype=np.int64) - self._first]
        return TransitionDataset(
            observations=np.asarray(before, dtype=np.float32).reshape(num, -1),
            actions=columns,
            next_observations=np.asarray(after, dtype=np.float32).reshape(num, -1),
            rewards=np.array(rewards, dtype=np.float32),
            terminals=np.array(terminals, dtype=np.bool_),
            timeouts=np.array(timeouts, dtype=np.bool_),
            metadata=metadata,
        )
