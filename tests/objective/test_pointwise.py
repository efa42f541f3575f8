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
from src.errors import ConfigError
from src.model import ReLUOutputModel, ToyModel
from src.objective import Autograd, Pointwise, ReLUOutput, build
from src.objective.policies import policy_of
from src.population.losses import CLOSED_FORM
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
    assert found.method == CLOSED_FORM
    torch.testing.assert_close(found.feature_losses, expected.feature_losses, rtol=2e-6, atol=0)
    torch.testing.assert_close(found.loss, found.feature_losses.mean(dim=1))
    assert model.objective.surface(population).method == CLOSED_FORM


def test_a_number_that_changes_is_the_policys_too() -> None:
    model, x = model_and_data(Leaky, 2, 6, own=False)
    before = model.objective.losses(x)
    model.slope = 0.2
    assert isinstance(model.objective, Pointwise)
    assert not torch.allclose(model.objective.losses(x), before)
    torch.testing.assert_close(model.objective.losses(x), Autograd(model).losses(x), **FLOAT64)


class LogOfSize(ToyModel):
    """Infinite at 0, where an example that is not there and a feature that is not there would be."""

    def activate(self, z: Tensor) -> Tensor:
        return z.abs().log()


@pytest.mark.slow
@pytest.mark.parametrize("n_features", [6, 20, 37])
def test_what_is_infinite_where_nothing_is_stays_out_of_the_sums(n_features: int) -> None:
    model, _ = model_and_data(LogOfSize, 2, n_features, own=False)
    with torch.no_grad():
        model.b *= float(n_features > 6)  # of a stack, 0: where the empty examples' z is
    x = torch.rand(39, n_features, dtype=torch.float64) + 0.1  # none is empty
    losses, found = model.objective.set_gradients(x), gradients(model)
    torch.testing.assert_close(losses, Autograd(model).set_gradients(x), **FLOAT64)
    torch.testing.assert_close(found, gradients(model), **FLOAT64)
    assert losses.isfinite().all()


class Holds(ToyModel):
    """A number in a dictionary."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.settings = {"slopes": [0.5]}

    def activate(self, z: Tensor) -> Tensor:
        return torch.maximum(z, self.settings["slopes"][0] * z)


@pytest.mark.slow
def test_a_number_in_a_dictionary_that_changes_is_the_policys_too() -> None:
    model, x = model_and_data(Holds, 2, 6, own=False)
    before = model.objective.losses(x)
    model.settings["slopes"][0] = 0.2  # type: ignore[index]
    assert not torch.allclose(model.objective.losses(x), before)
    torch.testing.assert_close(model.objective.losses(x), Autograd(model).losses(x), **FLOAT64)


SLOPE = [1.0]  # of the next class: what nothing that looks at a model sees


class Elsewhere(Leaky):
    def activate(self, z: Tensor) -> Tensor:
        return torch.maximum(z, SLOPE[0] * z)

    def training_step(self, *arguments: Any) -> Any:
        SLOPE[0] = 0.0
        return super().training_step(*arguments)


class Annealed(Leaky):
    """Its slope falls as it trains."""

    def training_step(self, *arguments: Any) -> Any:
        self.slope *= 0.9
        return super().training_step(*arguments)


class AsksForTheStep(Leaky):
    def activate(self, z: Tensor) -> Tensor:
        return torch.relu(z) * (1 + self.global_step)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        slow(Annealed, "a number of the model's changes"),
        slow(Elsewhere, "a number of the model's changes"),
        (AsksForTheStep, "asks the trainer"),
    ],
)
def test_what_changes_as_a_model_trains_is_left_to_autograd(kind: type[ToyModel], reason: str) -> None:
    model = kind(n_features=6, n_instances=2)
    trainer = Trainer(max_steps=100, accelerator="cpu", logger=False, enable_checkpointing=False, barebones=True)
    trainer.fit(model, SparseFeatures(6, 0.1, batch_size=16))
    assert reason in model.objective.description


@pytest.mark.slow
def test_a_policy_that_says_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = model_and_data(Leaky, 2, 6, own=False)
    another = policy_of(GELU(n_features=6))
    monkeypatch.setattr("src.objective.policies.policy_of", lambda model: another)
    assert "activate is another function when it is written out" in model.objective.description
    torch.testing.assert_close(model.objective.losses(x), Autograd(model).losses(x), **FLOAT64)


@pytest.mark.slow
def test_more_hidden_dimensions_than_the_kernel_takes_are_written_out() -> None:
    model, x = model_and_data(GELU, 17, 6, own=False)
    assert model.objective.description == ("kernel, written out whole: activate has more than 16 hidden dimensions")
    losses, found = model.objective.set_gradients(x), gradients(model)
    torch.testing.assert_close(losses, Autograd(model).set_gradients(x), **FLOAT64)
    torch.testing.assert_close(found, gradients(model), **FLOAT64)


def test_a_hook_with_a_misspelt_name_is_noticed() -> None:
    kind = type("Own", (ReLUOutputModel,), {"actiavte": lambda self, z: z})
    assert kind(n_features=6).objective.description == "kernel: Own overrides no hook"


def test_a_parameter_without_an_instance_axis_is_refused() -> None:
    class Shared(ReLUOutputModel):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.scale = torch.nn.Parameter(torch.ones(6))

    with pytest.raises(ConfigError, match=r"Shared.scale is \[6\]; it must be \[3, ...\]: the instance is the first"):
        _ = Shared(n_features=6, n_instances=3).objective
    model = ReLUOutputModel(n_features=6, n_instances=3)
    model.importance = torch.ones(3)
    with pytest.raises(ConfigError, match="importance"):
        _ = model.objective


def test_an_error_in_a_property_is_not_hidden() -> None:
    class Typo(ReLUOutputModel):
        @property
        def decoder(self) -> Tensor:
            return self.V  # type: ignore[return-value]

    with pytest.raises(AttributeError, match="no attribute 'V'"):
        _ = Typo(n_features=6).decoder


@pytest.mark.slow
def test_a_model_that_was_compiled_is_not_kept_alive() -> None:
    model, x = model_and_data(GELU, 2, 6, own=False)
    model.objective.set_gradients(x)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
