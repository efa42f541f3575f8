"""The command and the link that open a run in TensorBoard as it should be seen."""

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote, urlencode

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.text import Text

from src.runs.charts import charts_of
from src.runs.folder import run_folder

CHARTS = ("geometry_share", "dimensionality", "frobenius_norm", "gradient_norm", "feature_loss", "loss", "n_learned")
PICTURES = ("Pictures/examples", "Pictures/polygons")
# A colour a line, and the run's own; limits and quantiles are grey.
COLORS = r"regex:{version}((?!.*(?:sqrt_5|percent)).*)$"


def where_to_look(trainer: Trainer) -> list[Text]:
    """After a fit: the pictures that it left, and how to see its charts."""
    charts, folder = charts_of(trainer), run_folder(trainer)
    lines = [Text(f"pictures: {', '.join(charts.files)} in {folder}")] if charts.files else []
    if charts.folder is not None:
        (logger, *_) = (logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger))
        logdir = Path(os.path.expandvars(logger.save_dir)).expanduser()  # as Lightning does for the run folder
        if not charts.folder.is_relative_to(logdir):  # the logger's name is the path of another place
            logdir = charts.folder.parent
        lines.append(Text.assemble("see it in TensorBoard:  ", (command(logdir), "bold")))
        lines.append(Text(f"and open there:  {link(logdir, charts.folder, charts.tags)}"))
    elif charts.loggers:
        kinds = " and ".join(type(logger).__name__ for logger in charts.loggers)
        lines.append(Text(f"curves: in {kinds}; tables and pictures: in {folder}"))
    else:
        lines.append(Text(f"There is no logger: the run is recorded in {folder} alone."))
    return lines


def command(logdir: Path) -> str:
    """`--samples_per_plugin` keeps every picture of the slider, of which TensorBoard otherwise shows ten."""
    return f"tensorboard --logdir {logdir} --samples_per_plugin images=500"


def link(logdir: Path, folder: Path, tags: Collection[str], port: int = 6006) -> str:
    """The address of a run: its lines alone, in the pictures' colours, not smoothed, the post's charts pinned.

    Args:
        logdir: what TensorBoard was started with.
        folder: of the run.
        tags: of its charts and pictures; of a chart with several, that of the whole stack or the first is pinned.
    """
    run = folder.relative_to(logdir).as_posix()
    pins: list[dict[str, object]] = []
    for picture in PICTURES:
        if picture in tags:
            pins.append({"plugin": "images", "tag": picture, "runId": f"defaultExperimentId/{run}", "sample": 0})
    for chart in CHARTS:
        own = [tag for tag in tags if tag == chart or tag.startswith(f"{chart}/")]
        if own:
            pins.append({"plugin": "scalars", "tag": f"{chart}/all" if f"{chart}/all" in own else own[0]})
    version = r"version_\d+" if re.fullmatch(r"version_\d+", folder.name) else re.escape(folder.name)
    version = "^" if run == "." else version  # then lines are named without the run
    settings = {
        **({} if run == "." else {"runFilter": f"^{re.escape(run)}(/|$)"}),
        "smoothing": 0,
        "runColorGroup": COLORS.format(version=version),
        "pinnedCards": json.dumps(pins, separators=(",", ":")),
    }
    return f"http://localhost:{port}/?{urlencode(settings, quote_via=quote, safe='/:,()')}#timeseries"
