"""Texts and values on one line, for messages: whatever they hold, and however long they are."""

from __future__ import annotations

import math
import re

LONGEST_WORD, LONGEST_LINE = 300, 1_500
"""Letters of one word and of a whole line that are shown; what is longer is cut in its middle."""
LONGEST_VALUE = 80
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_one_line(text: str) -> bool:
    """Whether a text has no line breaks, no other control characters, and only letters that there are."""
    return not _NOT_IN_A_LINE.search(text)


def one_line(text: str) -> str:
    """A text as one line on any terminal: white space is a space, control characters are spelled out, much is cut."""
    words = (_cut(word, LONGEST_WORD) for word in text.split())
    line = _cut(" ".join(words), LONGEST_LINE)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)


def shown(value: object, longest: int = LONGEST_VALUE) -> str:
    """A value as Python writes it, or the beginning of that."""
    if isinstance(value, int) and abs(value).bit_length() > 4 * longest:  # Python refuses to write the longest ones
        return f"a number of about {round(abs(value).bit_length() * math.log10(2))} digits"
    try:
        text = repr(value)
    except ValueError:  # with a longest one somewhere in it
        return f"a {type(value).__name__} with a very long number"
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} letters)"


def kind_of(value: object) -> str:
    """The type of a value with its article: `a Users`, `an int`."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeio' else 'a'} {name}"


def plain(text: object, longest: int = LONGEST_VALUE) -> str:
    """Text from elsewhere as it may stand in a message or on a terminal: one line, printable, not long."""
    line = str(text)
    if len(line) <= longest and line.isprintable():
        return line
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[: longest + 1])
    return line if len(line) <= longest else f"{line[:longest]}..."


def _cut(text: str, most: int) -> str:
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}...({len(text)} letters)...{text[-half:]}"
