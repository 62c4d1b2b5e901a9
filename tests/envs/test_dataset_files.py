"""Where a dataset that is named on the command line lies."""

import sys

import pytest

from pluralbench.envs.dataset_files import dataset_file
from pluralbench.envs.transitions import DatasetError


@pytest.mark.parametrize(
    ("code", "reason"),
    [("import nothing", "No module named 'nothing'"), ("raise Exception('\\nno MuJoCo\\nread this')", "no MuJoCo")],
)
def test_a_d4rl_that_cannot_be_imported_is_one_line(code, reason, tmp_path, monkeypatch):
    """It is installed without MuJoCo 2.1: mujoco-py then raises an `Exception` of many lines."""
    (tmp_path / "d4rl").mkdir()
    (tmp_path / "d4rl" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "d4rl"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(DatasetError, match=rf"cannot be imported \({reason}\)") as caught:
        dataset_file("d4rl:maze2d-large-v1")
    assert "\n" not in str(caught.value)
