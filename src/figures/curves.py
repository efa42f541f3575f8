"""The post's Figures 8 to 12 of a run's own instances: norms, gradient norms, losses and learned features by step."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from torch import Tensor

from src.figures.elements import FAINT, INK, label_ends, styled
from src.figures.palette import feature_color, feature_dash
from src.geometry.polygons import count_directions
from src.runs.charts import N_LINES
from src.theory.post import PENTAGON_NORM

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
STEP_TICKS = (0, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
APART = 0.085  # of the axis, between two labelled steps
COLUMN_INCHES, ROW_INCHES = 4.1, (2.6, 2.1, 2.4, 1.1)
MARGINS = {"left": 0.95, "right": 1.2, "top": 0.45, "bottom": 0.55}  # in inches; labels stand at the right
FEATURE_WIDTH, OVERALL_WIDTH = 1.3, 2.0
End = tuple[float, str, str]  # where a line ends, its label and its colour


def draw_by_step(axes: Axes, steps: Sequence[int]) -> None:
    """A step axis on which equal lengths are equal growths of the step's square root: the beginning has room."""
    last = max(steps[-1], 1)
    axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    ticks = [last]
    for tick in reversed(STEP_TICKS):
        if np.sqrt(ticks[0]) - np.sqrt(tick) >= APART * np.sqrt(last):
            ticks.insert(0, tick)
    axes.set_xticks(ticks, minor=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.set_xlim(0, last)
    axes.grid(color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def draw_features(axes: Axes, steps: Sequence[int], values: Float[Tensor, "record feature"]) -> list[End]:
    """A line a feature, in its colour and with a dash, or of more than 16 the median and bands; returns their ends."""
    finite = values.isfinite().all(dim=1).numpy()
    x, y = np.array(steps)[finite], values.double().numpy()[finite]
    if len(x) == 0:
        return []
    if y.shape[1] <= N_LINES:
        for i in range(y.shape[1]):
            axes.plot(x, y[:, i], color=feature_color(i), linestyle=feature_dash(i), linewidth=FEATURE_WIDTH)
        return [(float(y[-1, i]), str(i), feature_color(i)) for i in range(y.shape[1])]
    lowest, low, middle, high, highest = np.quantile(y, QUANTILES, axis=1)
    axes.fill_between(x, lowest, highest, color=feature_color(0), alpha=0.15, linewidth=0)
    axes.fill_between(x, low, high, color=feature_color(0), alpha=0.3, linewidth=0)
    axes.plot(x, middle, color=feature_color(0))
    return [(float(middle[-1]), "median", feature_color(0))]


def draw_norms(axes: Axes, steps: Sequence[int], norms: Float[Tensor, "record feature"]) -> list[End]:
    """The columns' lengths, that of the whole of W, and the post's limit for it."""
    ends = draw_features(axes, steps, norms)
    whole = norms.norm(dim=1).tolist()
    axes.plot(steps, whole, color=INK, linewidth=OVERALL_WIDTH)
    axes.axhline(PENTAGON_NORM, color=INK, linewidth=0.8, linestyle=":")
    return [*ends, (whole[-1], "W", INK), (PENTAGON_NORM, "√5", INK)]


def draw_losses(axes: Axes, steps: Sequence[int], losses: Float[Tensor, "record feature"]) -> list[End]:
    """The features' losses and their mean."""
    ends = draw_features(axes, steps, losses)
    mean = losses.mean(dim=1).tolist()
    axes.plot(steps, mean, color=INK, linewidth=OVERALL_WIDTH)
    return [*ends, (mean[-1], "mean", INK)]


def draw_n_learned(axes: Axes, steps: Sequence[int], W: Float[Tensor, "record hidden feature"]) -> list[End]:
    """How many features have a direction of their own."""
    axes.step(steps, count_directions(W).tolist(), where="post", color=INK, linewidth=OVERALL_WIDTH)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return []


@styled
def curves_figure(trajectory: Mapping[str, Tensor], names: Sequence[str]) -> Figure:
    """A column an instance, a row a quantity, each row on one scale.

    Args:
        trajectory: tensors as `callbacks.trajectory` records them.
        names: of the instances.
    """
    steps, W = trajectory["steps"].tolist(), trajectory["W"].float()
    norms, gradients, losses = W.norm(dim=2), trajectory["gradient_norms"], trajectory["feature_losses"]
    labels = (
        "length of the columns of W,\nand of all of W",
        "gradient norm, mean since\nthe last record",
        "loss of each feature,\nand their mean",
        "features\nlearned",
    )
    width, height = MARGINS["left"] + COLUMN_INCHES * len(names), sum(ROW_INCHES) + MARGINS["top"] + MARGINS["bottom"]
    figure = Figure(figsize=(width, height), dpi=100)
    panels = figure.subplots(4, len(names), squeeze=False, sharex=True, sharey="row", height_ratios=ROW_INCHES)
    figure.subplots_adjust(
        left=MARGINS["left"] / width,
        right=1 - MARGINS["right"] / width,
        top=1 - MARGINS["top"] / height,
        bottom=MARGINS["bottom"] / height,
        wspace=MARGINS["right"] / (COLUMN_INCHES - MARGINS["right"]),
        hspace=0.1,
    )
    ends: list[tuple[Axes, list[End]]] = []
    for k, name in enumerate(names):
        column: list[Axes] = panels[:, k].tolist()
        for axes, label in zip(column, labels, strict=True):
            draw_by_step(axes, steps)
            if k == 0:
                axes.set_ylabel(label, fontsize=9)
        ends.append((column[0], draw_norms(column[0], steps, norms[:, k])))
        ends.append((column[1], draw_features(column[1], steps, gradients[:, k])))
        column[1].set_yscale("log")
        column[1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        column[1].yaxis.set_major_formatter(FuncFormatter(lambda norm, _: f"{norm:g}"))
        column[1].yaxis.set_minor_locator(NullLocator())
        ends.append((column[2], draw_losses(column[2], steps, losses[:, k])))
        ends.append((column[3], draw_n_learned(column[3], steps, W[:, k])))
        column[0].set_title(textwrap.fill(name, 40), fontsize=11)
        column[3].set_xlabel("step, on a square-root scale", fontsize=9)
    for axes, own in ends:
        label_ends(axes, own)  # now that the scales are known
    return figure
