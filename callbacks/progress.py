"""The progress bar: step, speed, loss and the polygon of the moment."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from callbacks.pictures import has_braille, polygons
from src.model import ToyModel
from src.results.census import loss_text
from src.results.rates import counted_geometry

REFRESHES_PER_SECOND = 4
N_POLYGONS = 3  # drawn side by side while they form


class _StepsPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} steps/s" if speed else "", style="progress.data.speed")


class _Bar(Progress):
    """A progress bar with a picture below it."""

    picture: RenderableType | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.picture is not None:
            yield self.picture


class TimeLeft(ProgressColumn):
    """How long the rest takes if it goes on as since the start: known after the first part, however few there are."""

    def render(self, task: Task) -> Text:
        if not task.elapsed or not task.completed or task.total is None:
            return Text("-:--:--", style="progress.remaining")
        left = task.elapsed * (task.total - task.completed) / task.completed
        return Text(f"{timedelta(seconds=round(left))} left", style="progress.remaining")


class PolygonProgressBar(ProgressBar):
    """A rich progress bar over optimizer steps, in a terminal with the polygons of the first three instances below it.

    It looks at the model only when it is drawn anew, four times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._progress: _Bar | None = None
        self._next_look = 0.0

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._enabled:
            return
        self._progress = _Bar(
            TextColumn("step", table_column=Column(no_wrap=True)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            BarColumn(bar_width=12, table_column=Column(min_width=4)),
            _StepsPerSecond(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            refresh_per_second=REFRESHES_PER_SECOND,
            auto_refresh=False,
        )
        self._progress.add_task("fit", total=trainer.max_steps, completed=trainer.global_step, state="")
        self._progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._progress is None:
            return
        now, is_last = self._progress.get_time(), trainer.global_step == trainer.max_steps
        if now < self._next_look and not is_last:
            return
        self._next_look = now + 1 / REFRESHES_PER_SECOND
        task = self._progress.task_ids[0]
        console = self._progress.console
        if pl_module.n_hidden == 2 and console.is_terminal and has_braille(console) and not is_last:
            self._progress.picture = polygons(pl_module, N_POLYGONS)  # type: ignore[arg-type]
        state = _describe(pl_module, outputs["feature_losses"])  # type: ignore[arg-type]
        self._progress.update(task, completed=trainer.global_step, state=state)
        try:
            self._progress.refresh()
        except OSError:  # the terminal has gone; the run has not
            self._progress = None

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.picture = None  # the summary has the last one
            with suppress(OSError):
                self._progress.stop()
            self._progress = None


def _describe(model: ToyModel, feature_losses: Any) -> str:
    """The block's mean loss and the geometry, or the most frequent ones of a stack."""
    names = Counter(model.polygons().names).most_common(2)
    several = ", ".join(counted_geometry(count, name) for name, count in names)
    geometry = names[0][0] if model.n_instances == 1 else several
    return f"loss {loss_text(float(feature_losses.nanmean()))}  [bold]{geometry}[/bold]"
