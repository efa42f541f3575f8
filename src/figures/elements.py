"""What all figures have in common: inks that read on light and on dark, entries of legends, and the files."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.patches import Polygon as PathPolygon
from PIL import Image

from src.runs.folder import write_whole

INK = "#767676"  # text and axes: the grey that stands out from white as much as from black
FAINT = (0.5, 0.5, 0.5, 0.3)  # grids, circles, bands
THEME: dict[str, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": FAINT,
    "svg.hashsalt": "the same figure is the same file",
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
    ),
}
styled = rc_context(THEME)  # type: ignore[arg-type]  # decorates what makes a figure
SHARPER = 2  # pixels of a PNG for each of the figure's own
N_COLORS = 256  # of a PNG, which makes it a quarter as large
NEAR = 0.045  # labels nearer than this share of the axes' height stand side by side


def legend_patch(color: str, label: str) -> PathPolygon:
    """An entry of a legend."""
    return PathPolygon([(0, 0)], facecolor=color, label=label)


@styled
def png(figure: Figure, sharper: int = SHARPER) -> bytes:
    """The figure as a PNG file's content, transparent, with so many pixels for each of its own in both directions.

    Of 256 colours, and of all where the figure itself has a map of values as colours.
    """
    usual, figure.dpi = figure.dpi, sharper * figure.dpi
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    image = Image.fromarray(np.asarray(canvas.buffer_rgba()))  # type: ignore[no-untyped-call]
    figure.dpi = usual
    buffer = io.BytesIO()
    if not any(isinstance(artist, BboxImage) for artist in figure.artists):
        image = image.quantize(N_COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image.save(buffer, "png")
    return buffer.getvalue()


@styled
def write_figure(path: Path, figure: Figure) -> bytes:
    """Write a figure as `<path>.png` and `<path>.svg`, whatever suffix the path has; returns the PNG's content."""
    content, buffer = png(figure), io.BytesIO()
    figure.set_layout_engine("none")  # what was laid out for the one stays for the other
    pixels = SHARPER * figure.dpi  # of what is drawn as such in the SVG
    figure.savefig(buffer, format="svg", metadata={"Date": None}, dpi=pixels)
    write_whole(path.with_suffix(".png"), content)
    write_whole(path.with_suffix(".svg"), buffer.getvalue())
    return content


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write beside the right edge of the axes what each line is, in its colour; lines that end together share a row.

    Args:
        ends: of each line: the height at which it ends, its label and its colour.
    """
    axes.get_ylim()  # the scale follows the lines only when it is asked for
    to_share = axes.transData + axes.transAxes.inverted()
    rows: list[tuple[float, list[tuple[str, str]]]] = []
    for share, label, color in sorted((float(to_share.transform((0, y))[1]), label, color) for y, label, color in ends):
        if not rows or share - rows[-1][0] > NEAR:
            rows.append((share, []))
        rows[-1][1].append((label, color))
    for share, labels in rows:
        used = 0
        for label, color in sorted(labels, key=lambda own: (len(own[0]), own[0])):
            axes.annotate(
                label,
                (1, share),
                (4 + 6.5 * used, 0),
                xycoords="axes fraction",
                textcoords="offset points",
                color=color,
                fontsize=8.5,
                va="center",
                annotation_clip=False,
            )
            used += len(label)
