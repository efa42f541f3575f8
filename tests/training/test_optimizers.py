"""Optimizers and schedules treat every instance as it would be treated alone, or are refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning import Callback
from torch import Tensor

from src.data import SparseFeatures
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.training.optimizers import adamw
from tests.running import fit

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=1.0, momentum=0.9),
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    "AdamW": adamw,
    "fused AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_instance_trains_as_it_would_alone(name: str) -> None:
    stack = fit(ReLUOutputModel(n_features=6, n_instances=5, optimizer=OPTIMIZERS[name]), max_steps=100)
    alone = fit(ReLUOutputModel(n_features=6, first_seed=3, optimizer=OPTIMIZERS[name]), max_steps=100)
    # Batched and single matrix products round differently: 100 steps grow 1e-7 by little, as no basin is chosen yet.
    torch.testing.assert_close(stack.W[3], alone.W[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stack.b[3], alone.b[0], rtol=1e-4, atol=1e-5)


def test_a_scheduler_steps_with_every_optimizer_step() -> None:
    model = ReLUOutputModel(
        n_features=6,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step)),
    )
    fit(model, max_steps=60)
    assert model.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1 / 61)


@pytest.mark.parametrize("optimizer", [torch.optim.LBFGS, torch.optim.Adafactor])
def test_an_optimizer_that_mixes_instances_is_refused_for_a_stack(optimizer: Any) -> None:
    with pytest.raises(ConfigError, match="mixes instances"):
        fit(ReLUOutputModel(n_features=6, n_instances=2, optimizer=optimizer))


def test_an_optimizer_with_a_closure_trains_one_instance() -> None:
    losses: list[Tensor] = []

    class Keep(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            losses.append(outputs["feature_losses"][0])

    model = fit(ReLUOutputModel(n_features=6, optimizer=torch.optim.LBFGS), max_steps=5, callbacks=[Keep()])
    before = ReLUOutputModel(n_features=6)
    assert not torch.equal(model.W, before.W)
    # It evaluates many times a step; what is recorded is the loss before the step.
    assert torch.equal(losses[0], before.feature_losses(SparseFeatures().train_dataloader().draw(1)[0]).detach())


def test_a_scheduler_that_follows_the_loss_is_refused() -> None:
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau
    with pytest.raises(ConfigError, match="ReduceLROnPlateau"):
        fit(ReLUOutputModel(n_features=6, lr_scheduler=scheduler))  # type: ignore[arg-type]
