"""Every code block of every page, run in an empty folder as a reader would run it."""

import re
import shlex

import pytest
from docs_blocks import LANGUAGES, MARKS, ROOT, blocks_of, pages, run_page

from pluralbench.benchmarks.commands.arguments import changes_of
from pluralbench.benchmarks.commands.parser import make_parser
from pluralbench.benchmarks.experiments.methods import policies
from pluralbench.benchmarks.experiments.plan import make_plan
from pluralbench.benchmarks.experiments.presets import experiment_for
from pluralbench.benchmarks.figures import FIGURES
from pluralbench.envs import environments
from pluralbench.preference_oracles.populations import populations
from pluralbench.preference_oracles.queries import STRATEGIES
from pluralbench.preference_oracles.teachers import teachers
from pluralbench.reward_learning.learners import learners
from pluralbench.reward_learning.scalings import SCALINGS

PAGES = [page for page in pages() if any(block.is_run for block in blocks_of(page))]
FAST = tuple(f"docs/{name}.md" for name in ("environments", "habitat-sim", "learners", "policies", "populations"))
TIMEOUT = 600  # seconds of a page, on a busy machine


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory):
    """Datasets are collected once for all pages."""
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("page", pages())
def test_what_is_not_run_says_why(page):
    for block in blocks_of(page):
        assert block.mark in (None, *MARKS), block.where
        if block.language == "":
            pytest.fail(f"{block.where}: a block needs a language, `text` where it is none")
        if block.mark:
            assert block.language in LANGUAGES, block.where
            assert len(block.reason) > 5, block.where


def commands():
    """The `pluralbench` commands that are parsed only: (where, command)."""
    for page in pages():
        for block in blocks_of(page):
            if block.mark == "parsed only":
                for line in block.code.replace("\\\n", " ").splitlines():
                    words = shlex.split(line, comments=True)
                    if words:
                        yield pytest.param(words, id=f"{block.where} {' '.join(words)}"[:90])


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_that_takes_too_long_here_is_understood(words):
    assert words[0] == "pluralbench", "mark what is no command of ours `not run`"
    if words[1:] == ["--version"]:
        return
    options = make_parser().parse_args(words[1:])
    is_elsewhere = re.search(
        r"\.py\b|--dataset|--simulator habitat", " ".join(words)
    )  # files and packages that lack here
    if options.run == "benchmark:run_benchmarks" and options.environment != "all" and not is_elsewhere:
        make_plan(experiment_for(options.environment, options.preset, changes_of(options)), "cpu")


def marked(page):
    return pytest.param(page, marks=[] if page in FAST else pytest.mark.slow)


@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_a_reader_can_do_what_a_page_says(page, tmp_path, shared_data):
    run_page(page, tmp_path, shared_data, TIMEOUT)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("environments", environments.names()),
        ("learners", [*learners.names(), *SCALINGS]),
        ("populations", [*populations.names(), *teachers.names(), *STRATEGIES]),
        ("policies", policies.names()),
        ("figures", [*FIGURES, "rollouts", "sweep", "active", "didactic"]),
    ],
)
def test_everything_that_has_a_name_is_explained(page, names):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert [name for name in names if not re.search(rf"`{re.escape(name)}`|^## {re.escape(name)}$", text, re.M)] == []


def test_pages_lie_where_the_site_looks_for_them():
    """`mkdocs.yml` names every page; `make docs` finds pages that it does not name, and links that lead nowhere."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in pages():
        if page.startswith("docs/"):
            assert page.removeprefix("docs/").replace(".ipynb", ".md") in navigation, page
