"""Every example of docs/questions.md, as it stands there, in few steps."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import torch

from src import cli
from src.runs.folder import CENSUS, RATES
from src.runs.tables import read_rows
from src.sweep import __main__ as sweep
from tests.running import ROOT, slow

PAGE = (ROOT / "docs" / "questions.md").read_text()
FILES = dict(re.findall(r"```python\n# (my_\w+)\.py\n(.*?)```", PAGE, re.S))
COMMANDS = re.findall(r"```bash\npython (.*?)\n```", PAGE, re.S)
FEW = ("--trainer.max_steps=60", "--model.n_instances=5", "--data.validation_size=2000")
BY_DEFAULT = ("my_metrics",)


def own(command: str) -> list[str]:
    return re.findall(r"my_\w+(?=\.)", command)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page, in a folder that Python imports from, and no longer remembered afterwards."""
    for name, source in FILES.items():
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
    torch.save(torch.rand(50, 6) * (torch.rand(50, 6) < 0.3), tmp_path / "rows.pt")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str, folder: Path) -> None:
    _, module, *arguments = shlex.split(command)
    arguments = [str(ROOT / word) if word.startswith("configs/") else word for word in arguments]
    if module == "src.sweep":
        assert sweep.main([*arguments, *FEW, f"--out={folder / 'sweep'}"]) == 0
    else:
        assert cli.main([*arguments, *FEW, f"--trainer.logger.save_dir={folder / 'lightning_logs'}"]) == 0


def test_every_file_of_the_page_has_a_command() -> None:
    assert set(FILES) == {name for command in COMMANDS for name in own(command)}
    assert max(len(source.splitlines()) for source in FILES.values()) <= 20


@pytest.mark.parametrize(
    "command",
    [
        command if any(name in command for name in BY_DEFAULT) else slow(command)
        for command in COMMANDS
        if command.startswith("-m")
    ],
    ids=lambda command: "-".join(own(command) or ["plain"]),
)
def test_a_command_of_the_page_runs(command: str, folder: Path) -> None:
    run(command, folder)
    if "src.sweep" in command:
        assert {row["model.start.noise"] for row in read_rows(folder / "sweep" / RATES)} == {
            "0.1",
            "0.5",
            "1",
            "2",
            "4",
        }
        return
    run_folder = folder / "lightning_logs" / "seeds" / "version_0"
    config = (run_folder / "config.yaml").read_text()
    assert all(re.search(rf"class_path: {name}\.\w+", config) for name in own(command))
    (first, *others) = read_rows(run_folder / CENSUS)
    assert len(others) == 4
    assert ("metric_neighbour_angles" in first) == ("my_metrics" in command)
    assert (first["loss_method"] == "sample") == ("my_rows" in command)


@pytest.mark.slow
def test_the_figure_of_the_page_is_drawn(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(COMMANDS[0], folder)
    (command,) = [command for command in COMMANDS if command.startswith("my_")]
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    runpy.run_path(str(folder / "my_figure.py"))
    assert "loss 0.0" in capsys.readouterr().out
    assert (folder / "losses.png").read_bytes().startswith(b"\x89PNG")
