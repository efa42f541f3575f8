"""Rotations and scalings that a model's loss does not see are found without being declared."""

from typing import Any

import pytest
import torch
from torch import Tensor

from src.distributions.values import SIGNED, UNIT, Values
from src.model import ReLUOutputModel, ToyModel
from src.objective.symmetries import linear_symmetries
from src.population.surface import ROTATION, SCALING
from src.variants import AbsoluteValue, HiddenReLU, ResidualMLP, Untied
from tests.running import slow

Case = tuple[type[ToyModel], dict[str, Any], Values, int, int]
CASES: list[Any] = [
    # rotations of the hidden space; scalings
    (ReLUOutputModel, {"n_hidden": 1}, UNIT, 0, 0),
    (ReLUOutputModel, {"n_hidden": 2}, UNIT, 1, 0),
    slow(ReLUOutputModel, {"n_hidden": 3}, UNIT, 3, 0),
    (Untied, {"n_hidden": 2}, UNIT, 1, 3),
    slow(Untied, {"n_hidden": 3}, UNIT, 3, 6),
    slow(HiddenReLU, {"n_hidden": 2}, UNIT, 0, 0),
    (AbsoluteValue, {"n_hidden": 2}, SIGNED, 0, 2),
    slow(AbsoluteValue, {"n_hidden": 4}, SIGNED, 0, 4),
    slow(ResidualMLP, {"n_hidden": 2, "n_neurons": 2}, SIGNED, 1, 2),
    slow(ResidualMLP, {"n_hidden": 3, "n_neurons": 2}, SIGNED, 3, 2),
]


@pytest.mark.parametrize(("kind", "arguments", "values", "n_rotations", "n_scalings"), CASES)
def test_as_many_are_found_as_there_are(
    kind: type[ToyModel], arguments: dict[str, Any], values: Values, n_rotations: int, n_scalings: int
) -> None:
    model = kind(n_features=3, n_instances=1, **arguments)
    found = linear_symmetries(model, values)
    assert (len(found[ROTATION]), len(found[SCALING])) == (n_rotations, n_scalings)
    moved = _moved(model, found)
    assert torch.linalg.matrix_rank(moved).item() == n_rotations + n_scalings if len(moved) else True
    slopes = moved @ _gradient(model, values)
    assert slopes.abs().max() < 1e-12 if len(moved) else True


def _parameters(model: ToyModel) -> dict[str, Tensor]:
    torch.manual_seed(7)
    return {name: torch.randn(1, *own.shape[1:], dtype=torch.float64) for name, own in model.named_parameters()}


def _moved(model: ToyModel, found: dict[str, list[Any]]) -> Tensor:
    """The directions at parameters that were not tried."""
    named = _parameters(model)
    rows = [torch.cat([t.flatten() for t in move(named).values()]) for every in found.values() for move in every]
    return torch.stack(rows) if rows else torch.zeros(0, sum(t.numel() for t in named.values()), dtype=torch.float64)


def _gradient(model: ToyModel, values: Values) -> Tensor:
    """Of the loss of some examples that were not tried either."""
    model = model.double()
    with torch.no_grad():
        for name, own in _parameters(model).items():
            model.get_parameter(name).data = own
    x = values.of(torch.rand(20, model.n_features, dtype=torch.float64)) * (torch.rand(20, model.n_features) < 0.6)
    loss = model.error(model.target(x), model(x)).mean()
    gradients = torch.autograd.grad(loss, [*model.parameters()])
    return torch.cat([own.flatten() for own in gradients])


def test_a_parameter_that_stays_has_no_symmetry() -> None:
    model = Untied(n_features=3, n_instances=1)
    model.V.requires_grad_(False)
    found = linear_symmetries(model, UNIT)
    assert {kind: len(own) for kind, own in found.items()} == {ROTATION: 0, SCALING: 0}


def test_the_model_is_left_as_it_was() -> None:
    model = ReLUOutputModel(n_features=3, n_instances=1)
    before = {name: own.clone() for name, own in model.named_parameters()}
    linear_symmetries(model, UNIT)
    assert all(torch.equal(own, before[name]) for name, own in model.named_parameters())
    assert all(own.grad is None for own in model.parameters())
