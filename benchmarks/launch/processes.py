"""Tasks on processes of this machine, each with a share of its processors."""

from __future__ import annotations

from collections import Counter, deque
from multiprocessing.connection import Connection, wait

from pluralbench.benchmarks.launch.launcher import ATTEMPTS, Launcher
from pluralbench.benchmarks.launch.tasks import Done, Task, perform
from pluralbench.envs import processes
from pluralbench.envs.processes import Process, ProcessEndedError
from pluralbench.envs.vectors import usable_processors

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LocalProcesses(Launcher):
    """`jobs` processes that share the processors evenly: none waits in a spin for threads of another.

    Args:
        jobs: how many.
        device: where tasks keep their networks.
    """

    def __init__(self, jobs: int, device: str) -> None:
        self.device = device
        self.place = f"{jobs} processes"
        self._jobs = jobs
        self._variables = dict.fromkeys(_THREADS, str(max(1, usable_processors() // jobs)))
        self._waiting: deque[Task] = deque()
        self._busy: dict[Connection, tuple[Process, Task]] = {}
        self._free: list[Process] = []
        self._attempts: Counter[str] = Counter()

    def submit(self, task: Task) -> None:
        """Hands it out as soon as a process is free."""
        self._waiting.append(task)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and (self._free or len(self._busy) < self._jobs):
            process = self._free.pop() if self._free else self._start()
            task = self._waiting.popleft()
            self._attempts[task.name] += 1
            process.ask((perform, task))
            self._busy[process.connection] = process, task

    def _start(self) -> Process:
        return Process(f"{processes.__name__}:serve_calls", self._variables)

    def next_done(self) -> tuple[Task, Done]:
        """Waits; a task whose process ended is handed out again."""
        while True:
            for connection in (busy for busy in wait(list(self._busy)) if isinstance(busy, Connection)):
                process, task = self._busy.pop(connection)
                try:
                    error, done = process.answer()
                except ProcessEndedError as lost:
                    process.close()
                    if self._attempts[task.name] >= ATTEMPTS:
                        raise ProcessEndedError(f"{task.title}: {lost}, {ATTEMPTS} times") from lost
                    self._waiting.appendleft(task)
                    self._hand_out()
                    break
                self._free.append(process)
                if error is not None:
                    raise error
                self._hand_out()
                return task, done

    def close(self) -> None:
        """Ends all processes, whatever they are at."""
        started = [*self._free, *(process for process, _ in self._busy.values())]
        for process in started:  # all at once
            process.connection.close()
        for process in started:
            process.close(seconds=0.5)
