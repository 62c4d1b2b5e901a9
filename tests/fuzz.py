"""Mutates stored files by seed and count, and says what reading them did.

    python tests/fuzz.py --count 100000 --seed 0               every kind, a table at the end
    python tests/fuzz.py --count 500 --kind policy --kind model
    python tests/fuzz.py --kind d4rl --seed 0 --only 1234      one mutation again, with its traceback

A mutated file must be refused in one line (`InputError`), or give the content that was written. Where the content may
change unseen (files of others, tables, words whose checksum was made right again) it is counted as accepted. Everything
else is a defect: changed content, another exception, a crash, a hang. Exit code 1 says that there was one.

Mutations are read in a process that is forked for each batch, with limits of time and memory, so that one that dies
costs its batch nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import logging
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fuzz_kinds import KINDS, Kind, digest

from pluralbench.errors import InputError

REFUSED, SAME, ACCEPTED = "refused", "same", "accepted"
CHANGED, FOREIGN, CRASH, HANG = "CHANGED", "foreign", "crash", "hang"
OUTCOMES = (REFUSED, SAME, ACCEPTED, CHANGED, FOREIGN, CRASH, HANG)
BAD = {CHANGED, FOREIGN, CRASH, HANG}
BATCH = 500
SECONDS = 20.0
"""That reading one mutation may take, on a machine that does other things too."""
MEMORY = 2 << 30
"""Bytes that it may ask for on top of what the imports take."""
LONGEST_MESSAGE = 2_000


def _flip(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _overwrite(content: bytearray, rng: random.Random) -> None:
    start, length = rng.randrange(len(content)), rng.choice((1, 1, 2, 4, 8))
    odd = rng.choice(
        (
            b"\0" * 8,
            b"\xff" * 8,
            b"\x7f" + b"\xff" * 7,
            rng.randbytes(8),
            (1 << rng.randrange(63)).to_bytes(8, "little"),
        )
    )
    content[start : start + length] = odd[: len(content[start : start + length])]


def _truncate(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def _insert(content: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(content) + 1)
    content[place:place] = rng.randbytes(rng.choice((1, 2, 8, 64)))


def _delete(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    del content[start : start + rng.choice((1, 2, 8, 64))]


def _blocks(content: bytearray, rng: random.Random) -> tuple[slice, slice]:
    length = min(rng.choice((1, 4, 16, 64, 512)), len(content))
    starts = [rng.randrange(len(content) - length + 1) for _ in range(2)]
    return slice(starts[0], starts[0] + length), slice(starts[1], starts[1] + length)


def _copy(content: bytearray, rng: random.Random) -> None:
    source, target = _blocks(content, rng)
    content[target] = content[source]


def _swap(content: bytearray, rng: random.Random) -> None:
    first, second = _blocks(content, rng)
    content[first], content[second] = content[second], content[first]


def _zero(content: bytearray, rng: random.Random) -> None:
    block, _ = _blocks(content, rng)
    content[block] = bytes(block.stop - block.start)


BYTE_EDITS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _overwrite, _overwrite, _truncate, _insert, _delete, _copy, _swap, _zero,
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 10**6, 10**12, 10**25, 0.5, -1.5, 1e300, "", "x", "../../x", "[/x]", "ä\n", "1",
    "file.py:Name", [], [[]], [1, 2], ["a"], {}, {"a": 1}, [10**9] * 3, "9" * 5_000,
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def edited_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON text with a value that is another, gone, twice there, or under another name."""
    value = json.loads(content)
    *path, last = rng.choice([place for place in _places(value) if place])
    parent = value
    for key in path:
        parent = parent[key]
    how, odd = rng.randrange(5), rng.choice(ODD_VALUES)
    if how == 0:
        del parent[last]
    elif how == 1 and isinstance(parent, dict):
        parent[rng.choice(("x", "format", str(last) + " "))] = parent.pop(last)
    elif how == 1:
        parent.append(parent[last])
    elif how == 2 and isinstance(parent[last], int | float) and not isinstance(parent[last], bool):
        parent[last] += rng.choice((1, -1, 0.5, 10**6))
    else:
        parent[last] = odd
    return json.dumps(value).encode()


def mutated(content: bytes, rng: random.Random, is_json: bool) -> bytes:
    """Another content by one to three edits."""
    changed = content
    while changed == content:
        if is_json and rng.random() < 0.5:
            changed = edited_json(content, rng)
            continue
        edits = bytearray(content)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if edits:
                rng.choice(BYTE_EDITS)(edits, rng)
        changed = bytes(edits)
    return changed


@dataclass
class Specimen:
    """A file, or some, of one kind as they were written, and a folder to spoil."""

    name: str
    kind: Kind
    whole: Path
    spoilt: Path
    files: dict[str, bytes] = field(default_factory=dict)
    content: str = ""

    @classmethod
    def written(cls, name: str, folder: Path) -> Specimen:
        """Writes it, and a copy that is mutated in place."""
        whole, spoilt = folder / name / "whole", folder / name / "spoilt"
        whole.mkdir(parents=True)
        KINDS[name].write(whole)
        shutil.copytree(whole, spoilt)
        found = cls(name, KINDS[name], whole, spoilt)
        paths = sorted(path for path in whole.rglob("*") if path.is_file())
        found.files = {str(path.relative_to(whole)): path.read_bytes() for path in paths}
        found.content = digest(found.kind.read(whole))
        return found

    def mutate(self, seed: int, number: int) -> Path:
        """Spoils the copy by this seed and number; returns the file that is not as it was."""
        rng = random.Random(f"{seed} {self.name} {number}")
        name = rng.choice(list(self.files))
        path = self.spoilt / name
        path.write_bytes(mutated(self.files[name], rng, path.suffix == ".json"))
        if self.kind.seal is not None:
            with contextlib.suppress(ValueError, RecursionError):  # no JSON any more
                self.kind.seal(path)
        return path

    def judged(self, seed: int, number: int) -> tuple[str, str]:
        """The outcome of one mutation, and what was said."""
        path = self.mutate(seed, number)
        try:
            content = digest(self.kind.read(self.spoilt))
        except InputError as error:
            message = str(error)
            is_line = message.isprintable() and 0 < len(message) < LONGEST_MESSAGE
            return (REFUSED, "") if is_line else (FOREIGN, f"no line: {message[:200]!r}")
        except Exception as error:  # noqa: BLE001 (this is what is looked for)
            place = traceback.extract_tb(error.__traceback__)[-1]
            return (
                FOREIGN,
                f"{type(error).__name__}: {str(error)[:120]!r} at {Path(place.filename).name}:{place.lineno}",
            )
        finally:
            path.write_bytes(self.files[str(path.relative_to(self.spoilt))])
        return (SAME, "") if content == self.content else (CHANGED if self.kind.detects else ACCEPTED, "")


@dataclass
class Tally:
    """What came of the mutations of one kind."""

    outcomes: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    """Number, outcome and what was said, of the first ones."""

    def add(self, number: int, outcome: str, said: str) -> None:
        """One mutation more."""
        self.outcomes[outcome] += 1
        if outcome in BAD and len(self.bad) < 50:
            self.bad.append((number, outcome, said))


def _child(specimen: Specimen, seed: int, numbers: range, pipe: int) -> None:
    """Reads mutations, one line about each into the pipe, within the limits."""
    status = Path("/proc/self/statm")
    in_use = int(status.read_text().split()[0]) * resource.getpagesize() if status.exists() else 16 << 30
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries write about damaged files
    faulthandler.disable()
    warnings.simplefilter("ignore")
    logging.disable()
    torch.set_num_threads(1)  # the threads of the process that was forked are not here
    for number in numbers:
        os.write(pipe, json.dumps(specimen.judged(seed, number)).encode() + b"\n")


def _batch(specimen: Specimen, seed: int, numbers: range, tally: Tally, seconds: float) -> int:
    """Judges mutations in a process of their own; returns the first number that is not judged."""
    out, pipe = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(out)
            _child(specimen, seed, numbers, pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(pipe)
    number, rest = numbers.start, b""
    while select.select([out], [], [], seconds)[0]:
        chunk = os.read(out, 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            tally.add(number, *json.loads(line))
            number += 1
    else:
        os.kill(child, signal.SIGKILL)
    os.close(out)
    _, status = os.waitpid(child, 0)
    if number < numbers.stop:
        is_hang = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        tally.add(number, HANG if is_hang else CRASH, f"wait status {status}")
        number += 1
    return number


def fuzz(name: str, count: int, seed: int, seconds: float = SECONDS) -> Tally:
    """Judges `count` mutations of one kind; the same seed gives the same ones."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        specimen = Specimen.written(name, Path(folder))
        number = 0
        while number < count:
            number = _batch(specimen, seed, range(number, min(count, number + BATCH)), tally, seconds)
            for path, content in specimen.files.items():  # a process that died left one spoilt
                (specimen.spoilt / path).write_bytes(content)
    return tally


def table(tallies: dict[str, Tally]) -> str:
    """A row for each kind."""
    width = max(map(len, tallies))
    lines = [f"{'kind':<{width}} " + " ".join(f"{outcome:>9}" for outcome in ("mutations", *OUTCOMES))]
    total: Counter[str] = sum((tally.outcomes for tally in tallies.values()), Counter())
    for name, outcomes in [*((name, tally.outcomes) for name, tally in tallies.items()), ("all", total)]:
        numbers = (outcomes.total(), *(outcomes[outcome] for outcome in OUTCOMES))
        lines.append(f"{name:<{width}} " + " ".join(f"{number:>9}" for number in numbers))
    return "\n".join(lines)


def main() -> int:
    """The command line; 1 where a mutation had a bad outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000, help="mutations, spread evenly over the kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="this one, and again for more; else all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that reading one mutation may take")
    parser.add_argument("--only", type=int, help="read this mutation alone, here, and show what happens")
    options = parser.parse_args()
    names = options.kind or list(KINDS)
    if options.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            specimen = Specimen.written(names[0], Path(folder))
            print(f"mutated {specimen.mutate(options.seed, options.only).name}", flush=True)
            print(specimen.kind.read(specimen.spoilt))
        return 0
    tallies = {}
    for place, name in enumerate(names):
        count = options.count // len(names) + (place < options.count % len(names))
        tallies[name] = fuzz(name, count, options.seed, options.seconds)
        for number, outcome, said in tallies[name].bad:
            print(f"{outcome}: --kind {name} --seed {options.seed} --only {number}: {said}", flush=True)
    print(table(tallies))
    return int(any(tally.outcomes[outcome] for tally in tallies.values() for outcome in BAD))


if __name__ == "__main__":
    sys.exit(main())
