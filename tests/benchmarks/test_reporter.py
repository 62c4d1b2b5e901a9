"""What is printed is shown as it stands."""

import io

import pytest
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from pluralbench.benchmarks.figures.style import save, style
from pluralbench.benchmarks.reporter import Reporter

TEXT = "[/x] [bold]results[/bold] :cat: [red]"


def test_lines_stages_and_tables_show_every_letter(capsys):
    reporter = Reporter()
    reporter.line(TEXT)
    with reporter.stage(TEXT):
        pass
    table = Table(TEXT, title=TEXT)
    table.add_row(TEXT)
    reporter.console.print(table)
    assert capsys.readouterr().out.count(TEXT) == 5


def test_a_progress_bar_shows_every_letter():
    terminal = io.StringIO()
    with Reporter(Console(file=terminal, force_terminal=True, width=120)).stage(TEXT) as progress:
        progress(1, 2)
    assert TEXT in terminal.getvalue()


def test_a_line_stays_one_however_long(capsys):
    Reporter().line("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_output_that_nobody_reads_is_for_the_command_line_to_answer(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(BrokenPipeError):
        Reporter().line("x")


def test_figures_show_every_letter_too(tmp_path):
    """Formerly a dollar in a group's name was taken for mathematics, after the whole run."""
    with style():
        figure = Figure()
        axes = figure.subplots()
        axes.plot([0, 1], label=r"$\frac$")
        axes.set_xticks([0, 1], [r"$\frac$", "a$b$"])
        axes.legend(title=TEXT)
        path = save(figure, tmp_path / "figure")
    assert path.stat().st_size > 1_000
