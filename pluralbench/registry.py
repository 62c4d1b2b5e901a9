"""Finding things by name: registered here, offered by an installed package, or lying in a file of the user's.

One registry each for environments, populations, teachers, reward learners and policies. A specification is

- a name that this repository registers (`two-goals`),
- a name that an installed package offers as an entry point in the registry's group, or
- ``path/to/file.py:Name``, an attribute of a Python file outside this repository, which is run for it.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from pluralbench.errors import InputError

T = TypeVar("T")


class UnknownNameError(InputError):
    """Nothing goes by this name; the message lists what does, the nearest first."""


class Registry(Generic[T]):
    """Named things of one kind.

    Args:
        kind: the word for one of them in messages: `population`.
        group: entry-point group that other packages use: `pluralbench.populations`.
        check: raises TypeError when a thing found in a file or a package is not of this kind.
    """

    def __init__(self, kind: str, group: str, check: Callable[[object], None] | None = None) -> None:
        self.kind = kind
        self.group = group
        self._check = check
        self._entries: dict[str, T] = {}
        self._places: dict[str, str] = {}
        self.descriptions: dict[str, str] = {}
        """One line about each name that has one."""

    def register(self, name: str, thing: T) -> T:
        """Adds `thing` under `name`; raises ValueError when the name is taken."""
        self._claim(name)
        self._entries[name] = thing
        return thing

    def register_lazily(self, name: str, place: str, description: str = "") -> None:
        """Adds what `place`, a ``module:attribute``, will be imported from when `get` is first asked for `name`."""
        self._claim(name)
        self._places[name] = place
        self.descriptions[name] = description

    def _claim(self, name: str) -> None:
        if name in self._entries or name in self._places:
            raise ValueError(f"{self.kind} {name!r} is registered already")

    def names(self) -> list[str]:
        """Every name that `get` knows without a path, sorted; nothing is imported for it."""
        offered = (point.name for point in entry_points(group=self.group))
        return sorted({*self._entries, *self._places, *offered})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(self, specification: str) -> T:
        """The thing that `specification` names.

        Raises:
            UnknownNameError: no such name, file or attribute, or a thing of another kind; the message is one line.
        """
        if specification in self._entries:
            return self._entries[specification]
        if specification in self._places:
            module, _, attribute = self._places[specification].partition(":")
            self._entries[specification] = getattr(importlib.import_module(module), attribute)
            return self._entries[specification]
        if place := file_of(specification):
            return self._checked(self._from_file(place, specification.rpartition(":")[2]), specification)
        for point in entry_points(group=self.group, name=specification):
            return self._checked(point.load(), specification)
        raise UnknownNameError(unknown_name(self.kind, specification, self.names()))

    def _checked(self, thing: object, specification: str) -> T:
        if self._check is not None:
            try:
                self._check(thing)
            except TypeError as error:
                raise UnknownNameError(f"{specification} is no {self.kind}: {error}") from error
        return thing  # type: ignore[return-value]

    def _from_file(self, path: Path, attribute: str) -> object:
        if not path.is_file():
            raise UnknownNameError(f"no file {path} to take the {self.kind} {attribute!r} from")
        module = _run_file(path)
        if not hasattr(module, attribute):
            public = ", ".join(name for name in vars(module) if not name.startswith("_"))
            raise UnknownNameError(f"{path} has no {attribute!r}; it has {public or 'nothing'}")
        return getattr(module, attribute)


def file_of(specification: str) -> Path | None:
    """The file that a specification `path/to/file.py:Name` takes its thing from; None for a name."""
    path, colon, _ = specification.rpartition(":")
    return Path(path).expanduser() if colon and path.endswith(".py") else None


def _run_file(path: Path) -> object:
    """The module of a file, run once in a process, under a name of its own."""
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
    return sys.modules[name]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """One line for a name that is not among the `known` ones, with the nearest of them."""
    known = list(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"unknown {kind} {name!r}{hint} (known: {', '.join(known)})"
