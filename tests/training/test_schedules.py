"""The learning rate over a run, and what happens where run and schedule do not end together."""

import re

import pytest
import torch

from src.data import SparseFeatures
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.training.schedules import WarmupCosine
from tests.running import SMALL_VALIDATION, fit


def schedule(warmup_steps: int = 4, total_steps: int | None = 12) -> WarmupCosine:
    return WarmupCosine(torch.optim.SGD([torch.zeros(1)], lr=0.5), warmup_steps, total_steps)


def test_the_learning_rate_rises_in_a_line_to_its_highest() -> None:
    assert [schedule().share(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_it_falls_as_half_a_cosine_to_zero() -> None:
    shares = [schedule().share(step) for step in (4, 6, 8, 10, 12)]
    assert shares == pytest.approx([1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0], abs=1e-15)


def test_the_optimizer_has_the_schedules_rate_at_each_step() -> None:
    rates = []

    class Recording(torch.optim.SGD):
        def step(self, closure=None):  # type: ignore[no-untyped-def, override]
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    model = ReLUOutputModel(
        6, optimizer=lambda parameters: Recording(parameters, lr=0.5), lr_scheduler=lambda own: WarmupCosine(own, 4)
    )
    fit(model, max_steps=12, data=SparseFeatures(validation_size=SMALL_VALIDATION, block_size=5))
    assert rates == pytest.approx([0.5 * schedule().share(step) for step in range(12)])


@pytest.mark.parametrize(
    ("total_steps", "max_steps", "allowed"),
    [(None, 4, "more than 4, lr_sch"), (12, 13, "at most 12, where the"), (12, 4, "more than 4, lr_sch")],
)
def test_a_run_that_does_not_fit_the_schedule_is_refused(total_steps: int | None, max_steps: int, allowed: str) -> None:
    model = ReLUOutputModel(6, lr_scheduler=lambda own: WarmupCosine(own, 4, total_steps))
    with pytest.raises(ConfigError, match=re.escape(f"trainer.max_steps is {max_steps}; it must be {allowed}")):
        fit(model, max_steps=max_steps)


@pytest.mark.parametrize(
    ("arguments", "field"), [((-1,), "warmup_steps"), ((4, 4), "total_steps"), ((4, 3), "total_steps")]
)
def test_a_schedule_that_cannot_be_is_refused(arguments: tuple[int, ...], field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^lr_scheduler\.{field} is -?\d; it must be"):
        schedule(*arguments)


@pytest.mark.parametrize(("warmup_steps", "total_steps"), [(5, 12), (4, 13)])
def test_a_schedule_does_not_go_on_as_another(warmup_steps: int, total_steps: int) -> None:
    saved = schedule().state_dict()
    with pytest.raises(ConfigError, match=r"^lr_scheduler\.\w+ is \d+; it must be \d+, as in the checkpoint"):
        schedule(warmup_steps, total_steps).load_state_dict(saved)


@pytest.mark.parametrize("max_steps", [11, 13])
def test_a_schedule_that_ends_with_the_run_goes_on_to_the_same_end(max_steps: int) -> None:
    first, resumed = schedule(total_steps=None), schedule(total_steps=None)
    first.fit_to(12)
    resumed.load_state_dict(first.state_dict())
    resumed.fit_to(12)
    with pytest.raises(ConfigError, match=f"^trainer.max_steps is {max_steps}; it must be 12, where the learning rate"):
        resumed.fit_to(max_steps)
