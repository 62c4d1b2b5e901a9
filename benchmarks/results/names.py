"""What may stand in a file of results as a name or as a line of text, and the error of all such files."""

from __future__ import annotations

from pluralbench.errors import InputError
from pluralbench.lines import is_one_line, shown

LONGEST_NAME = 200
"""Bytes of a name that folders and files are called by; systems allow 255, and `-reward-maps.npz` must fit behind."""
LONGEST_TEXT = 1_000
"""Characters of any other text in a table."""


class ResultsError(InputError):
    """A folder or a file that holds no results, or damaged ones; one line that says what was expected where."""


def check_text(text: str, what: str) -> str:
    """Gives `text` back if it can stand on one line of a table.

    Raises:
        ResultsError: it is empty, has control characters or line breaks, no UTF-8 or more than `LONGEST_TEXT`
            characters.
    """
    if not text.strip():
        raise ResultsError(f"{what} is empty")
    if len(text) > LONGEST_TEXT:
        raise ResultsError(f"{what} has {len(text)} characters, at most {LONGEST_TEXT} are allowed")
    if not is_one_line(text):
        raise ResultsError(f"{what} holds a control character or a line break: {shown(text)}")
    return text


def check_name(text: str, what: str) -> str:
    """Gives `text` back if a folder can be called so and it leads nowhere else.

    Raises:
        ResultsError: it is no text for one line, has separators, is `.` or `..`, or is longer than `LONGEST_NAME`.
    """
    check_text(text, what)
    if "/" in text or "\\" in text or text in (".", "..") or len(text.encode()) > LONGEST_NAME:
        raise ResultsError(f"{what} must name one folder, without slashes and in {LONGEST_NAME} bytes: {shown(text)}")
    return text
