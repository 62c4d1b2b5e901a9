"""Success of a policy for each held-out user: batched episodes, every one of which counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import envs  # noqa: F401 (registers the Gymnasium ids)
from envs.environments import Environment, Progress

Act = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]]
"""(B, S) observations and (B,) rows, the row of `Jobs` each belongs to, give (B, A) actions."""


@dataclass(frozen=True)
class Outcome:
    """What became of the episodes of J jobs (a job is one policy acting for one user).

    Attributes:
        successes: (J,) episodes in which the user's goal was reached.
        errors: messages of episodes in which the simulator raised; they count as failures.
        mean_steps: (J,) mean length of an episode.
    """

    successes: NDArray[np.int64]
    errors: tuple[str, ...]
    mean_steps: NDArray[np.float64]


def run_episodes(
    environment: Environment,
    act: Act,
    goals: NDArray[np.float64],
    episodes: int,
    seeds: NDArray[np.int64],
    progress: Progress | None = None,
) -> Outcome:
    """Runs `episodes` episodes for each of J jobs, as many side by side as the environment takes.

    Args:
        environment: where.
        act: the deterministic policies of all jobs in one.
        goals: (J, G) whose success counts.
        episodes: episodes of each job.
        seeds: (J,) the seed from which a job's starts are drawn: jobs with the same seed get the same starts.
        progress: told of finished episodes.
    """
    num_jobs = len(goals)
    job_of = np.repeat(np.arange(num_jobs), episodes)  # (J * episodes,)
    starts = np.concatenate(
        [np.random.SeedSequence([int(seed)]).generate_state(episodes, np.uint32) for seed in seeds]
    ).astype(np.int64)
    success = np.zeros(len(job_of), dtype=bool)
    steps = np.zeros(len(job_of), dtype=np.int64)
    errors: list[str] = []
    width = min(environment.max_parallel_episodes, len(job_of))
    vector = gym.make_vec(
        environment.gym_id, num_envs=width, vector_kwargs={"autoreset_mode": AutoresetMode.DISABLED}
    )
    try:
        for begin in range(0, len(job_of), width):
            rows = np.arange(begin, begin + width) % len(job_of)  # the last round repeats some, which are not counted
            counted = np.arange(begin, begin + width) < len(job_of)
            reached, lengths, raised = _round(vector, act, job_of[rows], goals[job_of[rows]], starts[rows])
            success[rows[counted]] = reached[counted]
            steps[rows[counted]] = lengths[counted]
            errors += [message for row, message in raised if counted[row]]
            if progress is not None:
                progress(min(begin + width, len(job_of)), len(job_of))
    finally:
        vector.close()
    return Outcome(
        successes=success.reshape(num_jobs, episodes).sum(1),
        errors=tuple(errors),
        mean_steps=steps.reshape(num_jobs, episodes).mean(1),
    )


def _round(
    vector: gym.vector.VectorEnv,
    act: Act,
    jobs: NDArray[np.int64],
    goals: NDArray[np.float64],
    starts: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64], list[tuple[int, str]]]:
    observations, _ = vector.reset(seed=starts.tolist(), options={"goal": goals})
    running = np.ones(len(jobs), dtype=bool)
    success = np.zeros(len(jobs), dtype=bool)
    lengths = np.zeros(len(jobs), dtype=np.int64)
    raised: list[tuple[int, str]] = []
    actions = np.zeros(vector.action_space.shape, dtype=vector.action_space.dtype)
    while running.any():
        rows = np.flatnonzero(running)
        actions[rows] = act(np.asarray(observations)[rows], jobs[rows])
        observations, _, terminated, truncated, infos = vector.step(actions)
        lengths[rows] += 1
        success[rows] |= np.asarray(infos["success"], dtype=bool)[rows]
        if "error" in infos:  # an episode that raised is over, and a failure
            for row in (row for row in rows if infos["error"][row]):
                raised.append((int(row), str(infos["error"][row])))
                success[row] = terminated[row] = False
                truncated[row] = True
        running &= ~(np.asarray(terminated, dtype=bool) | np.asarray(truncated, dtype=bool))
    return success, lengths, raised


def seeds_for(run_seeds: list[int], num_users: int) -> NDArray[np.int64]:
    """(E * U,) one seed per run and user: every method of a seed meets the same starts, no two seeds do."""
    return np.array(
        [
            int(np.random.SeedSequence([97, seed, user]).generate_state(1, np.uint32)[0])
            for seed in run_seeds
            for user in range(num_users)
        ],
        dtype=np.int64,
    )

