"""One Lightning batch of many steps does what a plain loop does."""

from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from src.data import SparseFeatures
from src.model import ReLUOutputModel
from src.objective import loss_and_gradient
from src.training.optimizers import adamw
from tests.running import SMALL_VALIDATION, fit


def test_the_trained_weights_are_those_of_a_plain_loop() -> None:
    """One Lightning batch of many steps must do what `zero_grad`, `backward` and `step` do, batch by batch."""
    data = SparseFeatures(validation_size=SMALL_VALIDATION, block_size=7)
    trained = fit(ReLUOutputModel(n_features=6, n_instances=2), max_steps=20, data=data)
    start = ReLUOutputModel(n_features=6, n_instances=2)
    W, b = start.W, start.b
    optimizer = adamw([W, b])
    data = SparseFeatures(validation_size=SMALL_VALIDATION, block_size=1)
    for _, block in zip(range(20), data.train_dataloader(), strict=False):
        optimizer.zero_grad()
        loss_and_gradient.feature_losses(W, b, block[0]).mean(dim=1).sum().backward()
        optimizer.step()
    # The closed form and autograd round differently, by 1e-7 a step.
    torch.testing.assert_close(trained.W, W, rtol=0, atol=1e-5)
    torch.testing.assert_close(trained.b, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("block_size", [1, 7, 60, 100])
def test_steps_are_optimizer_steps_whatever_the_block_size(block_size: int) -> None:
    data = SparseFeatures(validation_size=SMALL_VALIDATION, block_size=block_size)
    reference = fit(ReLUOutputModel(n_features=6))
    model = fit(ReLUOutputModel(n_features=6), data=data)
    assert model.global_step == 60
    assert torch.equal(model.W, reference.W)


class FirstSteps(Callback):
    """Notes the step number at each of Lightning's optimizer hooks."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.steps.append(trainer.global_step)


def test_hooks_run_at_the_first_step_of_each_block() -> None:
    hooks = FirstSteps()
    fit(ReLUOutputModel(n_features=6), max_steps=120, callbacks=[hooks])
    assert hooks.steps == [0, 50, 100]
