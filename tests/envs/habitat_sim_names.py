"""Lets the real habitat-lab be imported where habitat-sim, magnum and corrade are not installed.

habitat-lab imports them wherever it is imported, and names some hundred of their classes as it does so. Here these are
empty classes that do nothing. On them lies `habitat_double`, which our simulator then uses.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import types

import habitat_double

ROOTS = ("habitat_sim", "magnum", "corrade")


class _Empty(type):
    """A class whose attributes are empty classes, and which combines with anything."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return empty(name)

    def __or__(cls, other: object) -> type:
        return cls


def empty(name: str) -> type:
    return _Empty(name, (), {"__init__": lambda self, *args, **kwargs: None})


def with_every_name(value: object) -> object:
    """A class or a part of the stand-in, with every name besides its own."""
    if isinstance(value, types.SimpleNamespace):
        return _Empty("names", (), {name: with_every_name(part) for name, part in vars(value).items()})
    return _Empty(value.__name__, (value,), {}) if type(value) is type else value


class _Names(types.ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, empty(name))
        return getattr(self, name)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of the three; to be put into `sys.meta_path`."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in ROOTS:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Names(spec.name)

    def exec_module(self, module):
        root, *inner = module.__name__.split(".")
        known = habitat_double.modules().get(root)
        for name in inner:
            known = getattr(known, name, None)
        given = vars(known) if isinstance(known, types.ModuleType | types.SimpleNamespace) else {}
        for name, value in given.items():
            if not name.startswith("__"):
                setattr(module, name, with_every_name(value))
