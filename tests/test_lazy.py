"""`import pluralbench` costs nothing, and the Gymnasium ids are there whichever of the two comes first."""

import subprocess
import sys

import pytest

from pluralbench.lazy import when_imported


@pytest.mark.parametrize(
    "code",
    [
        "import pluralbench, gymnasium",
        "import gymnasium, pluralbench",
        "import pluralbench; from gymnasium.envs.registration import registry; import gymnasium",
        "import pluralbench.envs, gymnasium",
        "import pluralbench, importlib.util; importlib.util.find_spec('gymnasium'); import gymnasium",
    ],
)
def test_the_ids_are_registered(code):
    check = "import sys; assert 'pluralbench/MazeNavigation-v0' in gymnasium.registry; assert len(sys.meta_path) < 9"
    subprocess.run([sys.executable, "-c", f"{code}; {check}"], check=True)


def test_the_package_alone_imports_nothing_of_weight():
    code = "import pluralbench, sys; print([name for name in ('numpy', 'gymnasium', 'rich') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"


def test_what_waits_for_a_module_is_done_once_and_leaves_no_trace(tmp_path, monkeypatch):
    (tmp_path / "waited_for.py").write_text("ready = True")
    monkeypatch.syspath_prepend(tmp_path)
    finders, seen = list(sys.meta_path), []
    when_imported("waited_for", lambda: seen.append(sys.modules["waited_for"].ready))
    assert seen == []
    import waited_for

    assert seen == [True]
    assert sys.meta_path == finders
    assert "exec_module" not in vars(waited_for.__spec__.loader)
    when_imported("waited_for", lambda: seen.append("at once"))
    assert seen == [True, "at once"]


def test_a_module_that_fails_is_waited_for_once_more(tmp_path, monkeypatch):
    path = tmp_path / "fails_first.py"
    path.write_text("raise ValueError")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    seen = []
    when_imported("fails_first", lambda: seen.append("done"))
    with pytest.raises(ValueError):  # noqa: PT011
        import fails_first
    path.write_text("ready = True  # another size")
    import fails_first  # noqa: F401

    assert seen == ["done"]
