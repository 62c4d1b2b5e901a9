"""The environments by name: what a benchmark needs to know of each one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from envs.multigoal import MultiGoalTask
from envs.registry import Registry
from envs.transitions import TransitionDataset

Progress = Callable[[int, int], None]
"""Told now and then how many of how many steps of a long piece of work are done."""


class CollectData(Protocol):
    """Runs the environment's behaviour policy."""

    def __call__(self, num_transitions: int, seed: int, progress: Progress | None = None) -> TransitionDataset:
        """At least `num_transitions` transitions in whole episodes; the same seed gives the same bytes."""
        ...


@dataclass(frozen=True)
class Environment:
    """One environment of the suite.

    Attributes:
        name: its name on the command line, `maze` say.
        gym_id: its Gymnasium id; `gym.make(gym_id)` and `gym.make_vec(gym_id, num_envs)` build it.
        make_task: builds its `MultiGoalTask` (cheap: no simulator is started).
        collect: its behaviour policy's data.
        behaviour_version: part of the data cache's key; raise it when `collect` comes to give other bytes.
        default_population: the population that the paper uses there.
        max_parallel_episodes: how many sub-environments one vectorised evaluation may have.
        reported_infos: numbers of the `info` of an episode's last step that are reported beside its success.
    """

    name: str
    gym_id: str
    make_task: Callable[[], MultiGoalTask]
    collect: CollectData
    behaviour_version: int
    default_population: str
    max_parallel_episodes: int = 4096
    reported_infos: tuple[str, ...] = ()


def _check(thing: object) -> None:
    if not isinstance(thing, Environment):
        raise TypeError(f"expected an envs.Environment, got {type(thing).__name__}")


environments: Registry[Environment] = Registry("environment", "pluralbench.environments", _check)
