"""The figures, drawn from the files of a suite's folder alone: any can be drawn again without running anything.

A new figure is a file here with a function from `SuiteResults` to a figure, or to None where the folder has nothing for
it, and a line in `FIGURES`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from pluralbench.benchmarks.figures.answers import answers_figure
from pluralbench.benchmarks.figures.curves import curves_figure
from pluralbench.benchmarks.figures.diagnostics import diagnostics_figure
from pluralbench.benchmarks.figures.latents import latents_figure
from pluralbench.benchmarks.figures.reward_maps import reward_maps_figure
from pluralbench.benchmarks.figures.style import save, style
from pluralbench.benchmarks.figures.success import success_figure
from pluralbench.benchmarks.figures.suite import SuiteResults, read_suites

FIGURES: dict[str, Callable[[SuiteResults], Figure | None]] = {
    "success": success_figure,
    "curves": curves_figure,
    "diagnostics": diagnostics_figure,
    "answers": answers_figure,
    "reward-maps": reward_maps_figure,
    "latents": latents_figure,
}
"""By the name in the file's: `<environment>-<name>.png`."""


def draw_all(suite_folder: Path) -> list[Path]:
    """Draws every figure for which the folder has the numbers, as PNG and PDF; returns the PNG files.

    Raises:
        ResultsError: the folder holds no results.
    """
    written = []
    with style():
        for suite in read_suites(suite_folder):
            for name, draw in FIGURES.items():
                figure = draw(suite)
                if figure is not None:
                    written.append(save(figure, suite_folder / f"{suite.environment}-{name}"))
    return written
