"""How long a graph of tasks takes on so many workers, by simulation: list scheduling (Graham 1966), as launchers do it.

A worker that is free takes the task that has been ready for longest. A task is ready when all that it waits for is
done, and no earlier than the process that hands tasks out has drawn its experiment's data.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A task of known length."""

    name: str  # no other job's
    seconds: float  # that it takes
    needs: frozenset[str] = frozenset()  # names of the jobs before it
    release: float = 0.0  # seconds after which it may start


def finish_time(jobs: Sequence[Job], workers: int) -> float:
    """Seconds until all jobs are done.

    Raises:
        ValueError: no worker, or jobs that wait for something that there is not, or for each other.
    """
    if workers < 1:
        raise ValueError(f"tasks need a worker, got {workers}")
    missing = {job.name: set(job.needs) for job in jobs}
    waiting = list(jobs)
    ready: list[tuple[float, int]] = []  # (ready since, place in `jobs`)
    busy: list[tuple[float, int]] = []  # (done at, place)
    places = {job.name: place for place, job in enumerate(jobs)}
    free, now, end = workers, 0.0, 0.0

    def collect() -> None:
        for job in [job for job in waiting if not missing[job.name]]:
            waiting.remove(job)
            heapq.heappush(ready, (max(now, job.release), places[job.name]))

    collect()
    while ready or busy:
        while free and ready and ready[0][0] <= now:
            _, place = heapq.heappop(ready)
            heapq.heappush(busy, (now + jobs[place].seconds, place))
            free -= 1
        if not busy or (free and ready and ready[0][0] < busy[0][0]):  # nothing to do before something is released
            now = ready[0][0]
            continue
        now, place = heapq.heappop(busy)
        end, free = now, free + 1
        for needs in missing.values():
            needs.discard(jobs[place].name)
        collect()
    if waiting:
        raise ValueError(f"{waiting[0].name} waits for what never comes: {', '.join(sorted(missing[waiting[0].name]))}")
    return end


def longest_chain(jobs: Sequence[Job]) -> float:
    """Seconds that no number of workers goes below: those of the longest chain of jobs that wait for one another."""
    return finish_time(jobs, max(1, len(jobs)))
