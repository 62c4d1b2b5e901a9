"""What is told of a run to whoever sees its results."""

import sys

import pytest

from pluralbench.benchmarks.provenance import provenance


@pytest.mark.parametrize(
    "places", [["--out", "/home/me/private"], ["--out=/home/me/private"], ["--data-dir", "/mnt/data"], []]
)
def test_the_command_tells_what_made_the_numbers_and_not_where_they_lie(monkeypatch, places):
    monkeypatch.setattr(sys, "argv", ["pluralbench", "maze", *places, "--preset", "quick"])
    assert provenance("cpu")["command"] == "pluralbench maze --preset quick"
