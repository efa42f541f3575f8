"""The kernel with a policy, a decoder, an importance: the losses and gradients of the model's own hooks."""

import gc
import weakref
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor

from src.data import SparseFeatures
from src.distributions.supports import SupportSizes
from src.model import ToyModel
from src.objective import Autograd, Pointwise, ReLUOutput, build
from src.objective.policies import policy_of
from src.population.quadrature import integrate
from src.variants import GELU, L4, Importance, Leaky, Linear, NoBias, SquaredReLU, Untied
from tests.objective.problems import FLOAT64, drawn
from tests.running import slow

KINDS = [GELU, slow(Leaky), slow(Linear), slow(SquaredReLU), slow(L4), Untied, Importance, NoBias]
SIZES = [(2, 6), slow((2, 20)), slow((3, 6)), slow((5, 40))]  # hidden, features: the stack's loop and the wide one


def model_and_data(kind: type[ToyModel], n_hidden: int, n_features: int, own: bool) -> tuple[ToyModel, Tensor]:
    """Nine instances in float64, and examples with none, one and more active features."""
    if build.library() is None:
        pytest.skip("there is no C++ compiler")
    model = kind(n_features=n_features, n_hidden=n_hidden, n_instances=9).double()
    with torch.no_grad():
        model.b += 0.1 * torch.randn(model.b.shape, dtype=torch.float64) * model.b.requires_grad
    _, _, x = drawn(9, n_hidden, n_features, n_batch=70, own=own, p=1.5 / n_features)
    return model, x


def gradients(model: ToyModel) -> list[Tensor | None]:
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_those_of_the_hooks(kind: type[ToyModel], size: tuple[int, int]) -> None:
    for own in (False, True):
        model, x = model_and_data(kind, *size, own)
        assert isinstance(model.objective, Pointwise)
        assert model.objective.has_threads
        for weights in (None, torch.rand(70, dtype=torch.float64)):
            losses, found = model.objective.set_gradients(x, weights=weights), gradients(model)
            expected = Autograd(model).set_gradients(x, weights=weights)
            torch.testing.assert_close(losses, expected, **FLOAT64)
            torch.testing.assert_close(found, gradients(model), **FLOAT64)
            if not own:
                torch.testing.assert_close(model.objective.losses(x, weights), expected, **FLOAT64)
                torch.testing.assert_close(model.objective.losses(x, weights, [8, 2]), expected[[8, 2]], **FLOAT64)


def test_what_is_not_trained_has_no_gradient() -> None:
    model, x = model_and_data(NoBias, 2, 6, own=False)
    model.objective.set_gradients(x)
    assert model.b.grad is None
    assert model.W.grad is not None


def test_a_decoder_that_is_made_from_a_parameter_is_trained_through_it() -> None:
    class Scaled(Untied):
        @property
        def decoder(self) -> Tensor:
            return 2 * self.V

    model, x = model_and_data(Scaled, 2, 6, own=False)
    losses, found = model.objective.set_gradients(x), gradients(model)
    torch.testing.assert_close(losses, Autograd(model).set_gradients(x), **FLOAT64)
    torch.testing.assert_close(found, gradients(model), **FLOAT64)


@pytest.mark.parametrize("kind", [Untied, Importance])
def test_the_closed_form_is_the_quadrature(kind: type[ToyModel]) -> None:
    model = kind(n_features=3, n_instances=4)
    assert isinstance(model.objective, ReLUOutput)
    population = SupportSizes.independent(3, 0.2)
    found = model.losses_over(population)
    double = kind(n_features=3, n_instances=4).double()
    expected = integrate(lambda x, weights: Autograd(double).losses(x, weights), population)
    assert found.method == "closed form"
    torch.testing.assert_close(found.feature_losses, expected.feature_losses, rtol=2e-6, atol=0)
    torch.testing.assert_close(found.loss, found.feature_losses.mean(dim=1))
    assert not model.objective.has_closed_form  # with its derivatives


def test_a_number_that_changes_is_the_policys_too() -> None:
    model, x = model_and_data(Leaky, 2, 6, own=False)
    before = model.objective.losses(x)
    model.slope = 0.2
    assert isinstance(model.objective, Pointwise)
    assert not torch.allclose(model.objective.losses(x), before)
    torch.testing.assert_close(model.objective.losses(x), Autograd(model).losses(x), **FLOAT64)


class Annealed(Leaky):
    """Its slope falls as it trains."""

    def training_step(self, *arguments: Any) -> Any:
        self.slope *= 0.9
        return super().training_step(*arguments)


class AsksForTheStep(Leaky):
    def activate(self, z: Tensor) -> Tensor:
        return torch.relu(z) * (1 + self.global_step)


@pytest.mark.parametrize(
    ("kind", "reason"), [slow(Annealed, "a number of the model's changes"), (AsksForTheStep, "asks the trainer")]
)
def test_what_changes_as_a_model_trains_is_left_to_autograd(kind: type[ToyModel], reason: str) -> None:
    model = kind(n_features=6, n_instances=2)
    trainer = Trainer(max_steps=100, accelerator="cpu", logger=False, enable_checkpointing=False, barebones=True)
    trainer.fit(model, SparseFeatures(6, 0.1, batch_size=16))
    assert reason in model.objective.description


def test_a_policy_that_says_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = model_and_data(Leaky, 2, 6, own=False)
    another = policy_of(GELU(n_features=6))
    monkeypatch.setattr("src.objective.policies.policy_of", lambda model: another)
    assert "activate is another function when it is written out" in model.objective.description
    torch.testing.assert_close(model.objective.losses(x), Autograd(model).losses(x), **FLOAT64)


def test_a_model_that_was_compiled_is_not_kept_alive() -> None:
    model, x = model_and_data(GELU, 2, 6, own=False)
    model.objective.set_gradients(x)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
