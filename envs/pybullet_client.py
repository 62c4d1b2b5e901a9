"""PyBullet, imported without a word, and its functions on one headless world."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pluralbench.errors import InputError


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing that is written meanwhile arrives, by way of Python or by C's own."""
    c_library = ctypes.CDLL(None)
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(contextlib.redirect_stdout(nowhere))
        stack.enter_context(contextlib.redirect_stderr(nowhere))
        for stream in (1, 2):
            with contextlib.suppress(OSError):  # a stream that is closed
                kept = os.dup(stream)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, stream)
                c_library.fflush(None)
                os.dup2(nowhere.fileno(), stream)
        stack.callback(c_library.fflush, None)  # what C keeps back would come out later
        yield


with _silence():  # it says when it was built, in every process
    import pybullet

__all__ = ["PyBulletClient", "pybullet"]


class PyBulletClient:
    """A physics client of its own, whose methods are PyBullet's functions; InputError where there is none left."""

    def __init__(self) -> None:
        self.number = pybullet.connect(pybullet.DIRECT)
        if self.number < 0:
            raise InputError("PyBullet takes no further client (1024 in one process): close some environments")

    def __getattr__(self, name: str) -> Any:
        function = partial(getattr(pybullet, name), physicsClientId=self.number)
        setattr(self, name, function)  # looked up once
        return function

    def close(self) -> None:
        """Gives the client back; a second call does nothing."""
        if self.number >= 0:
            pybullet.disconnect(physicsClientId=self.number)
            self.number = -1
