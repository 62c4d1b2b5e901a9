"""Messages are one line, whatever is put into them."""

import pytest

from pluralbench.lines import is_one_line, one_line, plain, shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n\tb\r\nc", "a b c"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202eturned\udc80", "\\u202eturned\\udc80"),
        ("naïve → 日本", "naïve → 日本"),
    ],
)
def test_a_line_has_no_breaks_and_no_control_characters(text, line):
    assert one_line(text) == line


def test_what_is_long_is_cut_in_its_middle():
    assert one_line("a" * 5000) == "a" * 150 + "...(5000 letters)..." + "a" * 150
    line = one_line("word " * 5000)
    assert len(line) < 1_600
    assert line.startswith("word word")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "'x'"),
        (10**5000, "a number of about 5000 digits"),
        ([10**5000], "a list with a very long number"),
        ("y" * 500, "'" + "y" * 79 + "... (502 letters)"),
    ],
    ids=["short", "number", "list", "text"],
)
def test_values_are_shown_in_few_letters(value, text):
    assert shown(value) == text


@pytest.mark.parametrize("text", ["a\nb", "a\x85b", "a\u2028b", "\udc80", "\x00"])
def test_breaks_of_every_kind_are_known(text):
    assert not is_one_line(text)
    assert is_one_line("(7, 1) [bold] $x$ ü")


def test_what_is_shown_is_one_short_line():
    assert plain("möchte") == "möchte"
    assert plain("a\nb\x1b[2J\ud800") == r"a\nb\x1b[2J\ud800"
    assert plain("x" * 100, 10) == "x" * 10 + "..."
    assert len(plain("\0" * 10**6)) < 100
