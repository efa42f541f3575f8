"""Curves and pictures in loggers other than TensorBoard's."""

import math
from pathlib import Path
from typing import Any

import lightning
import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from callbacks.census import Census
from callbacks.feature_losses import FeatureLosses
from callbacks.feature_norms import FeatureNorms
from callbacks.geometry_shares import GeometryShares
from callbacks.gradient_norms import GradientNorms
from callbacks.polygon_snapshots import PolygonSnapshots
from callbacks.training_loss import TrainingLoss
from src.data import SparseFeatures
from src.model import ReLUOutputModel
from src.runs.tables import read_rows
from tests.callbacks.charts import images, scalars
from tests.running import QUIET, run_cli


class CsvOnly(CSVLogger):
    """A logger that takes pictures too, as Weights & Biases does."""

    def log_image(self, key: str, images: list[Any], step: int) -> None:
        self.pictures = [*getattr(self, "pictures", []), (key, step, images[0].size)]


def test_curves_and_pictures_go_to_any_logger(tmp_path: Path) -> None:
    logger = CsvOnly(tmp_path, name="", version="")
    callbacks = [FeatureNorms(), GradientNorms(), PolygonSnapshots(n_snapshots=2), Census()]
    options = {**QUIET, "logger": logger, "callbacks": callbacks}
    lightning.Trainer(max_steps=20, **options).fit(
        ReLUOutputModel(n_features=6), datamodule=SparseFeatures(6, block_size=10)
    )
    rows = read_rows(tmp_path / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [0, 10, 20]
    norms = [float(rows[-1][f"feature_norm/seed 0/feature_{i}"]) for i in range(6)]
    assert float(rows[-1]["frobenius_norm/seed 0/overall"]) == pytest.approx(math.hypot(*norms))
    assert all(float(row["gradient_norm/seed 0/feature_3"]) > 0 for row in rows)
    assert [picture[:2] for picture in logger.pictures] == [("Pictures/polygons", 0), ("Pictures/polygons", 20)]
    assert yaml.safe_load((tmp_path / "hparams.yaml").read_text())["optimizer"] == "AdamW"


def test_a_run_without_a_logger_says_where_its_records_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path, "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}", max_steps=1) == 0
    assert f"There is no logger: the run is recorded in {tmp_path} alone.\n" in capsys.readouterr().out
    assert not list(tmp_path.rglob("events.out.*"))


def test_what_a_user_logs_is_kept_beside_the_charts(tmp_path: Path) -> None:
    """Lightning's own event file is in the same folder, and may begin in the same second."""

    class Logs(lightning.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            pl_module.log("mine", pl_module.W.norm())

    logger = TensorBoardLogger(tmp_path, name="", version="")
    options = {**QUIET, "logger": logger, "callbacks": [PolygonSnapshots(n_snapshots=2), Logs()]}
    trainer = lightning.Trainer(max_steps=20, log_every_n_steps=10, **options)
    trainer.fit(ReLUOutputModel(n_features=6), datamodule=SparseFeatures(6, block_size=10))
    assert len(scalars(tmp_path)["mine"]) == 2
    assert len(images(tmp_path, "polygons")) == 2


def test_no_metric_is_the_folder_of_another(tmp_path: Path) -> None:
    """Which a logger that keeps each in a file of its own could not write."""
    logger = CsvOnly(tmp_path, name="", version="")
    callbacks = [FeatureNorms(), GradientNorms(), FeatureLosses(), TrainingLoss(), GeometryShares(), Census()]
    options = {**QUIET, "logger": logger, "callbacks": callbacks}
    model = ReLUOutputModel(n_features=6, n_instances=6)
    lightning.Trainer(max_steps=20, **options).fit(model, datamodule=SparseFeatures(6, block_size=10))
    names = [name for row in read_rows(tmp_path / "metrics.csv") for name in row]
    assert not [name for name in names for other in names if other.startswith(f"{name}/")]
