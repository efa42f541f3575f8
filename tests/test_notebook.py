"""Plain Python is a way in: a model, a data module and Lightning's own trainer, without a configuration."""

import re
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from src.data import SparseFeatures
from src.errors import ConfigError
from src.model import ReLUOutputModel, ToyModel
from src.runs.folder import CHECKPOINT
from src.runs.tables import read_rows
from src.starts import Basin
from src.variants import Leaky
from tests.running import QUIET, ROOT, run_cli, run_of, slow

MAX_LINES = 15
NO_VALIDATION = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`")


def test_the_readmes_notebook_is_short_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(from lightning import Trainer\n.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(code.splitlines()) < MAX_LINES
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lightning.Trainer, "__init__", _few_steps(lightning.Trainer.__init__))
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "polygons.png").stat().st_size > 0


def _few_steps(init: Any) -> Any:
    return lambda self, max_steps, **options: init(self, max_steps=100, **{**QUIET, **options})


def data(block_size: int = 10) -> SparseFeatures:
    return SparseFeatures(n_features=6, block_size=block_size)


@pytest.mark.parametrize("kind", [slow(ReLUOutputModel), Leaky])
def test_a_checkpoint_of_the_command_line_loads_without_a_configuration(kind: type[ToyModel], tmp_path: Path) -> None:
    assert run_cli(tmp_path, f"--model={kind.__module__}.{kind.__name__}", "--model.n_instances=2", max_steps=60) == 0
    path = run_of(tmp_path) / CHECKPOINT
    loaded = kind.load_from_checkpoint(path)
    assert loaded.seeds == [11, 12]
    assert loaded.instance_names == ["seed 11", "seed 12"]
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert torch.equal(loaded.W, saved["W"])
    assert loaded.init_std == 0.378


def test_a_checkpoint_of_a_start_and_of_a_variant_keeps_what_they_say(tmp_path: Path) -> None:
    model = Leaky(slope=0.2, n_features=6, start=Basin(seed=3, column=1, size=2))
    trainer = lightning.Trainer(max_steps=10, **QUIET)
    trainer.fit(model, datamodule=data())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = Leaky.load_from_checkpoint(tmp_path / "a.ckpt")
    assert loaded.slope == 0.2
    assert loaded.instance_names == model.instance_names
    assert loaded.instance_columns == model.instance_columns
    assert torch.equal(loaded.W, model.W)


@NO_VALIDATION
def test_a_plain_loader_of_examples_trains_a_step_a_batch() -> None:
    x = data().distribution.draw((64,), torch.Generator().manual_seed(0))
    trained = []
    for loader in (DataLoader(x, batch_size=16), DataLoader(TensorDataset(x), batch_size=16)):
        model = ReLUOutputModel(n_features=6)
        trainer = lightning.Trainer(max_steps=6, **QUIET)
        trainer.fit(model, loader)
        assert trainer.global_step == 6
        trained.append(model.W.detach())
    expected = ReLUOutputModel(n_features=6)
    optimizer, _ = expected.make_optimizers()
    for k in range(6):
        expected.objective.set_gradients(x[16 * (k % 4) :][:16])
        optimizer.step()
    assert torch.equal(trained[0], expected.W)
    assert torch.equal(trained[1], expected.W)


@NO_VALIDATION
def test_a_loader_of_other_things_is_refused_in_a_sentence() -> None:
    pairs = DataLoader(TensorDataset(torch.rand(8, 6), torch.rand(8, 1)), batch_size=4)
    message = r"^a training batch is 4 x 6 and 4 x 1; it must be examples, \[batch, feature\]"
    with pytest.raises(ConfigError, match=message):
        lightning.Trainer(max_steps=4, **QUIET).fit(ReLUOutputModel(n_features=6), pairs)


class Logs(Callback):
    """What a user might log in a callback, at every batch."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.log("first_bias", pl_module.b[0, 0])
        pl_module.log("norm", pl_module.W.norm())


@pytest.mark.parametrize("block_size", [1, 10])
def test_what_a_users_callback_logs_is_logged_under_the_optimizer_step(block_size: int, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="")
    options = {**QUIET, "logger": logger, "callbacks": [Logs()], "log_every_n_steps": 20}
    model = ReLUOutputModel(n_features=6)
    lightning.Trainer(max_steps=60, **options).fit(model, datamodule=data(block_size))
    rows = read_rows(tmp_path / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [19, 39, 59]
    assert float(rows[-1]["norm"]) == pytest.approx(float(model.W.detach().norm()))
    assert float(rows[-1]["first_bias"]) == pytest.approx(float(model.b.detach()[0, 0]))


@pytest.mark.parametrize("kind", [slow(TQDMProgressBar), RichProgressBar])
def test_a_stock_progress_bar_counts_optimizer_steps(kind: type, capsys: pytest.CaptureFixture[str]) -> None:
    options = {**QUIET, "enable_progress_bar": True, "callbacks": [kind(refresh_rate=1)]}
    lightning.Trainer(max_steps=60, **options).fit(ReLUOutputModel(n_features=6), datamodule=data())
    captured = capsys.readouterr()
    assert "60/60" in captured.out + captured.err


def test_early_stopping_on_the_validation_loss_stops_a_run() -> None:
    stopping = EarlyStopping("val_loss", min_delta=1.0, patience=2)  # no loss falls by 1
    options = {**QUIET, "callbacks": [stopping], "val_check_interval": 20}
    trainer = lightning.Trainer(max_steps=1000, **options)
    trainer.fit(ReLUOutputModel(n_features=6), datamodule=data())
    assert trainer.global_step == 60  # the first value, and two that are not better


@NO_VALIDATION
def test_examples_in_double_precision_train_any_model() -> None:
    x = torch.rand(8, 6, dtype=torch.float64)
    lightning.Trainer(max_steps=4, **QUIET).fit(Leaky(n_features=6), DataLoader(x, batch_size=4))


def test_early_stopping_without_validation_is_refused_in_a_sentence() -> None:
    trainer = lightning.Trainer(max_steps=10, **{**QUIET, "callbacks": [EarlyStopping("val_loss")]})
    with pytest.raises(
        ConfigError, match=r"^trainer.val_check_interval is 1.0; it must be a number of optimizer steps"
    ):
        trainer.fit(ReLUOutputModel(n_features=6), datamodule=data())


def test_a_loader_to_validate_on_is_refused_in_a_sentence() -> None:
    loader = DataLoader(torch.rand(8, 6), batch_size=4)
    with pytest.raises(ConfigError, match=r"^what is validated on is Tensor; it must be a data module's `population`"):
        lightning.Trainer(max_steps=4, **QUIET).fit(ReLUOutputModel(n_features=6), loader, loader)


def test_data_of_other_features_than_the_models_are_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^model.n_features is 7; it must be 6, as the data's"):
        lightning.Trainer(max_steps=4, **QUIET).fit(ReLUOutputModel(n_features=7), datamodule=data())


class Keeps(ReLUOutputModel):
    """A user's model that keeps its argument as Lightning's own examples do."""

    def __init__(self, slope: float = 0.1, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.save_hyperparameters("slope")


def test_what_a_users_model_saves_comes_back(tmp_path: Path) -> None:
    trainer = lightning.Trainer(max_steps=1, **QUIET)
    trainer.fit(Keeps(slope=0.7, n_features=6), datamodule=data())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = Keeps.load_from_checkpoint(tmp_path / "a.ckpt")
    assert loaded.hparams["slope"] == 0.7
    assert loaded.n_features == 6


@NO_VALIDATION
def test_early_stopping_on_what_a_user_logs_needs_no_validation() -> None:
    class Logs(ReLUOutputModel):
        def training_step(self, block: Any, batch_idx: int) -> Any:
            output = super().training_step(block, batch_idx)
            self.log("train_loss", output["feature_losses"].mean())
            return output

    stopping = EarlyStopping("train_loss", min_delta=1.0, patience=2, check_on_train_epoch_end=True)
    trainer = lightning.Trainer(max_steps=100, log_every_n_steps=1, **{**QUIET, "callbacks": [stopping]})
    trainer.fit(Logs(n_features=6), DataLoader(torch.rand(16, 6), batch_size=4))
    assert trainer.global_step == 12  # the first epoch, and two that are not better
