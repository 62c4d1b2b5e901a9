"""What is done only when it is needed, so that importing the package costs little."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def lazily(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__` for names that are in other modules, `{name: module}`."""

    def attribute(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(places[name]), name)

    return attribute


def when_imported(package: str, action: Callable[[], None]) -> None:
    """Calls `action` as soon as `package` has been imported: at once where it is there already."""
    if package in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watch(package, action))


class _Watch:
    """A finder that finds nothing itself: it waits for one package, and is gone once that has been imported."""

    def __init__(self, package: str, action: Callable[[], None]) -> None:
        self._package, self._action, self._asks_others = package, action, False

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """What the other finders find, where it is the package; loading it calls the action."""
        if name != self._package or self._asks_others:
            return None
        self._asks_others = True
        try:
            spec = find_spec(name)
        finally:
            self._asks_others = False
        loader: Any = spec and spec.loader
        if loader is not None:
            load = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                del loader.exec_module  # the class's own is seen again
                load(module)
                sys.meta_path.remove(self)
                self._action()

            loader.exec_module = exec_module
        return spec
