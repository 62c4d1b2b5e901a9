"""What a preference dataset holds, in words: the text of `pluralbench data inspect`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pluralbench.lines import plain
from pluralbench.preference_oracles.preferences import PreferenceDataset

MOST_GROUPS = 200
"""Rows of the table of groups; the others are counted."""
MOST_NUMBERS = 20
"""Of an observation."""
LONGEST_TEXT = 2_000
"""Letters of one line of the provenance."""


def describe(preferences: PreferenceDataset, num_examples: int = 3) -> str:
    """Users, groups with their shares, balance of the labels, skip and tie rates, provenance and example pairs.

    Reads the segments of the example pairs only.

    Args:
        preferences: in memory, or loaded lazily.
        num_examples: how many pairs to show, of users spread over the rows.
    """
    length = preferences.segment_length
    lines = [
        f"users         {preferences.num_users} rows, {len(np.unique(preferences.user_ids))} different users",
        f"comparisons   {preferences.num_comparisons} per user",
        f"segments      {length} {'step' if length == 1 else 'steps'} of {preferences.observation_size} numbers",
        "",
        *_group_table(preferences),
        "",
        *(
            f"{plain(key):<24} {plain(_text(value), LONGEST_TEXT)}"
            for key, value in sorted(preferences.provenance.items())
        ),
    ]
    if preferences.num_users and preferences.num_comparisons:
        for row in np.unique(np.linspace(0, preferences.num_users - 1, num_examples).astype(np.int64)):
            lines += ["", *_example(preferences, int(row))]
    return "\n".join(lines)


def group_statistics(preferences: PreferenceDataset, most: int | None = None) -> dict[str, dict[str, float]]:
    """Per group and for `all`: users, share of the rows, and the rates of skips, ties and first segments preferred.

    `skip` is a share of all queries, `tie` of those answered, `first` of those answered and not tied.

    Args:
        preferences: in memory, or loaded lazily.
        most: of the first so many groups that have users; otherwise of all groups.
    """
    names, labels, mask = preferences.group_names, preferences.labels, preferences.mask
    per_row = {
        "users": np.ones(len(labels)),
        "queries": np.full(len(labels), labels.shape[1]),
        "answered": mask.sum(1),
        "tied": (mask & (labels == 0.5)).sum(1),
        "first": (mask & (labels == 1)).sum(1),
    }
    counts = {key: np.bincount(preferences.group_index, values, len(names)) for key, values in per_row.items()}
    chosen = range(len(names)) if most is None else np.flatnonzero(counts["users"])[:most].tolist()
    table, times = {}, Counter(["all", *(names[i] for i in chosen)])
    for i in chosen:
        unique = names[i] if times[names[i]] == 1 else f"{names[i]} #{i}"
        table[unique] = {key: float(values[i]) for key, values in counts.items()}
    table["all"] = {key: float(values.sum()) for key, values in counts.items()}
    return {name: _rates(row, preferences.num_users) for name, row in table.items()}


def _rates(row: dict[str, float], num_users: int) -> dict[str, float]:
    decided = row["answered"] - row["tied"]
    return {
        "users": row["users"],
        "share": row["users"] / max(num_users, 1),
        "skip": 1 - row["answered"] / row["queries"] if row["queries"] else 0.0,
        "tie": row["tied"] / row["answered"] if row["answered"] else 0.0,
        "first": row["first"] / decided if decided else 0.0,
    }


def _group_table(preferences: PreferenceDataset) -> list[str]:
    rows = [(plain(name), row) for name, row in group_statistics(preferences, MOST_GROUPS).items()]
    left_out = len(np.unique(preferences.group_index)) - MOST_GROUPS
    width = max(len("group"), *(len(name) for name, _ in rows))
    lines = [f"{'group':<{width}}  {'users':>8}  {'share':>6}  {'first':>6}  {'tie':>6}  {'skip':>6}"]
    for name, row in rows:
        rates = "  ".join(f"{row[key]:>6.3f}" for key in ("share", "first", "tie", "skip"))
        lines.append(f"{name:<{width}}  {int(row['users']):>8}  {rates}")
    if left_out > 0:
        lines.insert(-1, f"and {left_out} groups more")
    return lines


def _example(preferences: PreferenceDataset, row: int, column: int = 0) -> list[str]:
    label = float(preferences.labels[row, column])
    if not preferences.mask[row, column]:
        answer = "skipped"
    else:
        answer = {1.0: "prefers the first", 0.0: "prefers the second", 0.5: "finds both equal"}[label]
    group = plain(preferences.group_names[preferences.group_index[row]])
    lines = [f"user {preferences.user_ids[row]} of group {group} {answer}:"]
    for name, segment in zip(("first ", "second"), preferences.segments[row, column], strict=True):
        ends = segment[:: max(len(segment) - 1, 1)]  # the first and the last step
        lines.append(f"  {name}  " + " -> ".join(_state(state) for state in ends))
    return lines


def _state(state: NDArray[np.float32]) -> str:
    more = " ..." if len(state) > MOST_NUMBERS else ""
    return "[" + " ".join(f"{x:.3g}" for x in state[:MOST_NUMBERS]) + more + "]"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return " to ".join(_text(item) for item in value) if len(value) == 2 else ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
