"""habitat-sim's renderers, closed in an order that it survives.

Each simulator with a renderer has a graphics context of its own. Closing an older one while a newer one is open, or
leaving Python with one open, ends the process: the one that is closed is not the current one. So one that is closed
too early waits for the newer ones, and what is still open at the end is closed then, the newest first.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_open: list[Any] = []
_unwanted: list[Any] = []
"""Of `_open`, those that were closed too early."""


def keep(simulator: Any) -> None:
    """Notes a `habitat_sim.Simulator` that has just opened a renderer."""
    _open.append(simulator)


def close(simulator: Any) -> None:
    """Closes one that was noted, now or as soon as all newer ones are closed."""
    _unwanted.append(simulator)
    while _open and any(_open[-1] is each for each in _unwanted):
        newest = _open.pop()
        _unwanted[:] = [each for each in _unwanted if each is not newest]
        newest.close()


@atexit.register
def close_all() -> None:
    """Closes all that are open, the newest first."""
    while _open:
        close(_open[-1])


@contextmanager
def without_environment_maps() -> Iterator[None]:
    """While it lasts, a renderer that opens loads no maps of light: seconds instead of a quarter minute.

    habitat-sim reads which maps to load from `data/default.pbr_config.json` of the working directory, so that is
    another one meanwhile; name files by absolute paths. It prints one line about the missing map.
    """
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "data" / "default.pbr_config.json"
        config.parent.mkdir()
        config.write_text('{"ibl_envmap_filename": "none.hdr"}', encoding="utf-8")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)
