"""How well outcomes are foretold: by probabilities, and by numbers of the ring as it trains."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from src.figures.elements import FAINT, INK, styled
from src.figures.palette import FEATURE_COLORS
from src.outcome.scores import Area, Bin
from src.results.rates import rate

COLORS = FEATURE_COLORS[0], FEATURE_COLORS[5]  # of the predictors


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


def draw_areas(axes: Axes, areas: Mapping[str, Mapping[int, Area]]) -> None:
    """Of each number its area under the ROC curve against the step, with its 95 % interval; the first one thick."""
    for k, (name, course) in enumerate(areas.items()):
        color, steps = FEATURE_COLORS[k % len(FEATURE_COLORS)], [*course]
        axes.plot(steps, [own.value for own in course.values()], color=color, linewidth=1.2 if k else 2.6, label=name)
        low, high = ([getattr(own, end) for own in course.values()] for end in ("low", "high"))
        axes.fill_between(steps, low, high, color=color, alpha=0.15, linewidth=0)
    axes.axhline(0.5, color=INK, linewidth=0.8)
    axes.set(xlabel="step", ylabel="area under the ROC curve of its smallness", ylim=(0, 1.02))
    axes.grid(color=FAINT)
    axes.legend(frameon=False, fontsize=8, loc="lower right", ncols=2)
    axes.spines[["top", "right"]].set_visible(False)


@styled
def decided_figure(areas: Mapping[str, Mapping[int, Area]], title: str) -> Figure:
    """On the left the whole run, on the right its first fifth, in which everything happens."""
    figure = Figure(figsize=(10, 4.2), dpi=110, layout="constrained")
    whole, early = figure.subplots(1, 2, sharey=True)
    last = max(step for course in areas.values() for step in course)
    draw_areas(whole, areas)
    draw_areas(early, areas)
    early.set_xlim(0, max(1, last / 5))
    early.set_ylabel("")
    early.get_legend().remove()
    figure.suptitle(f"How well numbers of the ring foretell {title}", fontsize=11)
    return figure


@styled
def calibration_figure(bins: Mapping[str, Sequence[Bin]]) -> Figure:
    figure = Figure(figsize=(6, 4.4), dpi=110, layout="constrained")
    draw_calibration(figure.subplots(), bins)
    return figure
