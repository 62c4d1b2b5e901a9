"""Tasks on a Ray cluster: results come back through its object store, so that nodes need no common disk."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pluralbench.benchmarks.launch.launcher import ATTEMPTS, Launcher
from pluralbench.benchmarks.launch.tasks import Done, Task, perform
from pluralbench.errors import InputError, MachineError


class RayMissingError(InputError):
    """Ray is not installed, or there is no cluster; one line."""


@dataclass(frozen=True)
class RaySettings:
    """What a task is given."""

    address: str = ""  # of a cluster: `auto`, `host:6379`, `ray://host:10001`; empty for one on this machine
    cpus: int = 1  # processors of a task, as many threads
    gpus: float = 0.0  # of a GPU; several tasks share one


class RayCluster(Launcher):
    """Each task is a Ray task; one whose worker or node is lost is run again elsewhere.

    Args:
        settings: where, and with what.
        device: where tasks keep their networks.

    Raises:
        RayMissingError: no Ray, or no cluster at that address.
    """

    def __init__(self, settings: RaySettings, device: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise RayMissingError('Ray is not installed; `pip install "pluralbench[ray]"`') from error
        self._ray, self.device = ray, device
        self._started = not ray.is_initialized()
        if self._started:
            if not settings.address:
                os.environ.setdefault("RAY_worker_niceness", "0")  # one of our own has nobody to be nice to
            try:
                ray.init(address=settings.address or None, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError) as error:
                reason = str(error).strip().splitlines()[0]
                raise RayMissingError(f"no Ray cluster at {settings.address or 'this machine'}: {reason}") from error
        nodes = sum(node["Alive"] for node in ray.nodes())
        self.place = f"{nodes} Ray node{'s' if nodes > 1 else ''}"
        self._check_resources(settings)
        options: dict[str, Any] = {"num_cpus": settings.cpus, "num_gpus": settings.gpus, "max_retries": ATTEMPTS - 1}
        self._perform: Any = ray.remote(**options)(_perform)
        self._threads = settings.cpus
        self._out: dict[Any, Task] = {}
        self._lost: Counter[str] = Counter()

    def _check_resources(self, settings: RaySettings) -> None:
        """Raises RayMissingError where no node could ever carry a task out: Ray would wait for ever."""
        for what, wanted in (("CPU", settings.cpus), ("GPU", settings.gpus)):
            most = max((node["Resources"].get(what, 0) for node in self._ray.nodes() if node["Alive"]), default=0)
            if wanted > most:
                raise RayMissingError(f"a task asks for {wanted:g} {what}, the largest node here has {most:g}")

    def submit(self, task: Task) -> None:
        """Hands it to Ray."""
        self._out[self._perform.remote(task, self._threads)] = task

    def next_done(self) -> tuple[Task, Done]:
        """Waits; what Ray gave up is handed to it again."""
        while True:
            (reference,), _ = self._ray.wait(list(self._out), num_returns=1)
            task = self._out.pop(reference)
            try:
                return task, self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from error
            except self._ray.exceptions.RayError as lost:
                self._lost[task.name] += 1
                if self._lost[task.name] >= ATTEMPTS:
                    raise MachineError(f"{task.title}: lost {ATTEMPTS} times ({type(lost).__name__})") from lost
                self.submit(task)

    def close(self) -> None:
        """Cancels what is out; a cluster that was started here ends."""
        for reference in self._out:
            self._ray.cancel(reference, force=True)
        if self._started:
            self._ray.shutdown()


def _perform(task: Task, threads: int) -> Done:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    return perform(task)
