"""The colours of geometries and of features, the same in every picture, in the terminal and in charts."""

# What TensorBoard's Time Series tab gives to the lines feature_0, feature_1, ... of the first run it shows.
FEATURE_COLORS = ("#12b5cb", "#e52592", "#f9ab00", "#9334e6", "#7cb342", "#e8710a", "#425066")
GEOMETRY_COLORS = {
    "irregular": "#9aa0a6",
    "digon": "#80624d",
    "triangle": "#c5221f",
    "square": "#e8a33d",
    "pentagon": "#4a7fc1",
    "pentagon, same left out": "#4a7fc1",
    "pentagon, another left out": "#a9c4e6",
    "hexagon": "#3f9b6b",
    "heptagon": "#8e5bb5",
    "octagon": "#d0679d",
}
OTHER_COLOR = "#202124"  # nine corners and more


def feature_color(feature: int) -> str:
    return FEATURE_COLORS[feature % len(FEATURE_COLORS)]


def geometry_color(geometry: str) -> str:
    return GEOMETRY_COLORS.get(geometry, OTHER_COLOR)


def tint(color: str) -> str:
    """A light version of a colour, for areas."""
    channels = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(255 - 0.5 * (255 - channel)):02x}" for channel in channels)
