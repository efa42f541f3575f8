"""What a terminal shows while a model trains, and before."""

import io
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from callbacks.progress import TimeLeft, can_draw, polygons
from src import waiting
from src.model import ReLUOutputModel
from tests.running import ROOT


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


def test_pictures_are_drawn_over_one_another_only_in_a_terminal() -> None:
    assert not can_draw(Console(file=io.StringIO()))
    assert can_draw(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), force_terminal=True))
    assert not can_draw(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="latin-1"), force_terminal=True))


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
