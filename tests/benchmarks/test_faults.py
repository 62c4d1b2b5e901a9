"""What ends a command: exit code and one line, whatever it was."""

import errno
import io
import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from pluralbench.benchmarks.commands import cli, parser
from pluralbench.benchmarks.commands.faults import TRACEBACK_VARIABLE, Ending, StoppedError, describe
from pluralbench.errors import InputError


@pytest.fixture(autouse=True)
def usual_signals():
    """What a program begins with; a shell starts those in the background with SIGINT ignored."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class OutOfMemoryError(RuntimeError):
    """As PyTorch's for GPUs."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a\nb"), "a b"),
        (OSError(errno.ENOSPC, "?", "out/x.png"), "out/x.png: the disk is full"),
        (OSError(errno.EROFS, "?", b"x"), "x: it lies on a disk that is read-only"),
        (OSError(errno.EACCES, "?", "x"), "x: no permission"),
        (OSError(errno.ENAMETOOLONG, "?", "n" * 300), "its name is too long for the file system"),
        (OSError(errno.ELOOP, "?", "x"), "x: its links lead round in a circle"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"), "b: Invalid cross-device link"),
        (OSError(errno.ENOSPC, "?"), "a file cannot be read or written: the disk is full"),
        (OSError("by a library"), "a file cannot be read or written: by a library"),
        (IsADirectoryError(errno.EISDIR, "?", "x"), "x: it is a folder, not a file"),
        (MemoryError("Unable to allocate 8.00 GiB"), "not enough memory: Unable to allocate 8.00 GiB"),
        (MemoryError(), "not enough memory"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate"), "not enough memory: CUDA out of memory"),
        (UnicodeEncodeError("ascii", "naïve", 2, 3, "?"), "cannot be written as ascii"),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_what_can_be_put_right_is_a_line_and_2(error, line, capsys):
    ending = Ending()
    with ending:
        ending.work_begins(can_resume=True)
        raise error
    said = capsys.readouterr().err
    assert ending.exit_code == 2
    assert line in said
    assert said.startswith("pluralbench: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_memory_that_torch_does_not_get_is_told():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**50)
    assert describe(raised.value).startswith("not enough memory")


def test_a_defect_of_ours_goes_on():
    with pytest.raises(KeyError), Ending():
        raise KeyError("ours")
    assert describe(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


@pytest.mark.parametrize(
    ("number", "can_resume", "line"),
    [
        (signal.SIGINT, True, "pluralbench: interrupted; --resume goes on from here\n"),
        (signal.SIGINT, False, "pluralbench: interrupted\n"),
        (signal.SIGTERM, True, "pluralbench: stopped by SIGTERM; --resume goes on from here\n"),
    ],
)
def test_signals_clean_up_and_say_so(number, can_resume, line, capsys):
    cleaned, handlers = [], [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    ending = Ending()
    with ending:
        ending.work_begins(can_resume)
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            cleaned.append(sys.exc_info()[0])
    assert ending.exit_code == 128 + number
    assert capsys.readouterr().err == line
    assert cleaned == [StoppedError]  # not KeyboardInterrupt itself, for which the interpreter may kill itself
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_signal_that_something_turns_into_another_error_is_still_one(capsys):
    ending = Ending()
    with ending:
        ending.work_begins(can_resume=False)
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt as error:
            raise ImportError("numpy.core.multiarray failed to import") from error
    assert (ending.exit_code, capsys.readouterr().err) == (130, "pluralbench: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_are_ignored_stay_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Ending() as ending:
            ending.work_begins(can_resume=False)
            os.kill(os.getpid(), number)
        assert ending.exit_code == 0
    finally:
        signal.signal(number, before)


def test_the_traceback_is_there_for_who_asks(capsys, monkeypatch):
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    with Ending() as ending:
        raise InputError("wrong")
    said = capsys.readouterr().err
    assert ending.exit_code == 2
    assert "Traceback" in said
    assert said.endswith("\npluralbench: wrong\n")


@pytest.mark.parametrize(("error", "code"), [(BrokenPipeError(), 141), (OSError(errno.ENOSPC, "full"), 2)])
def test_output_that_is_not_taken(error, code, monkeypatch, capsys):
    class Refusing(io.StringIO):
        def flush(self):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Refusing())
        with Ending() as ending:
            print("something")
    assert ending.exit_code == code
    assert capsys.readouterr().err == (
        "" if code == 141 else "pluralbench: a file cannot be read or written: the disk is full\n"
    )


def test_letters_that_the_output_does_not_know_are_replaced(monkeypatch):
    written = io.BytesIO()
    with monkeypatch.context() as patch:
        stream = io.TextIOWrapper(written, encoding="ascii")
        patch.setattr(sys, "stdout", stream)
        with Ending() as ending:
            print("naïve \udc80")
    assert (ending.exit_code, written.getvalue()) == (0, b"na?ve ?\n")


def test_a_command_says_whether_it_can_be_resumed(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        cli.importlib, "import_module", lambda _: SimpleNamespace(run_didactic=interrupted, show=interrupted)
    )
    for arguments in (["didactic"], ["list"]):
        assert cli.main(arguments) == 130
        assert capsys.readouterr().err == "pluralbench: interrupted\n"
    assert {"resume"} <= vars(parser.make_parser().parse_args(["maze"])).keys()
