"""Worker processes: started without running the script again, ended with whoever started them."""

import os
import subprocess
import sys
from functools import partial
from operator import mod, truediv

import pytest

from pluralbench.envs.processes import Process, ProcessEndedError, mapped

SCRIPT = """
import os
print("run", flush=True)
import pluralbench.envs.processes as p
from operator import mod
from functools import partial
print(list(p.mapped(partial(mod, 100), [7, 8, 9], 2)))
import gymnasium, pluralbench
vector = gymnasium.make_vec("pluralbench/RavensManipulation-v0", num_envs=2, num_workers=2)
print(vector.reset(seed=0)[0].shape)
vector.close()
"""


def test_results_come_in_order_whoever_computes_them():
    numbers = list(range(1, 40))
    assert list(mapped(partial(mod, 1000), numbers, 3)) == [1000 % number for number in numbers]
    assert list(mapped(partial(mod, 1000), numbers, 1)) == [1000 % number for number in numbers]
    assert list(mapped(partial(mod, 1000), [], 3)) == []


def test_what_is_raised_there_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        list(mapped(partial(truediv, 1.0), [1.0, 0.0, 2.0], 2))


def test_what_cannot_be_sent_back_is_told_in_words():
    with pytest.raises(RuntimeError, match="TypeError: cannot pickle"):
        list(mapped(open, ["/dev/null", "/dev/null"], 2))


def test_a_process_that_is_killed_is_one_line():
    with pytest.raises(ProcessEndedError, match="worker process ended with exit code 9"):
        list(mapped(os._exit, [9, 9], 2))


def test_a_process_ends_with_the_one_that_started_it():
    process = Process("pluralbench.envs.processes:serve_calls")
    assert process.is_running
    process.connection.close()
    process.close()
    process.close()
    assert not process.is_running


def test_a_script_needs_no_guard_and_is_run_once(tmp_path):
    """Formerly every worker ran it again and ended in a traceback of its own; and PyBullet said when it was built."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("run\n[2, 4, 1]\n(2, 7)\n", "")
