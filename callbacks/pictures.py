"""Pictures that several callbacks show: in the run folder, in the charts and in the terminal."""

from lightning import Trainer
from matplotlib.figure import Figure
from rich.columns import Columns
from rich.console import Console, Group
from rich.text import Text

from src.figures.elements import SHARPER, png, write_figure
from src.figures.terminal import polygon_text
from src.model import ToyModel
from src.runs.charts import charts_of
from src.runs.folder import run_folder


def add_figure(
    trainer: Trainer, file: str, figure: Figure, sharper: int = SHARPER, in_charts: Figure | None = None
) -> None:
    """Write a figure to this file of the run folder, as SVG and as PNG whatever its suffix, and to the charts.

    Args:
        sharper: pixels of the picture in the charts, for each of the figure's own, in both directions.
        in_charts: another figure that the charts get in its place.
    """
    path = run_folder(trainer) / file
    content = write_figure(path, figure)
    if in_charts is not None or sharper != SHARPER:
        content = png(in_charts or figure, sharper)
    charts_of(trainer).add_png(path.stem, content, trainer.global_step)
    charts_of(trainer).files.append(path.with_suffix(".svg").name)


def has_braille(console: Console) -> bool:
    """Whether the console has the characters of which polygons are drawn."""
    return console.encoding.lower().startswith("utf")


def polygons(model: ToyModel, n_shown: int) -> Columns:
    """The first instances' polygons, side by side, each below its name."""
    shown = [
        Group(Text(picture_name(model, i)), polygon_text(model.columns[i]))
        for i in range(min(n_shown, model.n_instances))
    ]
    return Columns(shown, padding=(0, 1))


def picture_name(model: ToyModel, instance: int) -> str:
    """What a picture of an instance's columns is called."""
    return model.instance_names[instance] + (f", columns{of_W(model)}" if of_W(model) else "")


def of_W(model: ToyModel) -> str:  # noqa: N802
    """What is added to a name where other columns than W's could be meant: of an untied model, W's are shown."""
    others = any(own.shape == model.W.shape for own in model.further_parameters.values())
    return " of W" if others and model.columns is model.W else ""
