"""Settings: frozen dataclasses, made from mappings of JSON values or text, checked whole, and written back.

An unknown setting fails wherever it stands; so does a value of another type, NaN, and whatever the dataclass
itself refuses in `__post_init__`. Pydantic converts the values: "1e5" is a whole number, a list is a tuple.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pluralbench.errors import InputError
from pluralbench.lines import shown

S = TypeVar("S")

LARGEST_SEED = 2**32 - 1
"""The smallest seed is 0."""


class SettingsError(InputError):
    """An unknown setting, or a value that it cannot have; the message names the setting."""


def settings_from(kind: type[S], values: Mapping[str, Any], where: str = "") -> S:
    """Settings of the dataclass `kind`, its defaults where `values` say nothing.

    Args:
        kind: a dataclass; fields may be dataclasses themselves.
        values: setting to JSON value or text, nested as the dataclasses are.
        where: what the settings are of, for messages: `iql`.

    Raises:
        SettingsError: an unknown setting (the nearest is offered), or an impossible value; one line.
    """
    from pydantic import ValidationError

    values = _checked(kind, values, where)
    try:
        hashable: Any = kind
        found: S = _adapter(hashable).validate_python(values)
        return found
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join([*([where] if where else []), *(str(part) for part in first["loc"])])
        message = first["msg"].removeprefix("Value error, ")
        given = first["input"]
        if first["type"] == "tuple_type":
            message = "a list is written [32,32]"
        got = "" if isinstance(given, Mapping) or dataclasses.is_dataclass(given) else f", got {shown(given)}"
        place = f"{name}: " if name else ""
        raise SettingsError(f"{place}{message}{'' if first['type'] == 'value_error' else got}") from error


@cache
def _adapter(kind: type) -> Any:
    """Pydantic's converter to a dataclass, which takes a while to make."""
    from pydantic import TypeAdapter  # as it takes a while to import

    return TypeAdapter(kind)


def _checked(kind: Any, values: Any, where: str) -> Any:
    """The values with numbers that text stands for; SettingsError for an unknown key or a number that is none."""
    if not isinstance(values, Mapping):
        raise SettingsError(f"{where or kind.__name__}: expected settings by name, got {shown(values)}")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in fields:
            raise SettingsError(unknown_setting(where, key, fields, _with_field(kind, key)))
        inner = hints[key]
        if dataclasses.is_dataclass(inner):
            checked[key] = value if dataclasses.is_dataclass(value) else _checked(inner, value, name)
            continue
        if inner is int and isinstance(value, str):
            value = _whole_number(value)
        if inner in (int, float) and isinstance(value, bool):
            raise SettingsError(f"{name} is a number, got {shown(value)}")
        if inner is float and not _is_fine(value, fields[key].default):
            raise SettingsError(f"{name} must be a finite number, is {shown(value)}")
        checked[key] = value
    return checked


def unknown_setting(where: str, key: str, known: Iterable[str], elsewhere: Iterable[str] = ()) -> str:
    """One line for a setting that there is not: what is probably meant, or else all that there are.

    Args:
        where: what the settings are of: `iql`.
        key: the unknown one, without `where`; only keys are compared, so that a long `where` makes nothing alike.
        known: the keys that there are.
        elsewhere: names of groups of settings below `where` that have the key.
    """
    before, known = f"{where}." if where else "", list(known)
    meant = [f"{group}.{key}" for group in elsewhere] or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if meant:
        hint = f"did you mean {' or '.join(repr(before + name) for name in meant)}?"
    else:
        hint = f"known: {', '.join(before + name for name in known)}"
    return f"unknown setting {before + key!r}; {hint}"


def _with_field(kind: Any, key: str) -> list[str]:
    """The fields of a dataclass that are dataclasses with a field of this name."""
    inner = {name: hint for name, hint in typing.get_type_hints(kind).items() if dataclasses.is_dataclass(hint)}
    return [name for name, hint in inner.items() if any(field.name == key for field in dataclasses.fields(hint))]


def _whole_number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if math.isfinite(number) and number == int(number) else text


def _is_fine(value: Any, default: Any) -> bool:
    """Whether a float is finite, or infinite where the default is."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return True  # for the converter to refuse
    except OverflowError:
        return False
    return math.isfinite(number) or (math.isinf(number) and number == default)


def as_json(settings: Any) -> dict[str, Any]:
    """Every setting of a dataclass as JSON values, which `settings_from` reads back; infinity as text."""
    return dict(json.loads(json.dumps(_plain(dataclasses.asdict(settings)), allow_nan=False)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def merged(base: Mapping[str, Any], *changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with later values in place of earlier ones, mapping by mapping."""
    result = dict(base)
    for change in changes:
        for key, value in change.items():
            inner = result.get(key)
            if isinstance(inner, Mapping) and isinstance(value, Mapping):
                value = merged(inner, value)
            result[key] = value
    return result


def from_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Nested settings from texts `iql.num_updates=1000`; the value is JSON, or else text.

    Raises:
        SettingsError: a text without `=`, a setting that is given twice, or one that is given with a part of it.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, given = text.partition("=")
        if not equals or not key:
            raise SettingsError(f"a setting is given as KEY=VALUE, got {shown(text)}")
        try:
            value = json.loads(given)
        except ValueError:
            value = given
        except RecursionError as error:
            raise SettingsError(f"{shown(key)}: the value is nested too deeply") from error
        *path, last = key.split(".")
        place = values
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise SettingsError(f"{key} and {part} are both set: give one of them")
        if last in place:
            raise SettingsError(f"{key} is set twice: give it once")
        place[last] = value
    return values


def leaves(settings: Mapping[str, Any], *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of nested settings, behind the keys that lead to it."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from leaves(value, *above, key)
        else:
            yield (*above, key), value


def sets(settings: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether nested settings hold a value where a path of keys leads, above or below."""
    return any(tuple(path[: len(own)]) == own[: len(path)] for own, _ in leaves(settings))


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """The names of the values in which two nested mappings differ: `iql.num_updates` for example."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        keys = dict.fromkeys([*first, *second])
        absent = object()
        return [
            name
            for key in keys
            for name in differences(first.get(key, absent), second.get(key, absent), f"{where}.{key}" if where else key)
        ]
    return [] if first == second else [where]
