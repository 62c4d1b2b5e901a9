"""Tables as csv, which people read, edit and share: every line is looked at, and an error names its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pluralbench.benchmarks.results.names import ResultsError
from pluralbench.errors import DamagedFileError
from pluralbench.files import read_text, replace_file

_BYTE_ORDER_MARK = "\ufeff"
"""With which spreadsheets begin a text in UTF-8."""


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a header and rows, all of it or nothing."""
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def read_table(
    path: Path, columns: Sequence[str], refused: Mapping[tuple[str, ...], str] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header with the number of their line, as text; empty lines are passed over.

    Args:
        path: of the table.
        columns: that it must have.
        refused: by columns that it had once, what to say of them.

    Raises:
        ResultsError: no such file, no UTF-8, no csv, other columns, or a row of another length.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        found = tuple(next(reader, ()))
        if found != tuple(columns):
            reason = (refused or {}).get(found) or f"expected the columns {','.join(columns)}"
            raise ResultsError(f"{path}, line 1: {reason}")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(columns):
                raise ResultsError(f"{path}, line {reader.line_num}: {len(cells)} cells, expected {len(columns)}")
            yield reader.line_num, cells
    except csv.Error as error:
        raise ResultsError(f"{path}, line {reader.line_num}: {error}") from error


def _text(path: Path) -> str:
    try:
        text = read_text(path)
    except DamagedFileError as error:
        raise ResultsError(str(error)) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ResultsError(f"{path}, line {line}: holds a NUL byte, which is no text")
    return text.removeprefix(_BYTE_ORDER_MARK)
