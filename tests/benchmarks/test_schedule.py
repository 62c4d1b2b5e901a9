"""The simulation of a task graph on so many workers."""

from __future__ import annotations

import re

import pytest

from pluralbench.benchmarks.launch.schedule import Job, finish_time, longest_chain

FIVE = [Job(str(number), 1.0) for number in range(5)]
BARRIER = [Job("a", 2.0), Job("b", 3.0), Job("c", 4.0, frozenset("ab")), Job("d", 1.0, frozenset("ab"))]


@pytest.mark.parametrize(
    ("jobs", "workers", "seconds"),
    [
        (FIVE, 1, 5.0),
        (FIVE, 2, 3.0),
        (FIVE, 8, 1.0),
        (BARRIER, 1, 10.0),
        (BARRIER, 2, 7.0),
        ([Job("early", 5.0), Job("late", 1.0, release=3.0)], 2, 5.0),
        ([Job("early", 1.0), Job("late", 1.0, release=3.0)], 1, 4.0),
        # who waited for longest goes first, so that the long one comes last: a list schedule is not the best one
        ([Job("short", 1.0), Job("also short", 1.0), Job("long", 3.0)], 2, 4.0),
        ([], 2, 0.0),
    ],
)
def test_jobs_take_as_long_as_their_list_schedule(jobs: list[Job], workers: int, seconds: float) -> None:
    assert finish_time(jobs, workers) == seconds


def test_no_number_of_workers_is_faster_than_the_longest_chain() -> None:
    assert longest_chain(BARRIER) == finish_time(BARRIER, 100) == 7.0


@pytest.mark.parametrize(
    ("jobs", "workers", "message"),
    [
        (FIVE, 0, "need a worker"),
        ([Job("a", 1.0, frozenset({"nobody"}))], 1, "a waits for what never comes: nobody"),
        ([Job("a", 1.0, frozenset("b")), Job("b", 1.0, frozenset("a"))], 1, "never comes"),
    ],
)
def test_what_can_never_be_done_is_refused(jobs: list[Job], workers: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        finish_time(jobs, workers)
