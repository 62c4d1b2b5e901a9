"""How every figure looks: colours, lines, fonts, and how it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

# Okabe and Ito's palette, distinguishable with any colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "figure.dpi": 130,
    "svg.hashsalt": "pluralbench",
}


def line_style(position: int) -> dict[str, Any]:
    """Colour and dashes of the line at this position: solid until the palette is through, then dashed."""
    dashes = ("-", "--", ":")[position // len(PALETTE) % 3]
    return {"color": PALETTE[position % len(PALETTE)], "linestyle": dashes, "linewidth": 1.6}


def save(figure: Figure, stem: Path) -> Path:
    """Writes `stem`.png and `stem`.svg, without a date, so that the same numbers give the same file."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    png = stem.with_name(stem.name + ".png")
    figure.savefig(png, bbox_inches="tight", metadata={"Software": None})
    figure.savefig(stem.with_name(stem.name + ".svg"), bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return png
