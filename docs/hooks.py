"""What mkdocs does not do by itself: pages from docstrings and from outside `docs/`, pictures, formulas, the notebook.

Pages link to files of the repository by relative paths, as they do on a code host: `../iql/losses.py`. Here such a link
leads to that module's page of the API, and one to a picture below `results/reference/` to a copy in the site. A link
to a file that the site does not have is a warning, and warnings are errors (`mkdocs build --strict`).
"""

from __future__ import annotations

import base64
import html
import json
import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "pluralbench": "what all packages share",
    "pluralbench.envs": "what the robot can do and what can be wanted of it",
    "pluralbench.preference_oracles": "who wants it, and how they answer",
    "pluralbench.reward_learning": "from answers to rewards",
    "pluralbench.iql": "from rewards to policies",
    "pluralbench.benchmarks": "experiments, evaluation, results, figures, command line",
}
"""Packages that have a section of their own in the navigation, with what the API's first page says of each."""
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "results/README.md": "results/reference/README.md",
}
"""Files of the repository that are pages, or stand for one."""
PICTURES = "results/reference/"
NOTEBOOK = "whole_way.ipynb"
API, REPORTS = "API", "Reports"
"""The entries of mkdocs.yml's `nav` that are filled here."""

_log = logging.getLogger("mkdocs.hooks.pluralbench")
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=[)\s])")
_CODE = re.compile(r"^(```.*?^```|    [^\n]*)$", re.MULTILINE | re.DOTALL)
_PRIME = re.compile(r"<msup>(<mi>\w</mi>)<mi>&#x02032;</mi></msup>")  # raised already; raised again it is a speck
_LOG = re.compile(r"<mi>log</mi>(?!<mo)")  # "log p", not "logp"
_INTERVAL = re.compile(r"(?<=\d )\[\d\.\d+, \d\.\d+\]|(?<=\], )\(\d+, \d+\)")  # of a mean, and a cell: on one line each
_FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def modules() -> list[str]:
    """Every module of the package that has a page, in alphabetical order; `__init__` stands for its package."""
    found = []
    for package in PACKAGES:
        folder = ROOT / package.replace(".", "/")
        for path in sorted(folder.glob("*.py") if package == "pluralbench" else folder.rglob("*.py")):
            parts = [*package.split("."), *path.relative_to(folder).with_suffix("").parts]
            if parts[-1] != "__main__":
                found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(found)


def page_of(module: str) -> str:
    """Where a module's page lies."""
    below = module.split(".")[1:]
    is_package = (ROOT / module.replace(".", "/")).is_dir()
    return "/".join(["api", *below, "index.md"] if is_package else ["api", *below]) + ("" if is_package else ".md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds what is made or lies elsewhere, and fills the API's part of the navigation."""
    if files.get_file_from_path(NOTEBOOK):
        files.remove(files.get_file_from_path(NOTEBOOK))
        _add_notebook(files, config)
    for source, target in PAGES.items():
        if target not in files.src_uris:
            files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    for path in sorted((ROOT / PICTURES).rglob("*")):
        if path.suffix in (".png", ".gif") or path.name == "report.md":
            source = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, source, abs_src_path=str(path)))
    known = modules()
    for module in known:
        files.append(File.generated(config, page_of(module), content=_api_page(module, known)))
    _fill_navigation(config.nav, known)
    return files


def _api_page(module: str, known: list[str]) -> str:
    """Docstrings of one module; of a package also the list of what is in it."""
    text = f"# {module.removeprefix('pluralbench.')}\n\n::: {module}\n    options:\n      show_root_heading: false\n"
    if page_of(module).endswith("index.md"):
        text += "      members: false\n"
        here = posixpath.dirname(page_of(module))
        inside = [m for m in known if m.rpartition(".")[0] == module]
        if module == "pluralbench":  # the packages first
            inside.sort(key=lambda m: (m not in PACKAGES, m))
        rows = [f"- [`{m}`]({posixpath.relpath(page_of(m), here)}): {_summary(m)}" for m in inside]
        text += "\n" + "\n".join(rows) + "\n"
    return text


def _summary(module: str) -> str:
    """The first paragraph of a module's docstring, as one line."""
    path = ROOT / module.replace(".", "/")
    code = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    found = re.match(r'"""(.*?)(\n\n|""")', code, re.DOTALL)
    return " ".join(found[1].split()) if found else PACKAGES.get(module, "")


def _fill_navigation(nav: list[Any], known: list[str]) -> None:
    """A page for each module, below its folder, and the report of each committed suite."""

    def entries(package: str) -> list[Any]:
        own: list[Any] = [page_of(package)]
        for module in known:
            parent, _, name = module.rpartition(".")
            if parent == package and not (package == "pluralbench" and module in PACKAGES):
                own.append({name: entries(module) if page_of(module).endswith("index.md") else page_of(module)})
        return own

    sections = [{package.rpartition(".")[2]: entries(package)} for package in PACKAGES if package != "pluralbench"]
    shared = entries("pluralbench")
    reports = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / PICTURES).glob("*/report.md"))]
    filled = {
        API: [shared[0], *sections, {"shared modules": shared[1:]}],
        REPORTS: [{posixpath.basename(posixpath.dirname(report)): report} for report in reports],
    }
    _fill(nav, filled)


def _fill(nav: list[Any], filled: dict[str, list[Any]]) -> None:
    for entry in nav:
        for title, inside in entry.items():
            if title in filled:
                entry[title] = filled[title]
            elif isinstance(inside, list):
                _fill(inside, filled)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files of the repository into links to pages of the site."""
    source = _in_repository(page.file)
    if source is None:
        return markdown
    folder = posixpath.dirname(source)

    def linked(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        uri = _in_site(target)
        if uri is None or uri not in files.src_uris:
            _log.warning("%s links to %s, which the site does not have", source, target)
            return match[0]
        return posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".") + (match[2] or "")

    pieces = _CODE.split(markdown)  # links in code are none
    return "".join(piece if number % 2 else _LINK.sub(linked, piece) for number, piece in enumerate(pieces))


def _in_repository(file: File) -> str | None:
    """Where a page's text lies in the repository; None for pages made here."""
    for source, target in PAGES.items():
        if file.src_uri == target and not (ROOT / "docs" / target).exists():
            return source
    if file.src_uri.startswith(PICTURES):
        return file.src_uri
    if file.src_uri == NOTEBOOK.replace(".ipynb", ".md"):
        return f"docs/{NOTEBOOK}"
    return None if file.src_uri.startswith("api/") else f"docs/{file.src_uri}"


def _in_site(path: str) -> str | None:
    """The page or picture of the site that stands for a file or folder of the repository."""
    if path in PAGES:
        return PAGES[path]
    if path == f"docs/{NOTEBOOK}":
        return NOTEBOOK.replace(".ipynb", ".md")
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith(PICTURES):
        return path
    module = path.removesuffix(".py").replace("/", ".")
    module = module if module.startswith("pluralbench") else f"pluralbench.{module}"
    return page_of(module.removesuffix(".__init__")) if path.endswith(".py") or (ROOT / path).is_dir() else None


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas as MathML, which browsers draw themselves (no script, no font, no network), and unbroken intervals."""

    def drawn(match: re.Match[str]) -> str:
        formula = html.unescape(match[2]).strip()
        drawing = convert(formula[2:-2].strip(), display="inline" if match[1] == "span" else "block")
        drawing = _PRIME.sub(r"<mrow>\1<mo lspace='0' rspace='0'>&#x02032;</mo></mrow>", drawing)
        return _LOG.sub(r"\g<0><mspace width='0.17em'/>", drawing)

    return _INTERVAL.sub(lambda found: found[0].replace(" ", "&nbsp;"), _FORMULA.sub(drawn, content))


def _add_notebook(files: Files, config: MkDocsConfig) -> None:
    """The notebook as a page, with the outputs that are stored in it."""
    name = PurePosixPath(NOTEBOOK).stem
    parts = []
    for number, cell in enumerate(json.loads((ROOT / "docs" / NOTEBOOK).read_text())["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for place, (kind, data) in enumerate(_outputs(cell)):
            if kind == "text":
                parts.append(f'```text title="output"\n{data.rstrip()}\n```')
            else:
                picture = f"{name}/{number}-{place}.png"
                files.append(File.generated(config, picture, content=base64.b64decode(data)))
                parts.append(f"![output of the cell above]({name}/{number}-{place}.png)")
    files.append(File.generated(config, f"{name}.md", content="\n\n".join(parts) + "\n"))


def _outputs(cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            yield "picture", "".join(data["image/png"])
        elif "text" in output or "text/plain" in data:
            yield "text", "".join(output.get("text", data.get("text/plain")))
