"""Checkpoints are not believed: damaged ones are refused, the one before is offered, and no code in them is run."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from src import cli
from src.errors import ConfigError
from src.runs.checkpoints import last_readable, read_checkpoint
from src.runs.folder import CHECKPOINT, PREVIOUS
from src.sweep.cells import Cell, cells_of
from tests.running import ROOT, read_census, run_cli, run_of, slow
from tests.sweep.sweeping import BASE, run

CONFIG = f"--config={ROOT}/configs/hexagon.yaml"
LAST = "{class_path: callbacks.last_checkpoint.LastCheckpoint, init_args: {every_n_steps: 50}}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with its last two checkpoints, of steps 120 and 100."""
    folder = tmp_path_factory.mktemp("trained")
    callbacks = f"--trainer.callbacks=[{LAST}, {{class_path: callbacks.census.Census}}]"
    assert run_cli(folder, callbacks) == 0
    return run_of(folder)


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A copy of its last checkpoint, the one before beside it."""
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    return tmp_path / CHECKPOINT


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """A bit of a weight, which torch reads without a word."""
    content = bytearray(path.read_bytes())
    W = torch.load(path, weights_only=True)["state_dict"]["W"]
    content[content.index(W.numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fill_with_text(path: Path) -> None:
    path.write_text("no checkpoint")


DAMAGES = [truncate, flip, empty, fill_with_text]


def test_the_one_before_is_kept(own: Path) -> None:
    steps = [read_checkpoint(path)["global_step"] for path in (own, own.with_name(PREVIOUS))]
    assert steps == [120, 100]


@pytest.mark.parametrize("subcommand", ["fit", slow("validate"), slow("test")])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_offered(
    damage: Callable[[Path], None], subcommand: str, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(own)
    place = f"--trainer.logger.init_args.save_dir={tmp_path / 'runs'}"
    assert cli.main([subcommand, CONFIG, place, f"--ckpt_path={own}"]) == 2
    offered = f"The one saved before it, of step 100, is {own.with_name(PREVIOUS)}."
    expected = f"error: ckpt_path is {own}; it must be a checkpoint, with tensors only. {offered}\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "runs").exists()


def test_the_one_before_resumes(own: Path, tmp_path: Path, trained: Path) -> None:
    truncate(own)
    assert run_cli(tmp_path, f"--ckpt_path={own.with_name(PREVIOUS)}") == 0
    found = read_checkpoint(run_of(tmp_path) / CHECKPOINT)["state_dict"]
    expected = read_checkpoint(trained / CHECKPOINT)["state_dict"]
    assert all(torch.equal(values, found[name]) for name, values in expected.items())


def test_where_both_are_damaged_none_is_offered(own: Path) -> None:
    truncate(own)
    truncate(own.with_name(PREVIOUS))
    with pytest.raises(ConfigError, match=r"with tensors only\.$"):
        read_checkpoint(own)
    assert last_readable(own) is None


class Trap:
    """What unpickling it would do shows in a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("subcommand", ["fit", slow("validate"), slow("test")])
def test_code_in_a_checkpoint_is_not_run(subcommand: str, own: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(own, weights_only=True)
    mark = tmp_path / "it was run"
    torch.save({**checkpoint, "trap": Trap(mark)}, own)
    own.with_name(PREVIOUS).unlink()
    assert cli.main([subcommand, CONFIG, f"--ckpt_path={own}"]) == 2
    assert not mark.exists()


@pytest.mark.parametrize("subcommand", ["fit", slow("validate"), slow("test")])
def test_weights_that_are_not_finite_are_refused(
    subcommand: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = torch.load(own, weights_only=True)
    checkpoint["state_dict"]["W"][0, 0, 3] = torch.nan
    torch.save(checkpoint, own)
    assert cli.main([subcommand, CONFIG, f"--ckpt_path={own}"]) == 2
    assert capsys.readouterr().err == f"error: ckpt_path is {own}; it must be one whose W is finite.\n"


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    """A cell of a sweep that was cut off after 8 and 16 steps."""
    _, (cell,) = cells_of(BASE, {"data.n_features": ["4"]}, 1, tmp_path)
    often = f"--trainer.callbacks=[{LAST.replace('50', '8')}]"
    assert cli.main(["fit", *cell.arguments, often, "--trainer.max_steps=16", "--data.block_size=8"]) == 0
    (cell.folder / "config.yaml").unlink()  # which has other steps
    return cell


@pytest.mark.slow
@pytest.mark.parametrize(("n_damaged", "expected"), [slow(0, "last.ckpt"), (1, PREVIOUS), slow(2, None)])
def test_a_cell_goes_on_from_the_last_checkpoint_that_can_be_read(
    n_damaged: int, expected: str | None, cell: Cell, tmp_path: Path
) -> None:
    for name in ("last.ckpt", PREVIOUS)[:n_damaged]:
        truncate(cell.folder / "checkpoints" / name)
    wanted = [] if expected is None else [f"--ckpt_path={cell.folder / 'checkpoints' / expected}"]
    assert cell.resumption == wanted
    assert run(tmp_path, "--grid=data.n_features=[4]") == 0
    assert len(read_census(cell.folder)) > 0


def test_a_donor_that_is_cut_off_is_refused(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truncate(own)
    donor = ("--trainer.callbacks+=callbacks.patching.PatchColumns", f"--trainer.callbacks.donor_checkpoint={own}")
    assert run_cli(tmp_path / "runs", *donor) == 2
    assert f"PatchColumns.donor_checkpoint is {own}; it must be a checkpoint, with" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "content",
    [
        "seed,geometry,unlearned\n0,pentagon,4\n11,hexa",
        "seed,geometry,unlearned\n0,pentagon,99\n11,hexagon,\n",
        slow("seed,geometry,unlearned\n-1,pentagon,4\n11,hexagon,\n"),
        slow("seed,geometry,unlearned\n0,pentagon,4\n0,hexagon,\n"),
        slow(f"seed,geometry,unlearned\n0,pentagon,{'4' * 200_000}\n"),
        slow("\0\0\0"),
        slow(""),
    ],
    ids=["cut off", "a feature too many", "no seed", "a seed twice", "a huge field", "zeros", "empty"],
)
def test_a_census_that_is_cut_off_or_lies_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "census.csv").write_text(content)
    start = ("--model.start=src.starts.PatchingArms", f"--model.start.census={tmp_path / 'census.csv'}")
    assert run_cli(tmp_path / "runs", *start, "--model.first_seed=0") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "model.start.census" in err
    assert not (tmp_path / "runs").exists()
