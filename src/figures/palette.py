"""The colours, dashes and markers of geometries and of features, the same in every picture, terminal and chart.

Geometries have colours that colour-blind readers can tell apart (after Okabe and Ito), and markers with their number of
corners. A picture is of one number of hidden dimensions, so that solids may have the colours of polygons; those that
are found side by side differ. Features have the colours that TensorBoard gives their curves, of which some cannot be
told apart: in pictures each has its number beside it, in curves a dash too.
"""

from collections.abc import Sequence
from typing import Any

# What TensorBoard's Time Series tab gives to the lines feature_0, feature_1, ... by the link that a run prints.
FEATURE_COLORS = ("#12b5cb", "#e52592", "#f9ab00", "#9334e6", "#7cb342", "#e8710a", "#425066")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.2)), (0, (1, 1)), (0, (6, 1.2, 1, 1.2)))
GEOMETRY_COLORS = {
    "irregular": "#8c8c8c",
    "digon": "#a58b6f",
    "triangle": "#56b4e9",
    "square": "#e69f00",
    "pentagon": "#0072b2",
    "pentagon, same left out": "#0072b2",
    "pentagon, another left out": "#8ec1e6",
    "hexagon": "#009e73",
    "heptagon": "#cc79a7",
    "octagon": "#d55e00",
    "diverged": "#b00020",
}
GEOMETRY_MARKERS = {
    "irregular": "X",
    "digon": "d",
    "triangle": "^",
    "square": "s",
    "pentagon": "p",
    "pentagon, same left out": "p",
    "pentagon, another left out": "P",
    "hexagon": "h",
    "heptagon": "*",
    "octagon": "8",
    "diverged": "x",
}
SOLIDS = {  # outside the plane: colour and marker
    "single": ("#f0e442", "."),
    "antipodal pair": ("#0072b2", "D"),
    "orthogonal pair": ("#a58b6f", "+"),
    "3 orthogonal": ("#f0e442", "3"),
    "digon x single": ("#8c6bb1", "1"),
    "digon x single x single": ("#e69f00", "2"),
    "digon x digon x single": ("#56b4e9", "4"),
    "tetrahedron": ("#0072b2", "^"),
    "triangular bipyramid": ("#d55e00", "d"),
    "octahedron": ("#009e73", "D"),
    "triangular prism": ("#f0e442", "v"),
    "capped octahedron": ("#56b4e9", "<"),
    "pentagonal bipyramid": ("#0072b2", "p"),
    "square antiprism": ("#e69f00", "s"),
    "cube": ("#d55e00", "H"),
    "tricapped triangular prism": ("#cc79a7", ">"),
    "capped square antiprism": ("#0072b2", "P"),
    "sphenocorona": ("#d55e00", "*"),
    "tetracapped triangular prism": ("#f0e442", "8"),
    "gyroelongated square bipyramid": ("#a58b6f", "d"),
    "edge-contracted icosahedron": ("#56b4e9", "h"),
    "gyroelongated pentagonal pyramid": ("#e69f00", "p"),
    "icosahedron": ("#009e73", "o"),
}
OTHER_COLOR, OTHER_MARKER = "#5f6368", "o"  # nine corners and more, and what has no place above
_COLORS = GEOMETRY_COLORS | {name: color for name, (color, _) in SOLIDS.items()}
_MARKERS = GEOMETRY_MARKERS | {name: marker for name, (_, marker) in SOLIDS.items()}


def feature_color(feature: int) -> str:
    return FEATURE_COLORS[feature % len(FEATURE_COLORS)]


def feature_dash(feature: int) -> Any:
    return DASHES[feature % len(DASHES)]


def geometry_color(geometry: str) -> str:
    return _COLORS.get(geometry, OTHER_COLOR)


def geometry_marker(geometry: str) -> str:
    return _MARKERS.get(geometry, OTHER_MARKER)


def geometry_dash(geometry: str) -> Any:
    return DASHES[list(_COLORS).index(geometry) % len(DASHES)] if geometry in _COLORS else "-"


def tint(color: str) -> str:
    """A light version of a colour, for areas."""
    channels = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(255 - 0.5 * (255 - channel)):02x}" for channel in channels)


def luminance(rgb: Sequence[float]) -> float:
    """How bright a colour of red, green and blue, each 0 to 1, looks: 0 to 1 (ITU-R BT.709's weights)."""
    red, green, blue = rgb[:3]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
