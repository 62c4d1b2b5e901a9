"""Tables in other processes: who builds them, steps them, and says what went wrong."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.ravens.environment import RavensManipulation

_GUARD = "a script that uses several processes needs its code under `if __name__ == '__main__':`"


@dataclass(frozen=True)
class Work:
    """What the tables of one worker shall do next.

    Attributes:
        resets: number of each table to reset, its goal (2,) and its block (3,): x, y and turn.
        steps: number of each table to step, and its action (4,).
    """

    resets: tuple[tuple[int, NDArray[np.floating], NDArray[np.floating]], ...] = ()
    steps: tuple[tuple[int, NDArray[np.floating]], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one table's reset or step.

    Attributes:
        observation: (7,) float32; None where it raised.
        reward: 0 after a reset.
        terminated: success ended the episode.
        truncated: the episode's time is over.
        success: whether the goal is reached.
        terms: the reward's terms; empty after a reset.
        error: what was raised, None where nothing was.
    """

    observation: NDArray[np.float32] | None = None
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    success: bool = False
    terms: dict[str, float] | None = None
    error: str | None = None


class WorkerDiedError(RuntimeError):
    """A worker process that ended without being told to."""


class Tables:
    """Several tables in one process, each with its own physics client.

    Args:
        count: how many.
        settings: arguments of `RavensManipulation`.
    """

    def __init__(self, count: int, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._environments = [RavensManipulation(**settings) for _ in range(count)]

    def do(self, work: Work) -> dict[int, Outcome]:
        """The outcome for each table that there was work for; one that raises is rebuilt, the others go on."""
        outcomes = {}
        for number, goal, block in work.resets:
            outcomes[number] = self._guarded(number, "reset", {"goal": goal, "block": block})
        for number, action in work.steps:
            outcomes[number] = self._guarded(number, "step", action)
        return outcomes

    def _guarded(self, number: int, command: str, argument: Any) -> Outcome:
        environment = self._environments[number]
        try:
            if command == "reset":
                observation, info = environment.reset(options=argument)
                return Outcome(observation, success=info["success"])
            observation, reward, terminated, truncated, info = environment.step(argument)
            return Outcome(observation, reward, terminated, truncated, info["success"], info["reward_terms"])
        except Exception as error:  # noqa: BLE001  (whatever it was: it counts as a failed episode, and is reported)
            environment.close()
            self._environments[number] = RavensManipulation(**self._settings)
            return Outcome(error=f"{type(error).__name__}: {error}")

    def render(self) -> list[NDArray[np.uint8] | None]:
        """One picture for each table."""
        return [environment.render() for environment in self._environments]

    def close(self) -> None:
        """Gives all physics clients back."""
        for environment in self._environments:
            environment.close()


class LocalWorker:
    """Tables in this process, behind the interface of `ProcessWorker`."""

    def __init__(self, count: int, settings: dict[str, Any]) -> None:
        self._tables = Tables(count, settings)
        self._answer: Any = None

    def ask(self, command: str, argument: Any = None) -> None:
        """Does it at once; `answer` gives the result."""
        self._answer = _perform(self._tables, command, argument)

    def answer(self) -> Any:
        """What the last `ask` led to."""
        return self._answer

    def close(self) -> None:
        """Gives the physics clients back."""
        self._tables.close()


class ProcessWorker:
    """Tables in a process of their own, started afresh so that it shares no threads and no state with this one."""

    def __init__(self, count: int, settings: dict[str, Any]) -> None:
        self._connection, theirs = get_context("spawn").Pipe()
        self._process = get_context("spawn").Process(target=_serve, args=(theirs, count, settings), daemon=True)
        self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Returns when the tables stand; RuntimeError when the process ended instead."""
        try:
            self.answer()
        except WorkerDiedError as error:
            raise RuntimeError(f"ravens: {error} while it started; {_GUARD}") from error

    def ask(self, command: str, argument: Any = None) -> None:
        """Sends a command and does not wait; a process that is gone is noticed by `answer`."""
        with contextlib.suppress(OSError):
            self._connection.send((command, argument))

    def answer(self) -> Any:
        """Waits for the answer to the last `ask`; raises WorkerDiedError when the process has ended."""
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise WorkerDiedError(f"worker process ended with exit code {self._process.exitcode}") from error

    def close(self) -> None:
        """Ends the process and waits for it."""
        self.ask("close")
        self._connection.close()
        self._process.join(timeout=5.0)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()
        self._process.close()


Worker = LocalWorker | ProcessWorker


def start_workers(counts: Sequence[int], settings: dict[str, Any]) -> list[Worker]:
    """One worker for each of `counts` tables: a single one in this process, several in processes of their own."""
    if len(counts) == 1:
        return [LocalWorker(counts[0], settings)]
    workers = [ProcessWorker(count, settings) for count in counts]
    try:
        for worker in workers:
            worker.wait_until_ready()
    except BaseException:
        for worker in workers:
            worker.close()
        raise
    return list(workers)


def restart_worker(count: int, settings: dict[str, Any]) -> Worker:
    """A new process in place of one that died."""
    worker = ProcessWorker(count, settings)
    worker.wait_until_ready()
    return worker


def leave_interrupts_alone() -> None:
    """Ctrl-C is for the process that started this one, which then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _serve(connection: Connection, count: int, settings: dict[str, Any]) -> None:
    """A worker's life: answers commands until it is told to close, or its parent is gone."""
    leave_interrupts_alone()
    tables = Tables(count, settings)
    try:
        connection.send("ready")
        while True:
            command, argument = connection.recv()
            if command == "close":
                return
            connection.send(_perform(tables, command, argument))
    except (EOFError, OSError):
        return
    finally:
        tables.close()


def _perform(tables: Tables, command: str, argument: Any) -> Any:
    return tables.render() if command == "render" else tables.do(argument)
