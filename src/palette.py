"""The colours of features, the same in pictures, in the terminal and in TensorBoard's charts."""

# What TensorBoard's Time Series tab gives to the lines feature_0, feature_1, ... of the first run it shows.
FEATURE_COLORS = ("#12b5cb", "#e52592", "#f9ab00", "#9334e6", "#7cb342", "#e8710a", "#425066")


def feature_color(feature: int) -> str:
    return FEATURE_COLORS[feature % len(FEATURE_COLORS)]
