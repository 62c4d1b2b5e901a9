"""How a method is drawn: one colour, one line and one mark wherever it is a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pluralbench.benchmarks.figures.style import line_style
from pluralbench.benchmarks.figures.suite import is_reference_row, place_among

_MARKERS = "os^v<>pX"


def look_of(method: str, methods: Sequence[str]) -> dict[str, Any]:
    """Line of a method, or of a learner, among these of a suite: reference rows are dashed and over the others.

    Marks are hollow and those of later methods smaller, so that lines that coincide are seen to be several.
    """
    place = place_among(methods, method)
    marker = {"marker": _MARKERS[place % len(_MARKERS)], "markersize": 7.5 - 0.6 * (place % len(_MARKERS))}
    hollow = {"markerfacecolor": "none", "markeredgewidth": 0.9}
    return {**line_style(place, is_reference_row(method)), **marker, **hollow, "zorder": 2 + place / 100}
