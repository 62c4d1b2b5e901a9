"""Finding things by name: registered here, offered by an installed package, or lying in a file of the user's.

One registry each for environments, populations, teachers and reward learners. A specification is

- a name that this repository registers (`two-goals`),
- a name that an installed package offers as an entry point in the registry's group, or
- ``path/to/file.py:Name``, an attribute of a Python file outside this repository.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class UnknownNameError(ValueError):
    """Nothing goes by this name; the message lists what does, the nearest first."""


class Registry(Generic[T]):
    """Named things of one kind.

    Args:
        kind: the word for one of them in messages, `population` say.
        group: entry-point group that other packages use, `pluralbench.populations` say.
        check: raises TypeError when a thing found in a file or a package is not of this kind.
    """

    def __init__(self, kind: str, group: str, check: Callable[[object], None] | None = None) -> None:
        self.kind = kind
        self.group = group
        self._check = check
        self._entries: dict[str, T] = {}

    def register(self, name: str, thing: T) -> T:
        """Adds `thing` under `name`; raises ValueError when the name is taken."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered already")
        self._entries[name] = thing
        return thing

    def names(self) -> list[str]:
        """Every name that `get` knows without a path, sorted."""
        return sorted({*self._entries, *(point.name for point in entry_points(group=self.group))})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(self, specification: str) -> T:
        """The thing that `specification` names.

        Raises:
            UnknownNameError: no such name, file or attribute; the message is one line.
            TypeError: the file or package holds something of another kind.
        """
        if specification in self._entries:
            return self._entries[specification]
        path, colon, attribute = specification.rpartition(":")
        if colon and path.endswith(".py"):
            return self._checked(self._from_file(Path(path).expanduser(), attribute), specification)
        for point in entry_points(group=self.group, name=specification):
            return self._checked(point.load(), specification)
        raise UnknownNameError(self._unknown(specification))

    def _checked(self, thing: object, specification: str) -> T:
        if self._check is not None:
            try:
                self._check(thing)
            except TypeError as error:
                raise TypeError(f"{specification} is no {self.kind}: {error}") from error
        return thing  # type: ignore[return-value]

    def _from_file(self, path: Path, attribute: str) -> object:
        if not path.is_file():
            raise UnknownNameError(f"no file {path} to take the {self.kind} {attribute!r} from")
        name = f"pluralbench_plugin_{path.stem}_{abs(hash(path.resolve()))}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                del sys.modules[name]
                raise UnknownNameError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        module = sys.modules[name]
        if not hasattr(module, attribute):
            public = ", ".join(n for n in vars(module) if not n.startswith("_"))
            raise UnknownNameError(f"{path} has no {attribute!r}; it has {public or 'nothing'}")
        return getattr(module, attribute)

    def _unknown(self, name: str) -> str:
        return unknown_name(self.kind, name, self.names())


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """One line for a name that is not among the `known` ones, with the nearest of them."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"unknown {kind} {name!r}{hint} (known: {', '.join(known)})"
