"""A run has its folder alone, and a refused run leaves none."""

from pathlib import Path

import pytest
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger

from callbacks.census import Census
from src.data import SparseFeatures
from src.model import ReLUOutputModel
from src.runs.folder import CENSUS, CHECKPOINT, CONFIG, TRAJECTORY
from tests.running import QUIET, run_cli, run_of

LOGGERS = """[{{class_path: TensorBoardLogger, init_args: {{save_dir: {0}}}}},
 {{class_path: CSVLogger, init_args: {{save_dir: {0}/csv}}}}]"""


@pytest.mark.slow
def test_of_further_loggers_too_nothing_is_left(tmp_path: Path) -> None:
    assert run_cli(tmp_path, max_steps=60) == 0
    checkpoint, other = run_of(tmp_path) / CHECKPOINT, tmp_path / "other"
    loggers = f"--trainer.logger={LOGGERS.format(other)}"
    assert run_cli(tmp_path, loggers, "--model.first_seed=3", f"--ckpt_path={checkpoint}", max_steps=60) == 2
    assert not other.exists()


@pytest.mark.parametrize("place", ["sub_dir=..", "sub_dir=/dev"])
def test_a_folder_that_has_no_next_number_is_refused(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path / "runs", f"--trainer.logger.init_args.{place}") == 2
    assert capsys.readouterr().err.endswith("; it must be one that can be made and written to: File exists.\n")
    assert not (tmp_path / "runs").exists()


def test_a_run_may_lie_outside_of_its_save_dir(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As Lightning has it where the name is a whole path."""
    assert run_cli(tmp_path / "a", f"--trainer.logger.init_args.name={tmp_path / 'b'}", max_steps=60) == 0
    assert f"tensorboard --logdir {tmp_path / 'b'} " in capsys.readouterr().out


class Mine(Callback):
    """Of a user's own, so that anything may be logged."""


def test_what_is_refused_after_training_keeps_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stop = f"--trainer.callbacks+={__name__}.Mine", "--trainer.callbacks+=EarlyStopping"
    options = ("--trainer.logger=false", *stop, "--trainer.callbacks.monitor=foo", "--trainer.val_check_interval=100")
    assert run_cli(tmp_path, *options) == 2
    assert "`foo` which is not available" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} >= {CONFIG, TRAJECTORY}


def test_a_trainer_may_run_again_in_another_folder(tmp_path: Path) -> None:
    trainer = Trainer(max_steps=10, callbacks=[Census()], **{**QUIET, "logger": CSVLogger(tmp_path / "a")})
    for name in ("a", "b"):
        trainer.loggers = [CSVLogger(tmp_path / name)]
        trainer.fit(ReLUOutputModel(6), datamodule=SparseFeatures(6, block_size=10))
        trainer.fit_loop.epoch_loop.reset()
    assert len(list(tmp_path.rglob(CENSUS))) == 2
