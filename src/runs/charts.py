"""TensorBoard charts with one coloured line a feature.

TensorBoard colours a curve by its run, not by its tag: six features in one chart come out in six colours only when each
is a sub-run of its own with the same tag. So a *line* here is a sub-run of the run folder (`feature_0`, ...), a *chart*
is a tag, and every callback of a run shares one set of files.

The palette has seven colours, given out in the order in which the runs begin: the features of a chart differ up to
seven, and `overall` differs from `sqrt_5`, which begins next.
"""

import time
import weakref
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard.summary import histogram, text

from src.runs.event_file import EventFile

OVERALL = "overall"  # the line of what belongs to no single feature
N_LINES = 16  # features that are charted one by one; each has files of its own
N_BINS = 100  # of a histogram
SPREAD = {"lowest_5_percent": 0.05, "median": 0.5, "highest_5_percent": 0.95}  # lines, and their quantiles
FLUSH_SECONDS = 5  # how often files are brought up to date; a step's points come with the next step's


class Charts:
    """The event files of one run, or of none: without a folder everything written is dropped."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._files: dict[str, EventFile] = {}
        self._values: dict[str, list[Summary.Value]] = {}
        self._step = 0
        self._flush_at = 0.0

    @property
    def is_open(self) -> bool:
        return self.folder is not None

    def add_lines(self, chart: str, lines: Mapping[str, float], step: int) -> None:
        """Add a point to each line of a chart."""
        for line, value in lines.items():
            self._add(line, Summary.Value(tag=chart, simple_value=value), step)

    def add_features(self, chart: str, values: Float[Tensor, " feature"], step: int) -> None:
        """Add a value of every feature: a line for each, or of more than 16 their distribution."""
        if len(values) <= N_LINES:
            self.add_lines(chart, {f"feature_{i}": value for i, value in enumerate(values.tolist())}, step)
        else:
            self.add_distribution(chart, values, step)

    def add_distribution(self, chart: str, values: Float[Tensor, " value"], step: int) -> None:
        """Add the histogram of many values, for TensorBoard's Distributions and Histograms."""
        finite = values[values.isfinite()].float().cpu().numpy()
        if len(finite):
            for value in histogram(chart, finite, bins=N_BINS).value:  # type: ignore[no-untyped-call]
                self._add(OVERALL, value, step)

    def add_png(self, chart: str, png: bytes, step: int) -> None:
        """Add an image; TensorBoard gives it a step slider."""
        self._add(OVERALL, Summary.Value(tag=chart, image=Summary.Image(encoded_image_string=png)), step)

    def add_text(self, chart: str, markdown: str, step: int) -> None:
        """Add a text in Markdown, for TensorBoard's TEXT."""
        for value in text(chart, markdown).value:  # type: ignore[no-untyped-call]
            self._add(OVERALL, value, step)

    def _add(self, line: str, value: Summary.Value, step: int) -> None:
        if self.folder is None:
            return
        if step != self._step:  # one event per file and step, however many callbacks write
            self._write()
            self._step = step
        self._values.setdefault(line, []).append(value)

    def _write(self) -> None:
        assert self.folder is not None
        for line, values in self._values.items():
            if line not in self._files:
                self._files[line] = EventFile(self.folder / line)
            self._files[line].add(Event(wall_time=time.time(), step=self._step, summary=Summary(value=values)))
        self._values.clear()
        if time.monotonic() > self._flush_at:
            self._flush_at = time.monotonic() + FLUSH_SECONDS
            for file in self._files.values():
                file.flush()

    def close(self) -> None:
        """Write what is pending and close the files; a later point opens new ones."""
        if self.folder is not None:
            self._write()
        for file in self._files.values():
            file.close()
        self._files.clear()


_OPEN: "weakref.WeakKeyDictionary[Trainer, Charts]" = weakref.WeakKeyDictionary()


def charts_of(trainer: Trainer) -> Charts:
    """The charts of a trainer's first TensorBoard logger, the same object for all its callbacks."""
    if trainer not in _OPEN:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        _OPEN[trainer] = Charts(Path(loggers[0].log_dir) if loggers else None)
    return _OPEN[trainer]


def spread_lines(values: Float[Tensor, " instance"]) -> dict[str, float]:
    """A value of every instance of a stack as three lines of a chart: its median, and where the outer tenth begins."""
    quantiles = torch.quantile(values.detach().float(), values.new_tensor(list(SPREAD.values()), dtype=torch.float32))
    return dict(zip(SPREAD, quantiles.tolist(), strict=True))
