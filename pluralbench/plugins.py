"""Code of the user's that a specification names: a file that is run for it, or a package that offers it.

What such code raises is the user's to put right: `fault` says in one line where it happened.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from types import FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pluralbench.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_PREFIX = "pluralbench_plugin_"
_packages: set[str] = set()
"""Top-level packages from which something was taken by an entry point."""


class PluginError(InputError):
    """A file or a package of the user's that fails; the message says where and why, in one line."""


def run_file(path: Path) -> ModuleType:
    """The module of a file, run once in a process, under a name of its own.

    Raises:
        PluginError: it cannot be read, raises something or ends the program.
    """
    name = f"{_PREFIX}{path.stem}_{abs(hash(path.resolve()))}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise PluginError(f"{path} cannot be imported: {fault(error) or _in_words(error)}") from error
    return sys.modules[name]


def load_entry_point(point: EntryPoint) -> Any:
    """What an installed package offers.

    Raises:
        PluginError: it cannot be imported, or has no such attribute.
    """
    _packages.add(point.module.partition(".")[0])
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{point.name}, offered as {point.value}, cannot be imported: {_in_words(error)}") from error


def made_by(thing: Any, specification: str) -> Any:
    """What a class or a function of the user's gives when it is called without arguments.

    Raises:
        PluginError: it needs arguments, or hands something impossible on; which file and line that was is said.
    """
    try:
        return thing()
    except InputError as error:
        if (where := fault(error)) is None:
            raise
        raise PluginError(f"{specification} cannot be made: {where}") from error
    except TypeError as error:
        if fault(error) is not None:  # raised in it, not by calling it
            raise
        raise PluginError(f"{specification} cannot be made without arguments: {error}") from error


def is_maker(thing: object) -> bool:
    """Whether this is a function that can be called without arguments."""
    if not isinstance(thing, FunctionType):
        return False
    from inspect import signature  # which takes as long to import as all before it

    parameters = signature(thing).parameters.values()
    return all(one.default is not one.empty or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in parameters)


def fault(error: BaseException) -> str | None:
    """Where the user's own code led to an error, and the error: one line; None where no such code was at work."""
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__) if _is_users(frame)]
    if not frames:
        return None
    frame, line = frames[-1]
    code = frame.f_code
    where = "" if code.co_name == "<module>" else f", in {_qualified_name(frame)}"
    return f"{code.co_filename}, line {line}{where}: {_in_words(error)}"


def name_of(kind: type) -> str:
    """A class for a message: with its file, where that is one of the user's."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return f"{file}, {kind.__qualname__}" if file and kind.__module__.startswith(_PREFIX) else kind.__qualname__


def own_names(module: ModuleType) -> Iterator[tuple[str, object]]:
    """The public names of a file with what they stand for; classes, functions and modules from elsewhere left out."""
    for name, thing in vars(module).items():
        elsewhere = isinstance(thing, ModuleType) or getattr(thing, "__module__", module.__name__) != module.__name__
        if not name.startswith("_") and not (elsewhere and (callable(thing) or isinstance(thing, ModuleType))):
            yield name, thing


def _is_users(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__"))
    return name.startswith(_PREFIX) or name.partition(".")[0] in _packages


def _qualified_name(frame: FrameType) -> str:
    """`Own.fit`; before Python 3.11 by the first argument's class."""
    code = frame.f_code
    if hasattr(code, "co_qualname"):
        return str(code.co_qualname)
    owner = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    kind = owner if isinstance(owner, type) else type(owner)
    return f"{kind.__name__}.{code.co_name}" if hasattr(kind, code.co_name) else code.co_name


def _in_words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ends the program (SystemExit: {error.code})"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
