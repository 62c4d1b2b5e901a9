"""How a command ends: its exit code, and the one line that stands on stderr beside every code but 0.

| code | when |
|---|---|
| 0 | done |
| 2 | wrong input, and faults of files, disk, memory and code of the user's: what can be put right without us |
| 130, 143 | Ctrl-C, SIGTERM: what was being written is removed, what was finished stays |
| 141 | nobody reads the output any more (`| head`); nothing is said, as of any program that SIGPIPE ends |
| 1 | a defect of ours, with its traceback |

`PLURALBENCH_TRACEBACK=1` shows the traceback in every case.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import traceback
from types import FrameType, TracebackType
from typing import NoReturn

from pluralbench.errors import InputError
from pluralbench.lines import one_line
from pluralbench.plugins import fault

TRACEBACK_VARIABLE = "PLURALBENCH_TRACEBACK"
WRONG_INPUT, BROKEN_PIPE = 2, 141
_STOPPED = {signal.SIGINT: "interrupted", signal.SIGTERM: "stopped by SIGTERM"}
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file grows larger than the system allows",
    errno.EROFS: "it lies on a disk that is read-only",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.ENAMETOOLONG: "its name is too long for the file system",
    errno.ELOOP: "its links lead round in a circle",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENOTDIR: "part of its path is a file, not a folder",
    errno.EEXIST: "there is something else of this name",
    errno.ENOENT: "there is no such file or folder",
    errno.EMFILE: "this process has too many files open",
}


class StoppedError(KeyboardInterrupt):
    """Raised by Ctrl-C and SIGTERM.

    A plain KeyboardInterrupt that passes through Python code which C code runs makes the interpreter kill itself at its
    end with SIGINT, whatever the exit code.
    """


class Ending:
    """Around everything that a command does: turns what ends it into `exit_code` and a line.

    Until `work_begins` nothing is written yet, and a signal ends the process at once; imports do not always survive an
    exception in their midst. Afterwards it raises StoppedError, so that everything on the way is cleaned up.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self._can_resume = False
        self._is_working = False
        self._signal: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def work_begins(self, can_resume: bool) -> None:
        """From now on signals are answered by cleaning up; `can_resume` says whether the command has `--resume`."""
        self._is_working, self._can_resume = True, can_resume

    def __enter__(self) -> Ending:
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is usual:  # else it is ignored, as under nohup, or somebody else's
                try:
                    self._before[number] = signal.signal(number, self._stop)
                except ValueError:  # not the main thread
                    break
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stream.reconfigure(errors="replace")  # what a terminal cannot show is no reason to end
        return self

    def _stop(self, number: int, frame: FrameType | None) -> NoReturn:
        self._signal = signal.Signals(number)
        if not self._is_working:
            os.write(2, f"pluralbench: {_STOPPED[self._signal]}\n".encode())  # `print` may be what it interrupts
            os._exit(128 + number)
        raise StoppedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool:
        """Sets the exit code and says the line; False for a defect of ours, which goes on."""
        try:
            found = self._ended_by(error)
            try:
                if sys.stdout is not None:
                    sys.stdout.flush()
            except OSError as unwritten:
                _let_go_of_output()
                found = found if found and found[0] else self._ended_by(unwritten)
            if found is None:
                return error is None
            self.exit_code, line = found
            if error is not None and line and os.environ.get(TRACEBACK_VARIABLE):
                traceback.print_exception(error)
            if line:
                _say(line)
            return True
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _ended_by(self, error: BaseException | None) -> tuple[int, str] | None:
        """Exit code and line; None where nothing ended it, or a defect of ours did."""
        if error is None:
            return None
        if self._signal is not None or isinstance(error, KeyboardInterrupt):
            number = self._signal or signal.SIGINT
            return 128 + number, _STOPPED[number] + ("; --resume goes on from here" if self._can_resume else "")
        if isinstance(error, BrokenPipeError):
            _let_go_of_output()
            return BROKEN_PIPE, ""
        line = describe(error)
        if line is None and isinstance(error, SystemExit):  # of --help and --version
            return (error.code if isinstance(error.code, int) else 0), ""
        return None if line is None else (WRONG_INPUT, line)


def describe(error: BaseException) -> str | None:
    """What to say of an error of the input, of the machine, or of the user's own code; None for a defect of ours."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, MemoryError) or _is_want_of_memory(error):
        return f"not enough memory: {error}" if str(error) else "not enough memory"
    if users_own := fault(error):
        return f"{users_own} ({TRACEBACK_VARIABLE}=1 shows where it came from)"
    if isinstance(error, OSError):
        return _os_error(error)
    if isinstance(error, UnicodeEncodeError):
        letters = error.object[error.start : error.end]
        return f"{letters!r} in {error.object!r} cannot be written as {error.encoding}"
    if type(error).__name__ == "BrokenProcessPool":
        return "a worker process ended all of a sudden; the machine may have too little memory for as many"
    return None


def _is_want_of_memory(error: BaseException) -> bool:
    """Whether PyTorch got no memory: on a GPU, or as a RuntimeError on a CPU."""
    if not isinstance(error, RuntimeError):
        return False
    signs = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")
    return type(error).__name__ == "OutOfMemoryError" or any(sign in str(error) for sign in signs)


def _os_error(error: OSError) -> str:
    reason = _REASONS.get(error.errno or 0) or error.strerror or " ".join(map(str, error.args))
    name = error.filename2 or error.filename
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    return f"{name}: {reason}" if isinstance(name, str) and name else f"a file cannot be read or written: {reason}"


def _say(line: str) -> None:
    """Writes one line to stderr, where there is one."""
    with contextlib.suppress(OSError, ValueError):
        print(f"pluralbench: {one_line(line)}", file=sys.stderr, flush=True)


def _let_go_of_output() -> None:
    """Points stdout to nowhere, so that flushing what is left of it at the end of the process cannot fail."""
    with contextlib.suppress(OSError, ValueError):  # there may be no stdout, or one without a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
