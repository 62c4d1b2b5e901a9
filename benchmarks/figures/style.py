"""How every figure looks: colours, lines, fonts, and how it is written. No display is needed, and none is opened."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pluralbench.files import replace_file

# Okabe and Ito's palette, distinguishable with any colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
MAX_IN_LEGEND = 20
"""More entries than these are left out: a legend is no longer than its figure."""
TITLE_SIZE = 8.5
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "figure.dpi": 130,
    "pdf.fonttype": 42,  # fonts that journals accept
    "text.parse_math": False,  # a group may be called $x
}


def style() -> AbstractContextManager[None]:
    """Within it, figures are made and saved in the common style."""
    return mpl.rc_context(_STYLE)


def line_style(position: int, dashed: bool = False) -> dict[str, Any]:
    """Colour and dashes of the line at this position: solid until the palette is through, then dots and dashes.

    A `dashed` line looks like none that is not, and the next one's dashes lie in its gaps where the two coincide.
    """
    later = position // len(PALETTE)
    dashes: Any = ("-", "-.", ":")[later % 3]
    if dashed:
        dashes = (2.5 * (position % 2), ((2.5, 2.5), (5, 1, 1, 1, 1, 1))[later % 2])
    return {"color": PALETTE[position % len(PALETTE)], "linestyle": dashes, "linewidth": 1.6}


def shown_of(shown: int, there_are: int) -> str:
    """How many groups of users a figure shows, for its title."""
    return f"{shown} of {there_are} groups" if shown < there_are else f"all {there_are} groups"


def success_axis(axes: Axes, label: str = "success rate") -> None:
    """A vertical axis from 0 to 1, with room for marks at its ends."""
    axes.set_ylim(-0.02, 1.04)
    axes.set_ylabel(label)


def legend_beside(axes: Axes, title: str | None = None, size: float = 8) -> None:
    """A legend to the right of the axes, unless it has more than `MAX_IN_LEGEND` entries."""
    handles, labels = axes.get_legend_handles_labels()
    if 0 < len(labels) <= MAX_IN_LEGEND:
        axes.legend(
            handles, labels, title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=size, title_fontsize=8,
            handlelength=2.5,
        )  # fmt: skip


def save(figure: Figure, stem: Path) -> Path:
    """Writes `stem`.png and `stem`.pdf, the same bytes for the same figure; returns the former."""
    png = stem.with_name(stem.name + ".png")
    with replace_file(png) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight", metadata={"Software": None})
    with replace_file(stem.with_name(stem.name + ".pdf")) as temporary:
        figure.savefig(temporary, format="pdf", bbox_inches="tight", metadata={"CreationDate": None})
    return png
