"""What made a number: command, commit, package versions, machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pluralbench.lines import one_line

PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "pybullet", "scipy", "h5py")
_PLACES = ("--out", "--data-dir")


def provenance(device: str) -> dict[str, Any]:
    """JSON values; `commit` is None where the package was installed without its repository."""
    from pluralbench import __version__

    return {
        "command": one_line(" ".join(["pluralbench", *_without_places(sys.argv[1:])])),
        "commit": _git_commit(),
        "packages": {"pluralbench": __version__, **{name: _version(name) for name in PACKAGES}},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores",
        "device": device,
    }


def _without_places(arguments: Sequence[str]) -> Iterator[str]:
    """Leaves out where results and data lie: it changes no number, and is nobody's business whom results are shown."""
    words = iter(arguments)
    for word in words:
        if word in _PLACES:
            next(words, None)
        elif word.partition("=")[0] not in _PLACES:
            yield word


def _git_commit() -> str | None:
    """The commit of the checkout that this file lies in, `+changes` where Python files differ from it."""
    source = Path(__file__).resolve().parents[1]
    if not (source / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=source, capture_output=True, text=True, check=True, encoding="utf-8"
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "*.py")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, UnicodeDecodeError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
