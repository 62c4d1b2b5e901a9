"""Wheel and sdist: made of a clone, compared with it, installed into an empty environment and used outside the clone.

    python tests/check_package.py                      # as `make package`
    python tests/check_package.py --python python3.12  # on another interpreter
    python tests/check_package.py --extras             # and every extra that pip can install; minutes

The commands that install are those of the Dockerfile, with its build arguments as environment variables: TORCH_INDEX is
empty unless set, so that pip's own settings say where PyTorch comes from.
"""

from __future__ import annotations

import argparse
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from docs_blocks import ROOT, steps_of

FOLDERS = ("envs", "preference_oracles", "reward_learning", "iql", "benchmarks")
BESIDE = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt", "MANIFEST.in"}
"""What the sdist and the image's build hold beside the package."""
PYTHONS = ("3.10", "3.11", "3.12")
"""The minor versions that pyproject.toml names."""
EXTRAS = {
    "sb3": ["stable_baselines3"],
    "minari": ["minari"],
    "video": ["moviepy"],
    "ray": ["ray"],
    "track": ["tensorboard", "wandb"],
    "test": ["pytest", "xdist", "hypothesis", "gymnasium_robotics"],
    "dev": ["mypy", "ruff", "pre_commit", "build", "uv"],
    "docs": ["mkdocs", "material", "mkdocstrings_handlers.python", "latex2mathml"],
}
"""What each extra brings that was not there before it, in an order in which this is so."""
NOT_TRIED = {"habitat": "is empty", "habitat-lab": "needs habitat-sim from conda", "d4rl": "needs MuJoCo 2.1"}
NOT_PINNED = re.compile("nvidia-|cuda-|triton")
"""What PyPI's PyTorch brings for CUDA, in the versions that it names itself."""
IMPORT_ALL = """
import importlib, pkgutil, pluralbench
from pluralbench.envs.household.simulator import SimulatorNotInstalledError
missing = []
for module in pkgutil.walk_packages(pluralbench.__path__, "pluralbench.", onerror=lambda name: None):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except SimulatorNotInstalledError:
            missing.append(module.name)
assert all("habitat_lab" in name for name in missing), missing
print(pluralbench.__file__)
"""
FEW = ("--set", "evaluation.episodes=1", "evaluation.curve_episodes=1", "iql.num_updates=2")


def main() -> None:
    """Builds and checks; an error ends it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the empty environment")
    parser.add_argument("--extras", action="store_true", help="install every extra too")
    options = parser.parse_args()
    wheel, sdist = built(ROOT / "dist")
    compare(wheel, sdist)
    for version in PYTHONS:
        resolve(version, extras_of(wheel))
    with tempfile.TemporaryDirectory() as folder:
        python = install(wheel, Path(folder), options.python)
        use(python, Path(folder) / "use")
        if options.extras:
            for extra in EXTRAS:
                add(python, Path(folder), extra)


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    """What a command printed, without our own environment's paths; its error is shown and ends this."""
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env={**own, **variables}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-5000:]}")
    return done.stdout


def say(what: str, started: float) -> None:
    """A line about what was done."""
    print(f"{what} ({time.monotonic() - started:.0f} s)", flush=True)


def built(folder: Path) -> tuple[Path, Path]:
    """The sdist of this clone and the wheel that is built from the sdist."""
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    constraints = str(ROOT / "constraints.txt")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, PIP_CONSTRAINT=constraints)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    say(f"built {wheel.name} and {sdist.name}", started)
    return wheel, sdist


def sources() -> dict[str, bytes]:
    """Every file that git knows or would add below the package's folders, by its name in the package."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "pluralbench", *FOLDERS)
    files = [ROOT / name for name in listed.splitlines()]
    found = [path.relative_to(ROOT).as_posix() for path in files if path.is_file() and not path.is_symlink()]
    return {f"pluralbench/{name.removeprefix('pluralbench/')}": (ROOT / name).read_bytes() for name in found}


def compare(wheel: Path, sdist: Path) -> None:
    """Both hold the package as it is in the clone, byte by byte, and nothing lands beside it."""
    expected = sources()
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    with tarfile.open(sdist) as archive:
        members = {member.name.partition("/")[2]: member for member in archive if member.isfile()}
        sent = {name: _bytes(archive, one) for name, one in members.items() if name.startswith("pluralbench/")}
    for name, files in (("wheel", packed), ("sdist", sent)):
        different = sorted(key for key in expected.keys() | files.keys() if expected.get(key) != files.get(key))
        if different:
            sys.exit(f"the {name} differs from the clone: {different}")
    beside = {name.partition("/")[0] for name in members} - {"pluralbench", "pluralbench.egg-info"}
    if beside != BESIDE | {"PKG-INFO", "setup.cfg"}:
        sys.exit(f"the sdist holds {sorted(beside)}")


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def extras_of(wheel: Path) -> list[str]:
    """The extras that the wheel offers; all of them are known here."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        offered = email.message_from_bytes(archive.read(name)).get_all("Provides-Extra", [])
    if set(offered) != EXTRAS.keys() | NOT_TRIED.keys():
        sys.exit(f"extras of pyproject.toml: {sorted(offered)}; known here: {sorted(EXTRAS.keys() | NOT_TRIED.keys())}")
    return offered


def resolve(version: str, extras: list[str]) -> None:
    """constraints.txt has one version of everything for this Python, and they fit; nothing is installed."""
    started = time.monotonic()
    flags = [f"--extra={extra}" for extra in extras if extra not in NOT_TRIED]
    command = (sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--constraint", "constraints.txt")
    found = run(*command, *flags, "--python-version", version, "--no-header", "--no-annotate", "--quiet")
    pinned = set(re.findall(r"^([\w.-]+==[^;\s]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    loose = [line for line in found.split() if "==" in line and line not in pinned and not NOT_PINNED.match(line)]
    if loose:
        sys.exit(f"constraints.txt lacks for Python {version}: {loose}")
    say(f"constraints.txt fits Python {version}", started)


def install_commands() -> Iterator[str]:
    """The lines of the Dockerfile by which its last stage installs."""
    stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    yield from re.findall(r"^RUN (pip install .*)$", stage, re.MULTILINE)


def install(wheel: Path, folder: Path, interpreter: str) -> Path:
    """An empty environment with what the Dockerfile installs."""
    started = time.monotonic()
    run(interpreter, "-m", "venv", folder / "venv")
    (folder / "dist").mkdir()
    shutil.copy(wheel, folder / "dist")
    shutil.copy(ROOT / "constraints.txt", folder)
    arguments = {"TORCH_INDEX": os.environ.get("TORCH_INDEX", ""), "EXTRAS": os.environ.get("EXTRAS", "")}
    for command in install_commands():
        run("sh", "-ec", command, cwd=folder, PATH=f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}", **arguments)
    python = folder / "venv" / "bin" / "python"
    run(python, "-m", "pip", "check", cwd=folder)
    version = run(python, "--version", cwd=folder).strip()
    size = sum(path.stat().st_size for path in (folder / "venv").rglob("*") if path.is_file() and not path.is_symlink())
    say(f"installed into an empty environment, {version}, {size / 1e9:.1f} GB", started)
    return python


def use(python: Path, folder: Path) -> None:
    """The command line, every module, and the README's own population and learner, in an empty folder."""
    started = time.monotonic()
    folder.mkdir()
    for kind, _, code in steps_of("README.md"):
        if kind.startswith("save:"):
            (folder / kind.removeprefix("save:")).write_text(code)
    place = run(python, "-c", IMPORT_ALL, cwd=folder).strip()
    if not place.startswith(str(python.parents[1].resolve())):
        sys.exit(f"imported from {place}")
    variables = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PLURALBENCH_DATA_DIR": str(folder / "data")}
    command = python.with_name("pluralbench")
    if "two-goals" not in run(command, "list", cwd=folder, **variables):
        sys.exit("`pluralbench list` does not list two-goals")
    own = ("--population", "corners.py:CORNERS", "--methods", "oracle", "mine.py:Mine+spo", "--suite", "own")
    run(command, "maze", "--preset", "smoke", *own, *FEW, cwd=folder, **variables)
    run(command, "report", "results/own", cwd=folder, **variables)
    if not (folder / "results" / "own" / "maze-success.png").exists():
        sys.exit("no figure was drawn")
    say("used outside the clone, with a population and a learner from files", started)


def add(python: Path, folder: Path, extra: str) -> None:
    """An extra brings its modules."""
    started = time.monotonic()
    code = (
        "import importlib.util, sys; print(all(importlib.util.find_spec(name.split('.')[0]) for name in sys.argv[1:]))"
    )
    if run(python, "-c", code, *EXTRAS[extra], cwd=folder).strip() == "True":
        print(f"  {extra}: all was there before")
    (wheel,) = (folder / "dist").glob("*.whl")
    run(python, "-m", "pip", "install", "-c", "constraints.txt", f"{wheel}[{extra}]", cwd=folder)
    run(python, "-m", "pip", "check", cwd=folder)
    run(
        python,
        "-c",
        "import importlib, sys; [importlib.import_module(n) for n in sys.argv[1:]]",
        *EXTRAS[extra],
        cwd=folder,
    )
    say(f"extra {extra} brings {', '.join(EXTRAS[extra])}", started)


if __name__ == "__main__":
    main()
