"""Finding things by name: registered here, offered by an installed package, or lying in a file of the user's.

One registry each for environments, populations, teachers, reward learners and policies. A specification is

- a name that this repository registers (`two-goals`),
- a name that an installed package offers as an entry point in the registry's group, or
- ``path/to/file.py:Name``, an attribute of a Python file outside this repository, which is run for it.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, TypeVar

from pluralbench.errors import InputError
from pluralbench.folders import expanded
from pluralbench.plugins import load_entry_point, own_names, run_file

T = TypeVar("T")


class UnknownNameError(InputError):
    """Nothing goes by this name; the message lists what does, the nearest first."""


class Registry(Generic[T]):
    """Named things of one kind.

    Args:
        kind: the word for one of them in messages: `population`.
        group: entry-point group that other packages use: `pluralbench.populations`.
        check: raises TypeError when a thing found in a file or a package is not of this kind.
        offers: whether a thing in a file is most probably meant as one of this kind, where `check` lets more pass.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        check: Callable[[object], None] | None = None,
        offers: Callable[[object], bool] | None = None,
    ) -> None:
        self.kind = kind
        self.group = group
        self._check = check
        self._offers = offers or self._passes
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

    def registered(self) -> list[str]:
        """The names that were registered in this process, without those that installed packages offer, sorted."""
        return sorted({*self._entries, *self._places})

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(self, specification: str) -> T:
        """The thing that `specification` names.

        Raises:
            UnknownNameError: no such name, file or attribute, or a thing of another kind; the message is one line.
            PluginError: the file or the package fails.
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
            return self._checked(load_entry_point(point), specification)
        if specification.endswith(".py"):
            raise UnknownNameError(self._which_name(specification))
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
        module = run_file(path)
        if not hasattr(module, attribute):
            raise UnknownNameError(f"{path} has no {attribute!r}; {self._found_in(path)}")
        return getattr(module, attribute)

    def _which_name(self, specification: str) -> str:
        """What to say of a file that is named without the name in it."""
        path = expanded(specification)
        if not path.is_file():
            return f"no file {specification}; a {self.kind} in a file is written FILE.py:NAME"
        return f"{specification} is a file: write {specification}:NAME; {self._found_in(path)}"

    def _found_in(self, path: Path) -> str:
        """The names of this kind that a file has, all of its own names where it has none: after a semicolon."""
        own = dict(own_names(run_file(path)))
        fitting = [name for name, thing in own.items() if self._offers(thing)]
        return (
            f"it has {', '.join(fitting)}" if fitting else f"it has no {self.kind}, only {', '.join(own) or 'nothing'}"
        )

    def _passes(self, thing: object) -> bool:
        """Whether a thing is of this kind."""
        try:
            self._checked(thing, "")
        except UnknownNameError:
            return False
        return True


def file_of(specification: str) -> Path | None:
    """The file that a specification `path/to/file.py:Name` takes its thing from; None for a name."""
    path, colon, _ = specification.rpartition(":")
    return expanded(path) if colon and path.endswith(".py") else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """One line for a name that is not among the `known` ones, with the nearest of them."""
    known = list(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"unknown {kind} {name!r}{hint} (known: {', '.join(known)})"
