"""The folder rule of CONTRIBUTING.md, read from the source: who may import whom, and what nobody may."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "envs": set(),
    "preference_oracles": {"envs"},
    "reward_learning": {"envs", "preference_oracles"},
    "iql": set(),
    "benchmarks": {"envs", "preference_oracles", "reward_learning", "iql"},
}
RUNS_CODE_FROM_FILES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FILES = sorted(path.relative_to(ROOT) for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def imported_modules(source):
    """Full names of all modules that the source imports, inside functions and for type checkers too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
                names.add(str(node.args[0].value))
    return names


def forbidden_imports(source, package):
    """What a file of `package` imports against the rule."""
    others = MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    return {
        name for name in imported_modules(source) if name.split(".")[0] in others | RUNS_CODE_FROM_FILES | {"tests"}
    }


def unsafe_calls(source):
    """Calls that may run code out of data: eval, exec, torch.load and torch.save, np.load of pickles."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("eval", "exec", "torch.load", "torch.save"):
            found.add(called)
        if any(word.arg == "allow_pickle" and ast.unparse(word.value) != "False" for word in node.keywords):
            found.add(f"{called}(allow_pickle)")
    return found


def test_the_packages_are_all_there():
    assert {path.parts[0] for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_run_one_way_and_nothing_is_pickled(path):
    source = (ROOT / path).read_text(encoding="utf-8")
    assert not forbidden_imports(source, path.parts[0])
    assert not unsafe_calls(source)


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import iql", "envs", {"iql"}),
        ("from envs.transitions import TransitionDataset", "iql", {"envs.transitions"}),
        ("def f():\n    import reward_learning.vpl", "preference_oracles", {"reward_learning.vpl"}),
        ("import importlib\nimportlib.import_module('benchmarks.cli')", "iql", {"benchmarks.cli"}),
        ("import pickle as p", "benchmarks", {"pickle"}),
        ("from envs import transitions\nimport numpy", "reward_learning", set()),
        ("import iql.losses\nfrom . import losses", "iql", set()),
    ],
)
def test_the_rule_itself_finds_what_it_should(source, package, expected):
    assert forbidden_imports(source, package) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("eval('1')", {"eval"}),
        ("model.eval()", set()),
        ("torch.load(path)", {"torch.load"}),
        ("np.load(path, allow_pickle=True)", {"np.load(allow_pickle)"}),
        ("np.load(path, allow_pickle=False)", set()),
    ],
)
def test_unsafe_calls_are_found(source, expected):
    assert unsafe_calls(source) == expected


def test_files_are_named_after_what_they_hold():
    named_badly = {"utils.py", "util.py", "misc.py", "helpers.py", "common.py"}
    tests = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    assert not [str(path) for path in [*FILES, *tests] if path.name in named_badly]
    assert not [str(path) for path in FILES if path.stem in sys.stdlib_module_names]


def test_test_files_have_names_of_their_own():
    """Without packages in tests/, pytest cannot tell two files of one name apart."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def _modules_after(statement):
    command = [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_environments_starts_no_simulator():
    modules = _modules_after("import envs, gymnasium; assert 'pluralbench/MazeNavigation-v0' in gymnasium.registry")
    assert "envs" in modules
    started = modules & {"mujoco", "pybullet", "habitat_sim", "habitat", "torch", "matplotlib", "minari"}
    assert not started
