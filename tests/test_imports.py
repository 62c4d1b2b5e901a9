"""The folder rule of CONTRIBUTING.md, read from the source: who may import whom, and what no file may."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LEAF = "leaf"
MAY_IMPORT = {
    LEAF: set(),
    "envs": {LEAF},
    "preference_oracles": {LEAF, "envs"},
    "reward_learning": {LEAF, "envs", "preference_oracles"},
    "iql": {LEAF},
    "benchmarks": {LEAF, "envs", "preference_oracles", "reward_learning", "iql"},
}
"""`leaf` stands for the modules of `pluralbench/` itself; `__init__` and `__main__` there join everything."""
JOINS = {Path("pluralbench/__init__.py"), Path("pluralbench/__main__.py"), Path("benchmarks/__main__.py")}
RUNS_CODE_FROM_FILES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FOLDERS = [name for name in MAY_IMPORT if name != LEAF]
FILES = sorted(
    path.relative_to(ROOT)
    for path in [
        *(path for name in FOLDERS for path in (ROOT / name).rglob("*.py")),
        *(ROOT / "pluralbench").glob("*.py"),
    ]
)


def module_of(path):
    """`pluralbench.envs.maze.task` of envs/maze/task.py."""
    parts = [*path.with_suffix("").parts]
    parts = parts if parts[0] == "pluralbench" else ["pluralbench", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def package_of(module):
    """The folder that a module of ours lies in; None for a module of another package."""
    first, _, rest = module.partition(".")
    if first in FOLDERS:
        return f"{first} without pluralbench"
    if first != "pluralbench":
        return None
    name = rest.partition(".")[0]
    return name if name in FOLDERS else LEAF


def imported_modules(source):
    """Full names of all modules that the source imports, inside functions and for type checkers too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys() or {node.module}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
                names.add(str(node.args[0].value))
    return names


def forbidden_imports(source, package):
    """What a file of `package` imports against the rule."""
    allowed = MAY_IMPORT[package] | {package, None}
    return {
        name
        for name in imported_modules(source)
        if package_of(name) not in allowed or name.partition(".")[0] in RUNS_CODE_FROM_FILES | {"tests"}
    }


def circles(imports):
    """The groups of two or more modules that import one another, from {module: modules that it imports}."""
    reach = {module: set(targets) for module, targets in imports.items()}
    changed = True
    while changed:
        changed = False
        for module, targets in reach.items():
            further = set().union(*(reach.get(target, set()) for target in targets)) - targets
            changed |= bool(further)
            reach[module] = targets | further
    return {frozenset({a, b}) for a in reach for b in reach[a] if a != b and a in reach.get(b, set())}


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
    assert {package_of(module) for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", [path for path in FILES if path not in JOINS], ids=str)
def test_imports_run_one_way_and_nothing_is_pickled(path):
    source = (ROOT / path).read_text(encoding="utf-8")
    assert not forbidden_imports(source, package_of(module_of(path)))
    assert not unsafe_calls(source)


def test_no_module_is_part_of_a_circle():
    sources = {module: (ROOT / path).read_text(encoding="utf-8") for module, path in MODULES.items()}
    imports = {module: imported_modules(source) & MODULES.keys() for module, source in sources.items()}
    assert not circles(imports)


def test_no_file_is_long():
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {path: length for path, length in lengths.items() if length > 350}


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, set()),
        ({"a": {"b"}, "b": {"a"}}, {frozenset("ab")}),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}}, {frozenset("ab"), frozenset("bc"), frozenset("ac")}),
    ],
)
def test_circles_are_found(imports, expected):
    assert circles(imports) == expected


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import pluralbench.iql", "envs", {"pluralbench.iql"}),
        ("import iql", "benchmarks", {"iql"}),
        ("from pluralbench.envs.transitions import TransitionDataset", "iql", {"pluralbench.envs.transitions"}),
        ("def f():\n    import pluralbench.iql.losses", "preference_oracles", {"pluralbench.iql.losses"}),
        ("import importlib\nimportlib.import_module('pluralbench.benchmarks')", "iql", {"pluralbench.benchmarks"}),
        ("import pickle as p", "benchmarks", {"pickle"}),
        ("from pluralbench.envs import transitions\nimport numpy", "reward_learning", set()),
        ("from pluralbench.files import replace_file", "iql", set()),
        ("from pluralbench.envs import transitions", "leaf", {"pluralbench.envs.transitions"}),
        ("import pluralbench.iql.losses\nfrom . import losses", "iql", set()),
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


def words_of_code(source):
    """All words in the string literals of a source but its docstrings."""
    tree = ast.parse(source)
    pages = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in pages]
    return {word for text in texts if isinstance(text, str) for word in re.findall(r"[A-Za-z]+", text.lower())}


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] != "envs"], ids=str)
def test_nothing_outside_the_environments_names_one(path):
    source = (ROOT / path).read_text(encoding="utf-8")
    assert not words_of_code(source) & {"maze", "mazenavigation", "ravens", "habitat", "rearrange", "tidy"}


def test_names_in_literals_are_found_and_pages_are_not_read():
    assert "maze" in words_of_code("x = f'{y} in the maze'")
    assert "maze" not in words_of_code('"""The maze."""')


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
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_importing_the_environments_starts_no_simulator():
    modules = _modules_after(
        "import pluralbench, gymnasium; assert 'pluralbench/MazeNavigation-v0' in gymnasium.registry"
    )
    assert "pluralbench" in modules
    started = modules & {"mujoco", "pybullet", "habitat_sim", "habitat", "torch", "matplotlib", "minari"}
    assert not started
