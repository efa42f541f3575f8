"""Charts with one coloured line a feature, for TensorBoard and for Lightning's other loggers.

TensorBoard colours a curve by its run, not by its tag: six features in one chart come out in six colours only when each
is a sub-run of its own with the same tag. So a *line* here is a sub-run of the run folder (`feature_0`, ...), a *chart*
is a tag, and every callback of a run shares one set of files. What belongs to no single line is in the run folder
itself. Other loggers take the same values as metrics, `<chart>/<line>` or `<chart>/overall`, and pictures where they
have `log_image`.
"""

import contextlib
import io
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from lightning import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DataClass, Summary
from torch import Tensor
from torch.utils.tensorboard.summary import histogram, hparams, text

from src.runs.descriptions import description
from src.runs.event_file import EventFile

OVERALL = ""  # the line of what belongs to no single feature: the run itself
N_LINES = 16  # features that are charted one by one; each has files of its own
N_BINS = 100  # of a histogram
N_SHOWN = 5  # settings in TensorBoard's HPARAMS, until more are chosen
SPREAD = {"lowest_5_percent": 0.05, OVERALL: 0.5, "highest_5_percent": 0.95}  # lines, and their quantiles
PLUGINS = {
    "simple_value": ("scalars", DataClass.DATA_CLASS_SCALAR),
    "image": ("images", DataClass.DATA_CLASS_BLOB_SEQUENCE),
    "histo": ("histograms", DataClass.DATA_CLASS_TENSOR),
}  # by the kind of a value
FLUSH_SECONDS = 5  # how often files are brought up to date; a step's points come with the next step's


class Charts:
    """The event files of one run, or of none: without a folder and without loggers everything written is dropped."""

    def __init__(self, folder: Path | None, loggers: Sequence[Logger] = ()) -> None:
        self.folder = folder
        self.loggers = loggers
        self.tags: dict[str, None] = {}  # lines and pictures that have been written, in order
        self.files: list[str] = []  # pictures in the run folder
        self._files: dict[str, EventFile] = {}
        self._values: dict[str, list[Summary.Value]] = {}
        self._metrics: dict[str, float] = {}
        self._described: set[tuple[str, str]] = set()
        self._step = 0
        self._flush_at = 0.0

    def add_lines(self, chart: str, lines: Mapping[str, float], step: int) -> None:
        """Add a point to each line of a chart."""
        for line, value in lines.items():
            self._add(line, Summary.Value(tag=chart, simple_value=value), step)
            self._metrics[f"{chart}/{line or 'overall'}"] = value  # no name is the folder of another

    def add_features(self, chart: str, values: Float[Tensor, " feature"], step: int) -> None:
        """Add a value of every feature: a line for each, or of more than 16 their distribution."""
        if len(values) <= N_LINES:
            self.add_lines(chart, {f"feature_{i}": value for i, value in enumerate(values.tolist())}, step)
        else:
            self.add_distribution(chart, values, step)

    def add_distribution(self, chart: str, values: Float[Tensor, " value"], step: int) -> None:
        """Add the histogram of many values, for TensorBoard's Distributions and Histograms."""
        finite = values[values.isfinite()].float().cpu()
        if len(finite):
            for value in histogram(chart, finite.numpy(), bins=N_BINS).value:  # type: ignore[no-untyped-call]
                self._add(OVERALL, value, step)
            self._metrics |= {f"{chart}/{line or 'median'}": x for line, x in spread_lines(finite).items()}

    def add_png(self, chart: str, png: bytes, step: int) -> None:
        """Add a picture; TensorBoard gives it a step slider."""
        tag = f"Pictures/{chart}"
        self._add(OVERALL, Summary.Value(tag=tag, image=Summary.Image(encoded_image_string=png)), step)
        for logger in self.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(tag, images=[Image.open(io.BytesIO(png))], step=step)

    def add_text(self, chart: str, markdown: str, step: int) -> None:
        """Add a text in Markdown, for TensorBoard's TEXT."""
        for value in text(chart, markdown).value:  # type: ignore[no-untyped-call]
            self._add(OVERALL, value, step)

    def add_run(self, settings: Mapping[str, Any], outcome: Mapping[str, float], step: int) -> None:
        """Add a row to TensorBoard's HPARAMS; other loggers get the settings as hyperparameters.

        TensorBoard shows the first five settings by name: those that come first here are numbered.
        """
        numbered = {f"{k} {name}" if k <= N_SHOWN else name: settings[name] for k, name in enumerate(settings, 1)}
        for part in hparams(numbered, dict(outcome)):  # type: ignore[no-untyped-call]
            for value in part.value:
                self._add(OVERALL, value, step)
        for name, number in outcome.items():
            self._add(OVERALL, Summary.Value(tag=name, simple_value=number), step)
            self._metrics[name] = number
        for logger in self.loggers:
            logger.log_hyperparams(dict(settings))

    def _add(self, line: str, value: Summary.Value, step: int) -> None:
        if step != self._step:  # one event per file and step, however many callbacks write
            self._write()
            self._step = step
        if value.WhichOneof("value") in ("simple_value", "image"):
            self.tags[value.tag] = None
        if (line, value.tag) not in self._described:
            self._described.add((line, value.tag))
            _describe(value)
        self._values.setdefault(line, []).append(value)

    def _write(self) -> None:
        pending, self._values = self._values, {}
        if self.folder is not None:
            for line, values in pending.items():
                if line not in self._files:
                    self._files[line] = EventFile(self.folder / line, _began(line))
                self._files[line].add(Event(wall_time=time.time(), step=self._step, summary=Summary(value=values)))
        if self._metrics:
            for logger in self.loggers:
                logger.log_metrics(self._metrics, self._step)
        self._metrics = {}
        if time.monotonic() > self._flush_at:
            self._flush_at = time.monotonic() + FLUSH_SECONDS
            for file in self._files.values():
                file.flush()

    def close(self) -> None:
        """Write what is pending and close all files, also where that fails; a later point opens new ones."""
        try:
            self._write()
        finally:
            files, self._files = self._files, {}
            with contextlib.ExitStack() as stack:
                for file in files.values():
                    stack.callback(file.close)


def _describe(value: Summary.Value) -> None:
    """Put a chart's description where TensorBoard looks for it: beside the name of what shows it."""
    value.metadata.summary_description = description(value.tag)
    kind = value.WhichOneof("value")
    if kind in PLUGINS and not value.metadata.plugin_data.plugin_name:
        value.metadata.plugin_data.plugin_name, value.metadata.data_class = PLUGINS[kind]


def _began(line: str) -> float | None:
    """When TensorBoard is to think that a sub-run began; None for now.

    It gives its colours out in the order in which runs began. So that feature i has the same colour in every run of a
    folder, whichever of them is first, the runs themselves come before all features 0, and these before all features 1.
    """
    if line == OVERALL:
        return 1.0
    name, _, number = line.partition("_")
    return 2.0 + int(number) if name == "feature" and number.isdecimal() else None


_OPEN: "weakref.WeakKeyDictionary[Trainer, Charts]" = weakref.WeakKeyDictionary()


def charts_of(trainer: Trainer) -> Charts:
    """The charts of a trainer's loggers, the same object for all its callbacks."""
    if trainer not in _OPEN:
        folders = [Path(logger.log_dir) for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        others = [logger for logger in trainer.loggers if not isinstance(logger, TensorBoardLogger)]
        _OPEN[trainer] = Charts(folders[0] if folders else None, others)
    return _OPEN[trainer]


def spread_lines(values: Float[Tensor, " instance"]) -> dict[str, float]:
    """A value of every instance of a stack as three lines of a chart: its median, and where the outer tenth begins.

    Those that are not finite, of instances that have diverged, are left out.
    """
    values = values[values.isfinite()]
    if not len(values):
        return {}
    quantiles = torch.quantile(values.detach().float(), values.new_tensor(list(SPREAD.values()), dtype=torch.float32))
    return dict(zip(SPREAD, quantiles.tolist(), strict=True))
