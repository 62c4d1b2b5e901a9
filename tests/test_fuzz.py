"""A small run of `fuzz.py`, and that it notices what it looks for."""

import os
import time
from pathlib import Path

import fuzz
import pytest
from fuzz_kinds import KINDS, Kind, digest

from pluralbench.errors import InputError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="mutations are read in processes that are forked")


def run(name, count, seed=0, **options):
    tally = fuzz.fuzz(name, count, seed, **options)
    assert tally.outcomes.total() == count
    return tally


@pytest.mark.parametrize("name", KINDS)
def test_mutated_files_are_refused_or_give_what_was_written(name):
    if name in ("minari", "pointmaze"):
        pytest.importorskip("minari")
    tally = run(name, 20)
    assert not tally.bad
    assert tally.outcomes[fuzz.REFUSED] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_mutated_files_are_refused_or_give_what_was_written(name):
    if name in ("minari", "pointmaze"):
        pytest.importorskip("minari")
    assert not run(name, 500, seed=int(os.environ.get("PLURALBENCH_FUZZ_SEED", "1"))).bad


def _read(text):
    if text != "whole":
        raise InputError("damaged")
    return text


def _crash(text):
    if text != "whole":
        os.abort()
    return text


def _hang(text):
    if text != "whole":
        time.sleep(60)
    return text


def _foreign(text):
    return {"whole": "whole"}[text]


def _two_lines(text):
    if text != "whole":
        raise InputError("damaged\nin two lines")
    return text


def _greedy(text):
    return bytes(1 << 40) if text != "whole" else text


@pytest.mark.parametrize(
    ("read", "detects", "outcome"),
    [
        (_read, True, fuzz.REFUSED),
        (lambda text: "whole", True, fuzz.SAME),
        (lambda text: text, True, fuzz.CHANGED),
        (lambda text: text, False, fuzz.ACCEPTED),
        (_foreign, True, fuzz.FOREIGN),
        (_two_lines, True, fuzz.FOREIGN),
        (_greedy, True, fuzz.FOREIGN),
        (_crash, True, fuzz.CRASH),
        (_hang, True, fuzz.HANG),
    ],
)
def test_every_outcome_is_told_apart(read, detects, outcome, monkeypatch):
    def write(folder: Path) -> None:
        (folder / "a.txt").write_text("whole")

    kind = Kind(write, lambda folder: read((folder / "a.txt").read_bytes().decode("latin-1")), detects)
    monkeypatch.setitem(KINDS, "made up", kind)
    count = 2 if outcome == fuzz.HANG else 12
    tally = run("made up", count, seconds=0.3 if outcome == fuzz.HANG else 20)
    assert tally.outcomes == {outcome: count}
    assert len(tally.bad) == (count if outcome in fuzz.BAD else 0)
    assert outcome in fuzz.table({"made up": tally}).splitlines()[0]


def test_the_same_seed_gives_the_same_mutations(tmp_path):
    first, second = (fuzz.Specimen.written("policy", tmp_path / name) for name in "ab")
    for number in range(20):
        spoilt = [specimen.mutate(0, number) for specimen in (first, second)]
        assert spoilt[0].read_bytes() == spoilt[1].read_bytes()
        assert spoilt[0].read_bytes() != first.files[spoilt[0].name]
    assert first.mutate(1, 0).read_bytes() != second.mutate(2, 0).read_bytes()


@pytest.mark.parametrize("name", KINDS)
def test_the_same_kind_is_written_in_the_same_bytes(name, tmp_path):
    """Else a seed and a number would not be enough to see a mutation again."""
    if name in ("minari", "pointmaze"):
        pytest.skip("HDF5 notes the time in Minari's files")
    first, second = (fuzz.Specimen.written(name, tmp_path / place) for place in "ab")
    assert first.files == second.files
    assert first.content == second.content == digest(first.kind.read(first.whole))
