"""The behaviour policy: scripted pick and place with noise, failures and aimless motion, and the data it leaves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.processes import mapped
from pluralbench.envs.ravens.environment import (
    RavensError,
    RavensManipulation,
    check_block_start,
    draw_block,
    to_action,
)
from pluralbench.envs.ravens.task import BLOCK_SIZE, WORKSPACE_HIGH, WORKSPACE_LOW, RavensTask
from pluralbench.envs.transitions import DatasetError, TransitionDataset
from pluralbench.envs.vectors import usable_processors
from pluralbench.progress import Progress
from pluralbench.ranges import LARGEST, check_number

BEHAVIOUR_VERSION = 1
"""Raised whenever `collect` comes to give other bytes for the same seed."""

_EPISODES_PER_CHUNK = 40


@dataclass(frozen=True)
class BehaviourSettings:
    """What kinds of episodes there are in the data, and how exactly the robot moves in them."""

    noise: float = 0.01
    """Metres, standard deviation of the Gaussian noise on every commanded target (the paper's)."""
    clumsy_share: float = 0.10
    """Share of episodes with `clumsy_noise` and slips: blocks are missed, dropped and pushed."""
    clumsy_noise: float = 0.03
    """Metres, the noise on the targets of a clumsy episode."""
    slip: float = 0.08
    """Probability, at each step of a clumsy episode, that the suction is the other way round."""
    elsewhere_share: float = 0.10
    """Share of episodes in which the block is put down at a random place that is no zone."""
    aimless_share: float = 0.10
    """Share of episodes in which the cup wanders from where it is and the suction is tossed at each step."""
    wander: float = 0.1
    """Metres, standard deviation of a step of aimless motion."""

    def __post_init__(self) -> None:
        check_number(RavensError, self, 0, LARGEST, "noise", "clumsy_noise", "wander")
        check_number(RavensError, self, 0, 1, "slip")
        check_number(RavensError, self, 0, 1, "clumsy_share", "elsewhere_share", "aimless_share")
        shares = (self.clumsy_share, self.elsewhere_share, self.aimless_share)
        if sum(shares) > 1.0:
            raise RavensError(f"ravens: shares of episodes are at most 1 in sum, are {shares}")


def pick_and_place(observations: NDArray[np.floating], places: NDArray[np.floating]) -> NDArray[np.float64]:
    """What to do next to put the block down at `places`, seen from the observation alone.

    There is no phase that it remembers, so that a policy which sees what it saw can do what it did:

    - block free and not at its place: over the block, and down onto it in a funnel, the lower the better centred;
    - block held: towards the place, down in the same way;
    - block held at its place and low: let go;
    - block free at its place: up and away.

    Args:
        observations: (..., 7).
        places: (..., 2) metres.

    Returns:
        (..., 4): the cup's target in metres, and 1 for suction or -1.
    """
    cup, block, held = observations[..., :3], observations[..., 3:6], observations[..., 6] > 0.5
    off_place = np.linalg.norm(block[..., :2] - places, axis=-1)
    off_block = np.linalg.norm(cup[..., :2] - block[..., :2], axis=-1)
    arrived = (off_place < 0.035) & (block[..., 2] < 0.035)

    # A cup that is low beside the block goes up before it goes over, or it would push the block along.
    beside = (off_block > 0.02) & (cup[..., 2] < BLOCK_SIZE + 0.01)
    pick_xy = np.where(beside[..., None], cup[..., :2], block[..., :2])
    pick_z = np.where(beside, 0.12, BLOCK_SIZE - 0.003 + 0.08 * _funnel(off_block, 0.01, 0.04))
    place_z = BLOCK_SIZE + 0.002 + 0.10 * _funnel(off_place, 0.015, 0.10)

    carrying = held & ~arrived
    free = ~held & ~arrived
    x_y = np.where(free[..., None], pick_xy, places)
    z = np.where(carrying, place_z, np.where(free, pick_z, np.where(held, cup[..., 2], 0.2)))
    suction = np.where(arrived, -1.0, 1.0)
    return np.concatenate([x_y, z[..., None], suction[..., None]], axis=-1)


def _funnel(distance: NDArray[np.floating], low: float, high: float) -> NDArray[np.float64]:
    """0 where `distance` is below `low`, 1 above `high`, straight between."""
    return np.clip((np.asarray(distance, dtype=np.float64) - low) / (high - low), 0.0, 1.0)


@dataclass(frozen=True)
class Episode:
    """How one episode's robot behaves: `zone`, `clumsy`, `elsewhere` or `aimless`, from its first step to its last.

    It means to put the block at `place` (2,), with `noise` on the commanded targets (both in metres); the suction is
    the other way round with probability `slip` at each step.
    """

    kind: str
    place: NDArray[np.float64]
    noise: float
    slip: float


def draw_episode(task: RavensTask, settings: BehaviourSettings, index: int, generator: np.random.Generator) -> Episode:
    """The behaviour of the `index`-th episode: its kind by the settings' shares, the zones in turn."""
    zone = task.zones[index % len(task.zones)]
    share = generator.random()
    if share < settings.clumsy_share:
        return Episode("clumsy", zone, settings.clumsy_noise, settings.slip)
    if share < settings.clumsy_share + settings.elsewhere_share:
        return Episode("elsewhere", draw_block(task, "anywhere", generator)[:2], settings.noise, 0.0)
    if share < settings.clumsy_share + settings.elsewhere_share + settings.aimless_share:
        return Episode("aimless", zone, settings.wander, 0.5)
    return Episode("zone", zone, settings.noise, 0.0)


def act(episode: Episode, observation: NDArray[np.floating], generator: np.random.Generator) -> NDArray[np.float32]:
    """The action (4,) of this episode's robot for what it sees, (7,); nothing else but the noise decides."""
    observation = np.asarray(observation, dtype=np.float64)
    command = pick_and_place(observation, episode.place)
    if episode.kind == "aimless":
        command[:3] = observation[:3]
    target = np.clip(command[:3] + episode.noise * generator.standard_normal(3), WORKSPACE_LOW, WORKSPACE_HIGH)
    suction = -command[3] if generator.random() < episode.slip else command[3]
    return to_action(target, suction)


def collect(
    num_transitions: int,
    seed: int,
    progress: Progress | None = None,
    *,
    zones: str = "two-zones",
    block_start: str = "centre",
    arm: str = "panda",
    settings: BehaviourSettings | None = None,
    num_workers: int | None = None,
) -> TransitionDataset:
    """Runs the behaviour policy in whole episodes of 25 steps, several processes side by side.

    No transition is terminal: the data serves users who want different zones, and what follows a success (the block
    stays where it is) has to be in it, as an agent that learns from it values that as well. The reward is the utility
    for the zone whose turn it is in that episode.

    Args:
        num_transitions: at least so many.
        seed: the same seed gives the same bytes, however many processes work.
        progress: told (transitions done, transitions in all).
        zones: `two-zones` or `four-zones`.
        block_start: `centre` or `anywhere`.
        arm: `panda` or `ur5`.
        settings: of the behaviour.
        num_workers: processes; None for one per processor. 1 works in this process.

    Raises:
        DatasetError, GoalError, RavensError, ArmError: no transitions wanted, or unknown zones, block start or arm.
        ProcessEndedError: a worker process was killed.
    """
    if num_transitions < 1:
        raise DatasetError(f"the number of transitions must be at least 1, is {num_transitions}")
    task, settings = RavensTask(zones), settings or BehaviourSettings()
    check_block_start(block_start)
    episodes = range(-(-num_transitions // task.max_episode_steps))
    chunks = [episodes[start : start + _EPISODES_PER_CHUNK] for start in episodes[::_EPISODES_PER_CHUNK]]
    run = partial(_run_chunk, zones, block_start, arm, settings, seed)
    total = len(episodes) * task.max_episode_steps
    parts: list[Columns] = []
    for part in mapped(run, chunks, num_workers or usable_processors()):
        parts.append(part)
        if progress is not None:
            progress(sum(len(done["rewards"]) for done in parts), total)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return TransitionDataset(
        **columns,
        terminals=np.zeros(total, dtype=np.bool_),
        timeouts=np.arange(1, total + 1) % task.max_episode_steps == 0,
        metadata={
            "environment": task.name,
            "policy": "pick_place_policy",
            "behaviour_version": BEHAVIOUR_VERSION,
            "seed": int(seed),
            "zones": zones,
            "block_start": block_start,
            "arm": arm,
            "settings": asdict(settings),
            "versions": {"numpy": np.__version__, "pybullet": version("pybullet")},
        },
    )


Columns = dict[str, NDArray[Any]]


def _run_chunk(
    zones: str, block_start: str, arm: str, settings: BehaviourSettings, seed: int, episodes: range
) -> Columns:
    """The transitions of some episodes, each of which depends on nothing but the seed and its own number."""
    environment = _environment(zones, block_start, arm)
    task = environment.task
    rows: dict[str, list[Any]] = {"observations": [], "actions": [], "next_observations": [], "rewards": []}
    for index in episodes:
        generator = np.random.default_rng([seed, index])
        episode = draw_episode(task, settings, index, generator)
        block = draw_block(task, block_start, generator)
        observation, _ = environment.reset(options={"goal": task.zones[index % len(task.zones)], "block": block})
        for _ in range(task.max_episode_steps):
            action = act(episode, observation, generator)
            after, reward, _, _, _ = environment.step(action)
            for name, value in zip(rows, (observation, action, after, reward), strict=True):
                rows[name].append(value)
            observation = after
    return {name: np.array(values, dtype=np.float32) for name, values in rows.items()}


@lru_cache(maxsize=1)
def _environment(zones: str, block_start: str, arm: str) -> RavensManipulation:
    """One environment for all chunks of a process; an episode depends on none before it."""
    return RavensManipulation(zones, block_start, arm)
