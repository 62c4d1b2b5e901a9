"""What a number among the settings may be; asked in `__post_init__`, so that nothing impossible is ever begun.

Upper bounds are far above what makes sense: they stop what a slip of the keyboard would ask for, a million layers.
"""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import Any

from pluralbench.errors import InputError
from pluralbench.lines import shown

MOST_LAYERS = 100
"""Hidden layers of any network."""
WIDEST_LAYER = 65_536
"""Units of any layer."""
MOST = 10**9
"""Of what is counted: updates, users, transitions."""
LARGEST = 1e9
"""Of a weight, a rate or a size that has no bound of its own."""


def check_whole(error: type[InputError], settings: object, low: int, high: int, *names: str) -> None:
    """Raises `error` unless the settings of these names are whole numbers from `low` to `high`."""
    for name in names:
        check_whole_number(error, name, getattr(settings, name), low, high)


def check_whole_number(error: type[InputError], name: str, value: Any, low: int, high: int) -> None:
    """Raises `error` unless `value` is a whole number from `low` to `high`."""
    if isinstance(value, float) and not math.isfinite(value):
        raise error(f"{name} must be a finite number, is {value}")
    rule = f"must be at least {low}" if low else "must not be negative"
    if not _is(Integral, value):
        raise error(f"{name} {rule}, and whole, is {shown(value)}")
    if value < low:
        raise error(f"{name} {rule}, is {shown(value)}")
    if value > high:
        raise error(f"{name} must be at most {high}, is {shown(value)}")


def check_number(
    error: type[InputError], settings: object, low: float, high: float, *names: str, above: bool = False
) -> None:
    """Raises `error` unless the settings of these names are numbers from `low` to `high`, or above `low`."""
    for name in names:
        value: Any = getattr(settings, name)
        if not _is(Real, value):
            raise error(f"{name} must be a number, is {shown(value)}")
        if value != value or (isinstance(value, Integral) and abs(int(value)) > sys.float_info.max):
            raise error(f"{name} must be a finite number, is {shown(value)}")
        if value < low or (above and value == low):
            rule = f"be above {low:g}" if above else f"be at least {low:g}"
            rule = ("be positive" if above else "not be negative") if low == 0 else rule
            raise error(f"{name} must {rule}, is {shown(value)}")
        if value > high:
            raise error(f"{name} must be at most {high:g}, is {shown(value)}")


def _is(kind: type, value: object) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
