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
from pluralbench.benchmarks.figures.suite import SuiteResults, read_suite
from pluralbench.benchmarks.results import environments_in
from pluralbench.errors import InputError

FIGURES: dict[str, Callable[[SuiteResults], Figure | None]] = {
    "success": success_figure,
    "curves": curves_figure,
    "diagnostics": diagnostics_figure,
    "answers": answers_figure,
    "reward-maps": reward_maps_figure,
    "latents": latents_figure,
}
"""By the name in the file's: `<environment>-<name>.png`."""


def draw_all(suite_folder: Path, tell: Callable[[str], None] = print, only: str | None = None) -> list[Path]:
    """Draws every figure for which the folder has the numbers, as PNG and PDF; returns the PNG files.

    Args:
        suite_folder: of the suite.
        tell: told in one line of every figure that is left out because what it draws is damaged, or of an environment
            all of whose figures are.
        only: the environment whose figures are drawn; those of all by default.

    Raises:
        ResultsError: the folder holds no results, or success_rates.csv is damaged.
    """
    written = []
    with style():
        for environment in environments_in(suite_folder):
            if only not in (None, environment):
                continue
            try:
                suite = read_suite(suite_folder, environment)
            except InputError as error:
                tell(f"figures of {environment} left out: {error}")
                continue
            for name, draw in FIGURES.items():
                try:
                    figure = draw(suite)
                except InputError as error:
                    tell(f"figure {environment}-{name} left out: {error}")
                    continue
                if figure is not None:
                    written.append(save(figure, suite_folder / f"{environment}-{name}"))
    return written
