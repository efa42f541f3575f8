"""How well probabilities agree with what came true."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from src.figures.elements import FAINT, INK, styled
from src.outcome.scores import Bin
from src.results.rates import rate

COLORS = ("#12b5cb", "#e8710a")


def draw_calibration(axes: Axes, bins: Mapping[str, Sequence[Bin]]) -> None:
    """Each bin of each predictor: the share that came true, with its 95 % interval, against what was foretold."""
    most = max(own.foretold for parts in bins.values() for own in parts)
    axes.plot([0, most], [0, most], color=INK, linewidth=1, linestyle=":", label="as foretold")
    for (name, parts), color in zip(bins.items(), COLORS, strict=False):
        rates = [rate(own.n_true, own.n) for own in parts]
        shares = [own.share for own in rates]
        wide = [[own.share - own.low for own in rates], [own.high - own.share for own in rates]]
        axes.errorbar([own.foretold for own in parts], shares, wide, fmt="o-", color=color, label=name, capsize=2)
    axes.set(xlabel="probability of a hexagon, foretold from the initial W", ylabel="share that became hexagons")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(color=FAINT)
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


@styled
def calibration_figure(bins: Mapping[str, Sequence[Bin]]) -> Figure:
    figure = Figure(figsize=(6, 4.4), dpi=110, layout="constrained")
    draw_calibration(figure.subplots(), bins)
    return figure
