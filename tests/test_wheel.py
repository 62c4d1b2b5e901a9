"""The wheel in an empty environment, started where folders of our five names lie in the way."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("pluralbench", "envs", "preference_oracles", "reward_learning", "iql", "benchmarks")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of the sources, links and all."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    code = f"from setuptools import build_meta; print(build_meta.build_wheel({str(target)!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An interpreter that has this wheel, and our dependencies from where the tests run."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin" / "python"


def run(python, folder, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-m", "pluralbench", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_one_package_with_its_types(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"pluralbench"}
    assert "pluralbench/py.typed" in names
    assert {f"pluralbench/envs/household/habitat_lab/{name}.yaml" for name in ("rearrange", "tidy")} <= set(names)
    for folder in FOLDERS[1:]:
        assert f"pluralbench/{folder}/__init__.py" in names


def test_it_runs_beside_folders_of_the_same_names(python, tmp_path):
    """Formerly `No module named 'envs.registry'` in every directory that has an `envs/`."""
    for name in ("envs", "iql", "benchmarks", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('a folder of the user')\n")
    place = subprocess.run(
        [python, "-c", "import pluralbench.iql; print(pluralbench.iql.__file__)"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(python.parents[1]) in place.stdout
    listed = run(python, tmp_path, "list")
    assert listed.returncode == 0, listed.stderr
    assert "two-goals" in listed.stdout
    arguments = ("maze", "--preset", "smoke", "--methods", "btl", "--data-dir", "data", "--suite", "own")
    few = ("--set", "evaluation.episodes=1", "evaluation.curve_episodes=1", "iql.num_updates=2")
    done = run(python, tmp_path, *arguments, *few)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "own" / "maze-success.png").exists()
    assert run(python, tmp_path, "--version").stdout.startswith("pluralbench 0.2")
