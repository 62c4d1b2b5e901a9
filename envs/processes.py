"""Processes beside this one, started afresh, so that they share no threads and no state with it.

`multiprocessing` would run the script that is being run once more in each of them, unless its code stands under
``if __name__ == "__main__":``. These run nothing but the function that they are started for, and scripts need no such
line. They lie outside the terminal's process group: Ctrl-C is for the process that started them, which ends them, and
without it they end by themselves.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from pluralbench.errors import MachineError

A = TypeVar("A")
R = TypeVar("R")

_START = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
number, serve, *sys.path = sys.argv[1:]
from multiprocessing.connection import Connection
from pkgutil import resolve_name
resolve_name(serve)(Connection(int(number)))
"""


class ProcessEndedError(MachineError):
    """A process that ended without being told to; one line. As a rule the machine had too little memory for it."""


class Process:
    """One process.

    Args:
        serve: `module:function`, called in the process with a connection to here; it returns at EOFError and OSError.
        variables: of the environment, beside those of this process.

    Attributes:
        connection: to the process.
        pid: its number.
    """

    def __init__(self, serve: str, variables: Mapping[str, str] | None = None) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-c", _START, str(number), serve, *sys.path]
            self._process = subprocess.Popen(
                command,
                pass_fds=(number,),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, **(variables or {})},
            )
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def ask(self, message: Any) -> None:
        """Sends something and does not wait; a process that is gone is noticed by `answer`."""
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def answer(self) -> Any:
        """Waits for what it sends; ProcessEndedError when it has ended instead."""
        try:
            return self.connection.recv()
        except (EOFError, OSError) as error:
            code = self._process.wait()
            raise ProcessEndedError(f"worker process ended with exit code {code}") from error

    def close(self, seconds: float = 5.0) -> None:
        """Ends it: it has so many seconds to do so by itself, and as many again. A second call does nothing."""
        self.connection.close()
        for end in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(seconds)
                return
            except subprocess.TimeoutExpired:
                end()
        self._process.wait()


def mapped(function: Callable[[A], R], arguments: Sequence[A], num_processes: int) -> Iterator[R]:
    """What `function` gives for each argument, in their order, computed by several processes; 1 computes it here.

    Function, arguments and results go from process to process, so the function is one of a module. What it raises is
    raised here. Left early, the processes are ended.

    Raises:
        ProcessEndedError: one of the processes was killed.
    """
    if num_processes <= 1:
        yield from map(function, arguments)
        return
    processes: list[Process] = []
    try:
        for _ in range(min(num_processes, len(arguments))):
            processes.append(Process(f"{__name__}:serve_calls"))
        free, busy = list(processes), dict[Any, tuple[Process, int]]()
        done: dict[int, R] = {}
        num_given = num_yielded = 0
        while num_yielded < len(arguments):
            while free and num_given < len(arguments):
                process = free.pop()
                process.ask((function, arguments[num_given]))
                busy[process.connection] = process, num_given
                num_given += 1
            for connection in wait(busy):
                process, number = busy.pop(connection)
                error, done[number] = process.answer()
                if error is not None:
                    raise error
                free.append(process)
            while num_yielded in done:
                yield done.pop(num_yielded)
                num_yielded += 1
    finally:
        for process in processes:  # all at once
            process.connection.close()
        for process in processes:
            process.close(seconds=0.5)


def serve_calls(connection: Connection) -> None:
    """What a process of `mapped` does: calls functions until there is nobody to do so for."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, argument = connection.recv()
            error, result = None, None
            try:
                result = function(argument)
            except Exception as raised:  # noqa: BLE001 (it is raised again where the result is awaited)
                error = raised
            try:
                connection.send((error, result))
            except OSError:
                raise
            except Exception as unsendable:  # noqa: BLE001 (what cannot be sent raises one of many errors)
                connection.send((RuntimeError(f"{type(unsendable).__name__}: {unsendable}"), None))
