"""A run goes on although training has changed its optimizer's settings or its model's own, and to the same bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning import Callback
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, OneCycleLR

from src.data import SparseFeatures
from src.errors import ConfigError
from src.model import ReLUOutputModel
from tests.running import QUIET, slow

Make = Callable[[], ReLUOutputModel]


def fit_to(max_steps: int, model: Any, ckpt_path: Path | None = None, save: Path | None = None, *callbacks: Any) -> Any:
    trainer = lightning.Trainer(max_steps=max_steps, **{**QUIET, "callbacks": list(callbacks)})
    data = SparseFeatures(n_features=6, block_size=10, validation_size=200)
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    if save is not None:
        trainer.save_checkpoint(save)
    return model


def sgd(lr: float) -> Callable[[Any], Optimizer]:
    return lambda parameters: torch.optim.SGD(parameters, lr=lr, momentum=0.9)


class OwnOptimizer(ReLUOutputModel):
    """Two groups of parameters, with other rates than `optimizer` says."""

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam([{"params": [self.W], "lr": 0.02}, {"params": [self.b], "lr": 0.01}])


class Annealed(ReLUOutputModel):
    """A constructor's argument that training changes."""

    def __init__(self, temperature: float = 1.0, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.temperature = temperature

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.temperature *= 0.9


class Lowers(Callback):
    """The learning rate, by hand."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["lr"] *= 0.5


def one_cycle(optimizer: Optimizer) -> Any:
    return OneCycleLR(optimizer, max_lr=0.1, total_steps=60)


def cyclic(optimizer: Optimizer) -> Any:
    return CyclicLR(optimizer, base_lr=0.01, max_lr=0.1, step_size_up=7)


@pytest.mark.parametrize(
    ("make", "callbacks"),
    [
        (lambda: ReLUOutputModel(n_features=6, lr_scheduler=one_cycle), ()),
        (lambda: ReLUOutputModel(n_features=6, optimizer=sgd(0.01), lr_scheduler=cyclic), ()),
        (lambda: ReLUOutputModel(n_features=6), (Lowers(),)),
        (lambda: OwnOptimizer(n_features=6), ()),
        slow(lambda: ReLUOutputModel(n_features=6, optimizer=torch.optim.LBFGS), ()),
    ],
    ids=["OneCycleLR", "CyclicLR with momentum", "by hand", "a model's own, of two groups", "LBFGS"],
)
def test_a_run_whose_optimizer_changes_goes_on_to_the_same_bits(
    make: Make, callbacks: tuple[Any, ...], tmp_path: Path
) -> None:
    whole = fit_to(40, make(), None, None, *callbacks)
    fit_to(20, make(), None, tmp_path / "a.ckpt", *callbacks)
    resumed = fit_to(30, make(), tmp_path / "a.ckpt", tmp_path / "b.ckpt", *callbacks)
    resumed = fit_to(40, make(), tmp_path / "b.ckpt", None, *callbacks)
    assert torch.equal(whole.W, resumed.W)


def constant(optimizer: Optimizer) -> Any:
    return LambdaLR(optimizer, lambda step: 1.0)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"optimizer": sgd(0.2)}, "model.optimizer.lr is 0.2; it must be 0.1, as in the checkpoint"),
        ({"optimizer": torch.optim.RMSprop}, "model.optimizer is RMSprop; it must be SGD, as in the checkpoint"),
        ({"lr_scheduler": one_cycle}, "model.lr_scheduler is OneCycleLR; it must be LambdaLR, as in the checkpoint"),
    ],
)
def test_another_optimizer_is_refused(changed: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"n_features": 6, "optimizer": sgd(0.1), "lr_scheduler": constant}
    fit_to(20, ReLUOutputModel(**arguments), save=tmp_path / "a.ckpt")
    with pytest.raises(ConfigError, match=sentence):
        fit_to(30, ReLUOutputModel(**{**arguments, **changed}), tmp_path / "a.ckpt")


def test_the_state_of_a_models_own_optimizer_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    fit_to(20, OwnOptimizer(n_features=6), save=path)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["optimizer_states"][0]["state"][1]["exp_avg"] = torch.zeros(2)
    torch.save(checkpoint, path)
    with pytest.raises(ConfigError, match=r"state\[1\].exp_avg is 2 in the checkpoint; it must be 1 x 6"):
        fit_to(30, OwnOptimizer(n_features=6), path)


def test_an_older_checkpoint_goes_on_with_an_optimizer_of_the_same_class(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    fit_to(20, ReLUOutputModel(n_features=6, lr_scheduler=one_cycle), save=path)
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["arguments_at_start"], checkpoint["optimizer_at_start"]
    torch.save(checkpoint, path)
    fit_to(30, ReLUOutputModel(n_features=6, lr_scheduler=one_cycle), path)
    with pytest.raises(ConfigError, match=r"model.init_std is 1.0; it must be 0.5, as in the checkpoint"):
        fit_to(30, ReLUOutputModel(n_features=6, init_std=1.0, lr_scheduler=one_cycle), path)


def test_a_model_whose_argument_changes_goes_on_and_is_another_with_another_argument(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.ckpt", "b.ckpt")]
    began = Annealed(n_features=6)
    fit_to(20, began, save=paths[0])
    assert began.temperature == pytest.approx(0.9**2)
    fit_to(30, Annealed(n_features=6), paths[0], paths[1])
    loaded = Annealed.load_from_checkpoint(paths[0])
    assert loaded.temperature == began.temperature  # what the weights were last used with
    for model in (Annealed(n_features=6), loaded, began):
        for run in ("validate", "test"):
            data = SparseFeatures(n_features=6, validation_size=200)
            getattr(lightning.Trainer(**QUIET), run)(model, datamodule=data, ckpt_path=paths[1], verbose=False)
        fit_to(40, model, paths[1])
    with pytest.raises(ConfigError, match=r"model.temperature is 0.5; it must be 1.0, as in the checkpoint"):
        fit_to(40, Annealed(temperature=0.5, n_features=6), paths[1])


def test_what_diverged_is_known_without_a_configuration(tmp_path: Path) -> None:
    model = fit_to(20, ReLUOutputModel(n_features=6, n_instances=2))
    model.divergence.steps = {1: 7}
    model.trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = ReLUOutputModel.load_from_checkpoint(tmp_path / "a.ckpt")
    assert loaded.divergence.steps == {1: 7}
    assert loaded.polygons().names[1] == "diverged"
