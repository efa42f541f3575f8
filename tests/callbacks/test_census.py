"""What the census asks of the data."""

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from callbacks.census import Census
from src.data import SparseFeatures
from src.data.streams import WholeDistribution
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.runs.folder import CENSUS
from src.runs.tables import read_rows
from tests.running import QUIET


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")
def test_a_data_module_without_a_law_of_ours_is_counted_and_one_without_a_population_refused(tmp_path: Path) -> None:
    class Own(lightning.LightningDataModule):
        population = SparseFeatures(6).population

        def train_dataloader(self) -> Any:
            return DataLoader(torch.rand(16, 6), batch_size=4)

        def val_dataloader(self) -> Any:
            return WholeDistribution(self.population)

    logger = TensorBoardLogger(tmp_path, name="", version="")
    trainer = lightning.Trainer(
        max_steps=2, log_every_n_steps=1, **{**QUIET, "logger": logger, "callbacks": [Census()]}
    )
    trainer.fit(ReLUOutputModel(6), datamodule=Own())
    assert len(read_rows(tmp_path / CENSUS)) == 1
    trainer = lightning.Trainer(max_steps=2, log_every_n_steps=1, **{**QUIET, "callbacks": [Census()]})
    with pytest.raises(ConfigError, match=r"^the data module is NoneType; it must be one with a `population`"):
        trainer.fit(ReLUOutputModel(6), DataLoader(torch.rand(16, 6), batch_size=4))
