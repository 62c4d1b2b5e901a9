"""Small experiments that several tests share."""

import pytest

from pluralbench.benchmarks.commands.cli import main


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Where the datasets of all tests of this process are kept."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def run(data_dir, tmp_path):
    """Runs the command line with `--out tmp_path` and gives its exit code."""

    def call(*arguments, out=tmp_path):
        return main([*map(str, arguments), "--out", str(out), "--data-dir", str(data_dir)])

    return call
