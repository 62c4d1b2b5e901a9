"""The code blocks of a page, and what a reader does with each: save it, run it in Python or run it in a shell.

A block whose paragraph says "Save this as `name`" becomes that file. A comment before a block says what else is done:

    <!-- not run: reason -->        nothing; it needs what no test has
    <!-- parsed only: reason -->    its `pluralbench` commands are parsed, and the names in them looked up
    <!-- run as smoke: reason -->   it is run with `--preset smoke`
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LANGUAGES = ("python", "sh")
"""What is run; blocks in other languages are shown, or saved."""
MARKS = ("not run", "parsed only", "run as smoke")

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- ([a-z ]+): (.+?) -->\s*\Z", re.DOTALL)
_SAVE = re.compile(r"[Ss]ave\s+(?:this|it)\s+as\s+`([^`]+)`")
_DRIVER = """
import json, subprocess, sys
names = {"__name__": "__main__"}
for kind, where, code in json.load(sys.stdin):
    print(f"--- {where}", flush=True)
    if kind == "python":
        exec(compile(code, where, "exec"), names)
    elif kind == "sh":
        subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)
    else:
        with open(kind.removeprefix("save:"), "w") as file:
            file.write(code)
"""
_SHELL = 'pluralbench() { python -m pluralbench "$@"; }\n'  # there may be no installed script


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    where: str  # page and line
    language: str
    code: str
    file: str | None  # what the page says to save it as
    mark: str | None  # one of MARKS
    reason: str

    @property
    def is_run(self) -> bool:
        """Whether a reader, and the test, runs it."""
        return self.file is None and self.language in LANGUAGES and self.mark in (None, "run as smoke")


def pages() -> list[str]:
    """Every page with text of its own, and the notebook, relative to the repository."""
    found = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/*.ipynb"), ROOT / "README.md"]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    text = (ROOT / page).read_text()
    if page.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        code = [(number, cell) for number, cell in enumerate(cells) if cell["cell_type"] == "code"]
        return [Block(f"{page}, cell {n}", "python", "".join(c["source"]), None, None, "") for n, c in code]
    found, end = [], 0
    for match in _FENCE.finditer(text):
        before = text[end : match.start()]
        end = match.end()
        mark = _MARK.search(before)
        paragraph = before[: mark.start() if mark else None].rstrip().rpartition("\n\n")[2]
        saved = _SAVE.findall(paragraph)
        where = f"{page}:{text.count(chr(10), 0, match.start()) + 1}"
        file = saved[-1] if saved else None
        found.append(Block(where, match[1], match[2], file, mark and mark[1], mark[2] if mark else ""))
    return found


def steps_of(page: str) -> Iterator[tuple[str, str, str]]:
    """What a reader does: (kind, where, code), kind being `python`, `sh` or `save:NAME`."""
    for block in blocks_of(page):
        if block.file is not None and block.mark != "not run":
            yield f"save:{block.file}", block.where, block.code
        elif block.is_run:
            code = block.code.replace("--preset quick", "--preset smoke") if block.mark else block.code
            yield block.language, block.where, _SHELL + code if block.language == "sh" else code


def run_page(page: str, folder: Path, data_dir: Path, timeout: float) -> str:
    """Does all that a page says in an empty folder; what was printed, or AssertionError with the end of it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    own = {"PATH": path, "PYTHONPATH": python_path, "PLURALBENCH_DATA_DIR": str(data_dir), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER], input=json.dumps(list(steps_of(page))), cwd=folder, timeout=timeout,
        env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{page}: {done.stdout[-3000:]}"
    return done.stdout
