"""What several figures have in common: an entry of a legend, and the picture file."""

import io

from matplotlib.figure import Figure
from matplotlib.patches import Polygon as PathPolygon


def legend_patch(color: str, label: str) -> PathPolygon:
    """An entry of a legend."""
    return PathPolygon([(0, 0)], facecolor=color, label=label)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's content."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    return buffer.getvalue()
