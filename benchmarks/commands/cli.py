"""The command line: `pluralbench`, `python -m pluralbench`, in the checkout also `python -m benchmarks`.

Exit codes and the one line that stands beside them are those of `faults`. Nothing of weight is imported here, so that
Ctrl-C is answered from the first moment on; what a command needs is imported when it runs, so that `--help` answers at
once.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from pluralbench.benchmarks.commands.faults import Ending


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    ending = Ending()
    with ending:
        from pluralbench.benchmarks.commands.parser import make_parser

        options = make_parser().parse_args(arguments)
        module, _, name = options.run.partition(":")
        command = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        ending.work_begins(can_resume=hasattr(options, "resume"))
        command(options)
    return ending.exit_code
