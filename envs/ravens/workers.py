"""Tables in other processes: who builds them, steps them, and says what went wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.envs.processes import Process, ProcessEndedError
from pluralbench.envs.ravens.environment import RavensManipulation


@dataclass(frozen=True)
class Outcome:
    """What became of one table's reset or step: a reset has no reward and no `terms`, what raised has an `error`."""

    observation: NDArray[np.float32] | None = None
    reward: float = 0.0
    truncated: bool = False
    success: bool = False
    terms: dict[str, float] | None = None
    error: str | None = None


class Tables:
    """Several tables, each with its own physics client; the worker that works in this process.

    Args:
        count: how many.
        settings: arguments of `RavensManipulation`.
    """

    def __init__(self, count: int, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._environments = [RavensManipulation(**settings) for _ in range(count)]
        self._answer: Any = None

    def ask(self, command: str, *arguments: Any) -> None:
        """Does `do` or `render` at once; `answer` gives the result."""
        self._answer = self.render() if command == "render" else self.do(*arguments)

    def answer(self) -> Any:
        """What the last `ask` led to."""
        return self._answer

    def do(self, resets: Mapping[int, dict[str, Any]], steps: Mapping[int, NDArray[Any]]) -> dict[int, Outcome]:
        """By a table's number, the outcome of its reset with these options, or of its step with this action (4,)."""
        outcomes = {number: self._guarded(number, "reset", options) for number, options in resets.items()}
        return outcomes | {number: self._guarded(number, "step", action) for number, action in steps.items()}

    def _guarded(self, number: int, command: str, argument: Any) -> Outcome:
        """A table that raises is rebuilt; the others go on."""
        environment = self._environments[number]
        try:
            if command == "reset":
                observation, info = environment.reset(options=argument)
                return Outcome(observation, success=info["success"])
            observation, reward, _, truncated, info = environment.step(argument)
            return Outcome(observation, reward, truncated, info["success"], info["reward_terms"])
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


class ProcessWorker:
    """`Tables` in a process of their own."""

    def __init__(self, count: int, settings: dict[str, Any]) -> None:
        self.process = Process(f"{__name__}:serve_tables")
        self.process.ask((count, settings))

    def wait_until_ready(self) -> None:
        """Returns when the tables stand; ProcessEndedError when they cannot, or when the process ended instead."""
        try:
            reason = self.answer()
        except ProcessEndedError as error:
            raise ProcessEndedError(f"ravens: {error} while it started; too many tables for this machine?") from error
        if reason is not None:
            raise ProcessEndedError(f"ravens: no table in a worker process: {reason}")

    def ask(self, command: str, *arguments: Any) -> None:
        """Sends a command and does not wait; a process that is gone is noticed by `answer`."""
        self.process.ask((command, *arguments))

    def answer(self) -> Any:
        """Waits for the answer to the last `ask`; raises ProcessEndedError when the process has ended."""
        return self.process.answer()

    def close(self) -> None:
        """Ends the process and waits for it."""
        self.process.close()


Worker = Tables | ProcessWorker


def start_workers(counts: Sequence[int], settings: dict[str, Any]) -> list[Worker]:
    """One worker for each of `counts` tables: a single one in this process, several in processes of their own."""
    if len(counts) == 1:
        return [Tables(counts[0], settings)]
    workers = [ProcessWorker(count, settings) for count in counts]
    try:
        for worker in workers:
            worker.wait_until_ready()
    except BaseException:
        for worker in workers:
            worker.close()
        raise
    return list(workers)


def serve_tables(connection: Connection) -> None:
    """A worker's life: answers commands until nobody is there to ask."""
    with contextlib.suppress(EOFError, OSError):
        count, settings = connection.recv()
        try:
            tables = Tables(count, settings)
        except Exception as error:  # noqa: BLE001 (whatever it was: who waits for the tables is told)
            connection.send(f"{type(error).__name__}: {error}")
            return
        with contextlib.closing(tables):
            connection.send(None)
            while True:
                tables.ask(*connection.recv())
                connection.send(tables.answer())
