"""success_rates.csv made again where it is damaged or lacks rows: finished runs say themselves how they ended."""

from __future__ import annotations

from pathlib import Path

from pluralbench.benchmarks import results
from pluralbench.benchmarks.results.runs import rates_of, run_folders
from pluralbench.benchmarks.results.success_rates import FILE
from pluralbench.benchmarks.stages.session import Session

DAMAGED = f"{FILE}.damaged"
"""What a damaged table is called once there is another one: a person may have worked in it."""


def mend_rates(session: Session, environment: str) -> None:
    """Puts rows of finished runs that are missing or changed back, of all environments where no line can be read."""
    folder, tell = session.folder, session.reporter.line
    environments, is_damaged = [environment], False
    try:
        rows = results.read_rows(folder)
    except results.ResultsError as error:
        rows, environments, is_damaged = [], _environments(folder), True
        tell(f"{error}: made again from the runs, the damaged one is kept as {DAMAGED}")
        (folder / FILE).replace(folder / DAMAGED)
    found = []
    for name in environments:
        for method, seed, place in run_folders(folder, name):
            try:
                own = rates_of(place, name, method, seed)
            except results.ResultsError:
                continue  # not finished, or damaged: it is run again, or told of as missing
            there = [row for row in rows if (row.environment, row.method, row.seed) == (name, method, seed)]
            if sorted(there, key=lambda row: row.user) != sorted(own, key=lambda row: row.user):
                found += own
                if not is_damaged:
                    tell(f"{method} seed {seed}: its rows in {FILE} are missing or others than its files say: put back")
    if found:
        results.merge_success_rates(folder, found)


def _environments(suite_folder: Path) -> list[str]:
    return sorted(path.name for path in suite_folder.iterdir() if path.is_dir() and not path.name.startswith("."))
