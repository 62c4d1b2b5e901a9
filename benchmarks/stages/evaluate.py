"""Success of a policy for each test user: batched episodes, every one of which counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from pluralbench.envs import Environment, make_vector
from pluralbench.envs.scripts import Script
from pluralbench.errors import InputError
from pluralbench.lines import shown
from pluralbench.progress import Progress

Goals = NDArray[np.float64]
"""(J, G), what the user of each job wants."""
Act = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[Any]]
"""(B, S) observations and (B,) rows, the job that each belongs to, give (B, A) actions."""
FINAL = 0
"""The `seed` of evaluations at the end of training: the same for all policies, which so start from the same places."""
BY_ANSWERS = 1
"""The `seed` of evaluations by numbers of answers."""


class ActionsError(InputError):
    """A policy gives what are no actions; the message says what it gives, without its name."""


@dataclass(frozen=True)
class Outcome:
    """What became of the episodes of J jobs (a job is one policy acting for one user)."""

    episodes: int  # of each job
    successes: NDArray[np.int64]  # (J,) episodes at the end of which things were as the user wants them
    reached: NDArray[np.int64]  # (J,) episodes in which they were at any time, by the papers' rule
    mean_steps: NDArray[np.float64]  # (J,) mean length of an episode
    errors: tuple[tuple[int, str], ...] = ()
    """(job, message) of every episode in which the simulator raised; it counts as a failure."""
    infos: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """By name, (J,) means over episodes of the environment's `reported_infos`."""

    @property
    def success_rates(self) -> NDArray[np.float64]:
        """(J,) successes over all episodes."""
        return self.successes / self.episodes

    def of_jobs(self, jobs: slice) -> Outcome:
        """The outcome of some consecutive jobs."""
        rows = range(len(self.successes))[jobs]
        errors = tuple((job - rows.start, message) for job, message in self.errors if job in rows)
        infos = {name: values[jobs] for name, values in self.infos.items()}
        counts = self.successes[jobs], self.reached[jobs]
        return Outcome(self.episodes, *counts, self.mean_steps[jobs], errors, infos)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "episodes": self.episodes,
            "successes": self.successes.tolist(),
            "reached": self.reached.tolist(),
            "mean_steps": self.mean_steps.tolist(),
            "errors": [list(error) for error in self.errors],
            "infos": {name: values.tolist() for name, values in self.infos.items()},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """What `as_dict` gave."""
        return cls(
            int(values["episodes"]),
            np.asarray(values["successes"], dtype=np.int64),
            np.asarray(values["reached"], dtype=np.int64),
            np.asarray(values["mean_steps"], dtype=np.float64),
            tuple((int(job), str(message)) for job, message in values["errors"]),
            {name: np.asarray(means, dtype=np.float64) for name, means in values["infos"].items()},
        )


class _Stateless(Script):
    """A policy that looks at nothing but the observation and the job."""

    def __init__(self, act: Act) -> None:
        self._act = act

    def begin(self, observations: NDArray[np.float32], jobs: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
        self._jobs = jobs

    def act(self, observations: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[Any]:
        return self._act(observations, self._jobs[rows])


def as_script(act: Act | Script) -> Script:
    """A policy as a script."""
    return act if isinstance(act, Script) else _Stateless(act)


def run_episodes(
    environment: Environment,
    act: Act | Script,
    goals: Goals,
    episodes: int,
    seed: int,
    job_seeds: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Runs `episodes` episodes for each of J jobs, as many side by side as the environment takes.

    The k-th episode of a job starts as `seed`, the job's own seed and k say, in whatever company it runs: methods that
    are given the same seeds for a user are compared from the same starts.

    Args:
        environment: where.
        act: the deterministic policies of all jobs in one.
        goals: (J, G) whose success counts.
        episodes: of each job.
        seed: of this evaluation.
        job_seeds: (J,) of each job; its number if None.
        progress: told of finished episodes.

    Raises:
        ActionsError: `act` gives another shape than one action for each observation, or what are no finite numbers.
    """
    num_jobs = len(goals)
    own = np.arange(num_jobs) if job_seeds is None else job_seeds
    job_of = np.repeat(np.arange(num_jobs), episodes)  # (J * episodes,)
    starts = np.array([_episode_seed(seed, int(job), k) for job in own for k in range(episodes)], dtype=np.int64)
    script = as_script(act)
    success, reached = np.zeros(len(job_of), dtype=bool), np.zeros(len(job_of), dtype=bool)
    steps = np.zeros(len(job_of), dtype=np.int64)
    infos = {name: np.zeros(len(job_of)) for name in environment.reported_infos}
    errors: list[tuple[int, str]] = []
    width = min(environment.max_parallel_episodes, len(job_of))
    vector = make_vector(environment, width)
    try:
        for begin in range(0, len(job_of), width):
            rows = np.arange(begin, begin + width) % len(job_of)  # the last round repeats some, which are not counted
            counted = np.arange(begin, begin + width) < len(job_of)
            jobs = job_of[rows]
            done = _round(vector, script, jobs, goals[jobs], starts[rows], environment.reported_infos)
            success[rows[counted]] = done.success[counted]
            reached[rows[counted]] = done.reached[counted]
            steps[rows[counted]] = done.steps[counted]
            for name, values in done.infos.items():
                infos[name][rows[counted]] = values[counted]
            errors += [(int(jobs[row]), message) for row, message in done.errors if counted[row]]
            if progress is not None:
                progress(min(begin + width, len(job_of)), len(job_of))
    finally:
        vector.close()
    return Outcome(
        episodes,
        success.reshape(num_jobs, episodes).sum(1),
        reached.reshape(num_jobs, episodes).sum(1),
        steps.reshape(num_jobs, episodes).mean(1),
        tuple(errors),
        {name: values.reshape(num_jobs, episodes).mean(1) for name, values in infos.items()},
    )


def _episode_seed(seed: int, job_seed: int, episode: int) -> int:
    return int(np.random.SeedSequence([seed, job_seed, episode]).generate_state(1, np.uint32)[0] >> 1)


@dataclass(frozen=True)
class _Round:
    """One episode of each sub-environment: how it ended, steps, last infos, and (row, message) of what raised."""

    success: NDArray[np.bool_]
    reached: NDArray[np.bool_]
    steps: NDArray[np.int64]
    infos: dict[str, NDArray[np.float64]]
    errors: list[tuple[int, str]]


def _round(
    vector: gym.vector.VectorEnv,
    script: Script,
    jobs: NDArray[np.int64],
    goals: Goals,
    seeds: NDArray[np.int64],
    reported: Sequence[str],
) -> _Round:
    observations, _ = vector.reset(seed=seeds.tolist(), options={"goal": goals})
    script.begin(np.asarray(observations), jobs, seeds)
    running = np.ones(len(jobs), dtype=bool)
    infos_at_end = {name: np.zeros(len(jobs)) for name in reported}
    done = _Round(running & False, running & False, np.zeros(len(jobs), np.int64), infos_at_end, [])
    actions: NDArray[Any] = np.asarray(vector.action_space.sample()) * 0
    while running.any():
        rows = np.flatnonzero(running)
        actions[rows] = _checked(script.act(np.asarray(observations)[rows], rows), actions[rows].shape)
        observations, _, terminated, truncated, infos = vector.step(actions)
        done.steps[rows] += 1
        done.success[rows] = np.asarray(infos["success"], dtype=bool)[rows]
        done.reached[rows] |= np.asarray(infos.get("reached", infos["success"]), dtype=bool)[rows]
        for name, values in done.infos.items():
            values[rows] = np.asarray(infos[name])[rows]
        running &= ~(np.asarray(terminated, dtype=bool) | np.asarray(truncated, dtype=bool))
        if "error" in infos:  # an episode that raised is over, and a failure
            for row in (row for row in rows if infos["error"][row]):
                done.errors.append((int(row), str(infos["error"][row])))
                done.success[row] = done.reached[row] = running[row] = False
    return done


def _checked(actions: Any, expected: tuple[int, ...]) -> NDArray[Any]:
    """Actions as an array of the expected shape; raises as `run_episodes`."""
    try:
        given = np.asarray(actions)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ActionsError(f"gave {shown(actions)}, which is no array of actions: {error}") from error
    if given.shape != expected:
        raise ActionsError(f"gave actions of shape {given.shape}, not one for each observation, {expected}")
    if given.dtype.kind not in "biuf" or not np.isfinite(given).all():
        raise ActionsError("gave actions that are no finite numbers")
    return given
