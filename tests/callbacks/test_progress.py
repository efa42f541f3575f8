"""What a terminal shows while a model trains, and before."""

import io
import os
import pty
import subprocess
import sys
from typing import Any

import lightning
import pytest
from rich.console import Console
from rich.progress import Progress

from callbacks.pictures import has_braille, polygons
from callbacks.progress import PolygonProgressBar, TimeLeft
from src import waiting
from src.data import SparseFeatures
from src.model import ReLUOutputModel
from tests.running import QUIET, ROOT


def shown(progress: Progress, columns: int = 80) -> str:
    console = Console(file=io.StringIO(), width=columns, force_terminal=False)
    console.print(progress.get_renderable())
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_time_left_is_known_after_the_first_part() -> None:
    now = 100.0
    progress = Progress(TimeLeft(), get_time=lambda: now, auto_refresh=False)
    task = progress.add_task("", total=4)
    assert "-:--:--" in shown(progress)
    now = 130.0
    progress.update(task, completed=1)
    assert "0:01:30 left" in shown(progress)


def test_polygons_are_drawn_side_by_side_each_below_its_name() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(polygons(ReLUOutputModel(6, n_instances=5), 3))
    output = console.file
    assert isinstance(output, io.StringIO)
    first, *rows = output.getvalue().splitlines()
    assert first.split("seed ")[1:] == [f"{k}{' ' * (len(first.split('seed ')[k + 1]) - 1)}" for k in range(3)]
    assert sum(any("\u2801" <= sign <= "\u28ff" for sign in row) for row in rows) >= 8


def test_polygons_need_their_characters() -> None:
    assert has_braille(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8")))
    assert not has_braille(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="latin-1")))


class Spy(lightning.Callback):
    """Looks at the bar after every batch; it comes after it."""

    def __init__(self, bar: PolygonProgressBar) -> None:
        self.bar = bar
        self.has_picture: list[bool] = []
        self.progress: Any = None

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.progress = self.bar._progress
        self.has_picture.append(self.progress.picture is not None)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_polygons_form_below_the_bar_in_a_terminal_and_are_gone_at_the_end(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), force_terminal=is_terminal)
    monkeypatch.setattr("rich.progress.get_console", lambda: console)
    bar = PolygonProgressBar()
    spy = Spy(bar)
    options = {**QUIET, "enable_progress_bar": True, "callbacks": [bar, spy]}
    lightning.Trainer(max_steps=30, **options).fit(ReLUOutputModel(6), datamodule=SparseFeatures(6, block_size=10))
    assert any(spy.has_picture) == is_terminal
    assert spy.progress.picture is None
    assert bar._progress is None


@pytest.mark.slow
@pytest.mark.parametrize("module", ["src.cli", "src.sweep", "src.predictions"])
def test_the_first_word_of_a_command_comes_before_its_imports(module: str) -> None:
    """On a pseudo-terminal: without a terminal nothing is said."""
    master, slave = pty.openpty()
    command = subprocess.Popen(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=slave
    )
    os.close(slave)
    first = os.read(master, 1000).decode()
    assert command.wait() == 0
    os.close(master)
    assert first.startswith(f"{waiting.CLEAR}loading torch")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_word_is_said_at_once_in_a_terminal_and_removed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    waiting.say("loading torch")
    assert terminal.getvalue().endswith("loading torch ...")
    waiting.clear()
    assert terminal.getvalue().endswith(waiting.CLEAR)


def test_elsewhere_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    waiting.say("loading torch")
    waiting.clear()
    assert capsys.readouterr().err == ""


def test_the_word_needs_no_import_that_takes_time() -> None:
    code = "import sys; from src import waiting; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
