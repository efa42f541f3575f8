"""How far the waves of a growing star grow with it."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.figures.elements import FAINT, INK, styled
from src.figures.palette import FEATURE_COLORS
from src.theory.growth import Growth

WAVES = {1: "dipole, q = 1", 2: "quadrupole, q = 2"}
DASHED = ("-", "--", ":", "-.")


def draw_growth(axes: Axes, courses: Mapping[float, Growth]) -> None:
    """The gain of each wave against the radius of the star; a p has a kind of line, a wave a colour."""
    for (p, own), dashes in zip(courses.items(), DASHED * len(courses), strict=False):
        for q in range(own.gains.shape[1]):
            label = WAVES.get(q + 1, f"q = {q + 1}") + (f", p = {p:g}" if len(courses) > 1 else "")
            color = FEATURE_COLORS[q % len(FEATURE_COLORS)]
            axes.plot(own.radii, own.gains[:, q], color=color, linestyle=dashes, linewidth=1.8, label=label)
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.set(xlabel="radius of the star, as it grows", ylabel="gain of the wave, over that of the star")
    axes.grid(color=FAINT)
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


@styled
def growth_figure(courses: Mapping[float, Growth], title: str) -> Figure:
    figure = Figure(figsize=(6.4, 4.4), dpi=110, layout="constrained")
    draw_growth(figure.subplots(), courses)
    figure.suptitle(f"{title}: waves of a star under gradient flow", fontsize=11)
    return figure
