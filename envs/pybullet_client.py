"""PyBullet's functions on one headless world."""

from __future__ import annotations

from functools import partial
from typing import Any

import pybullet

from pluralbench.errors import InputError


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
