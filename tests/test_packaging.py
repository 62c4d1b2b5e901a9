"""Dockerfile, citations, versions, extras, templates; `make package` tries the package itself."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from check_package import BESIDE, EXTRAS, FOLDERS, NOT_TRIED, PYTHONS, install_commands

import pluralbench

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = (ROOT / "pyproject.toml").read_text()
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
ARXIV = re.compile(r"\barXiv[ :.a-z/]*?(\d{4}\.\d{4,5})\b", re.I)


def test_the_dockerfile_passes_its_linter():
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint here; the extra `dev` brings it")
    done = subprocess.run([hadolint, "-"], input=DOCKERFILE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_image_gets_what_the_package_is_made_of():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == {"pluralbench", *FOLDERS, *BESIDE}
    assert [name for name in allowed if not (ROOT / name).exists()] == []
    assert set(re.findall(r"^COPY ([^-\s]\S*) ", DOCKERFILE, re.M)) <= allowed | {"."}


def test_the_image_has_a_python_that_is_tried():
    versions = re.findall(r"^FROM python:(\d+\.\d+)-slim-\w+", DOCKERFILE, re.M)
    assert len(versions) == DOCKERFILE.count("\nFROM ")
    assert set(versions) <= set(PYTHONS)


def test_make_package_installs_as_the_image_does():
    assert [command.split()[:2] for command in install_commands()] == [["pip", "install"]] * 2


def test_python_versions_are_the_same_everywhere():
    assert tuple(re.findall(r"Python :: (3\.\d+)", PROJECT)) == PYTHONS
    assert f'requires-python = ">={PYTHONS[0]}"' in PROJECT


def test_every_extra_is_explained():
    extras = re.findall(
        r"^([\w-]+) = \[", PROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0], re.M
    )
    assert set(extras) == EXTRAS.keys() | NOT_TRIED.keys()
    page = (ROOT / "docs" / "installation.md").read_text()
    assert [extra for extra in extras if f"`{extra}`" not in page] == []


def test_the_version_is_the_same_everywhere():
    assert CITATION["version"] == pluralbench.__version__


def test_every_paper_that_is_named_by_its_number_can_be_cited():
    known = {number for one in CITATION["references"] for number in ARXIV.findall(one.get("url", ""))}
    files = [*ROOT.glob("docs/*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    named = {number: path.name for path in files for number in ARXIV.findall(path.read_text())}
    assert {"2110.06169", "2408.10075", "1112.5745"} <= named.keys()
    assert {number: place for number, place in named.items() if number not in known} == {}


def test_citations_are_whole():
    for one in CITATION["references"]:
        assert {"type", "title", "authors", "year"} <= one.keys(), one["title"]
        assert all({"family-names", "given-names"} == author.keys() for author in one["authors"]), one["title"]
        assert one.get("url") or one.get("journal") or one.get("conference"), one["title"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.stem
)
def test_an_issue_form_is_one(path):
    """GitHub's rules for forms: these keys, an id of its own for each field, and at least one field."""
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys() <= {"name", "description", "title", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    ids = [field["id"] for field in fields]
    assert ids
    assert len(set(ids)) == len(ids)
    for field in fields:
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]
        assert field.keys() <= {"type", "id", "attributes", "validations"}
        if field["type"] in ("dropdown", "checkboxes"):
            assert field["attributes"]["options"]
