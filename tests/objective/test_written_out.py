"""Models with hooks of any kind, written out whole: the losses and gradients of the hooks, or a reason why not."""

from typing import Any

import pytest
import torch
from torch import Tensor

from src.model import ReLUOutputModel, ToyModel
from src.objective import Autograd, build
from src.objective.written_out import WrittenOut
from src.variants import AbsoluteValue, HiddenReLU, ResidualMLP
from tests.objective.problems import FLOAT64, drawn
from tests.running import slow
from tests.variants import LeakyModel, Shifted


class TwoLayers(ReLUOutputModel):
    """A further parameter, a buffer, an einsum, a softmax and a norm."""

    scale: Tensor

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        (U,) = self.drawn((self.n_hidden, self.n_hidden))
        self.U, self.unused = torch.nn.Parameter(U), torch.nn.Parameter(torch.zeros_like(U))
        self.register_buffer("scale", torch.linspace(1, 2, self.n_features))

    def encode(self, x: Tensor) -> Tensor:
        h = torch.tanh(torch.einsum("ikl,ibl->ibk", self.U, super().encode(x * self.scale)))
        return h / (0.1 + h.norm(dim=-1, keepdim=True))

    def decode(self, h: Tensor) -> Tensor:
        z = h @ self.W + self.b.unsqueeze(-2)
        return torch.softmax(z, dim=-1) * z.amax(dim=-1, keepdim=True)


class Sliced(LeakyModel):
    """Entries chosen, cut, turned and put together."""

    def decode(self, h: Tensor) -> Tensor:
        z = h @ self.W + self.b.unsqueeze(-2)
        first, others = z[..., :1], z[..., 1:]
        return torch.cat([first.abs(), torch.relu(others)], dim=-1) + z[..., 2].unsqueeze(-1) ** 3


class Ordered(ReLUOutputModel):
    """Entries that others choose: the largest two of z, sums of those before, the order in which they stand."""

    def decode(self, h: Tensor) -> Tensor:
        z = h @ self.W + self.b.unsqueeze(-2)
        values, places = z.topk(2, dim=-1)
        largest = torch.zeros_like(z).scatter(-1, places, torch.relu(values))
        return largest + 0.1 * z.cumsum(dim=-1).sort(dim=-1, descending=True).values * z[..., torch.arange(5, -1, -1)]


class Summed(ReLUOutputModel):
    """Its own losses, with a term that does not depend on the examples."""

    def activate(self, z: Tensor) -> Tensor:
        return torch.softmax(z, dim=-1)

    def feature_losses(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        return super().feature_losses(x, weights) + 0.1 * self.W.square().sum(dim=1)


KINDS = [
    TwoLayers,
    Ordered,
    slow(Sliced),
    slow(Summed),
    slow(Shifted),
    slow(HiddenReLU),
    slow(AbsoluteValue),
    slow(ResidualMLP),
]


def model_and_data(kind: type[ToyModel], n_instances: int = 19, own: bool = False) -> tuple[ToyModel, Tensor]:
    if build.library() is None:
        pytest.skip("there is no C++ compiler")
    model = kind(n_features=6, n_instances=n_instances).double()
    x = drawn(n_instances, n_batch=300, own=own, p=0.2)[2]
    return model, x * (2 * torch.rand(x.shape) - 1).sign()


def gradients(model: ToyModel) -> list[Tensor | None]:
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_those_of_the_hooks(kind: type[ToyModel]) -> None:
    for own in (False, True):
        model, x = model_and_data(kind, own=own)
        assert isinstance(model.objective, WrittenOut), model.objective.description
        assert model.objective.has_threads
        for weights in (None, torch.rand(300, dtype=torch.float64).softmax(dim=0)):
            losses, found = model.objective.set_gradients(x, weights=weights), gradients(model)
            expected = Autograd(model).set_gradients(x, weights=weights)
            torch.testing.assert_close(losses, expected, **FLOAT64)
            torch.testing.assert_close(found, gradients(model), **FLOAT64)
        if not own:
            torch.testing.assert_close(
                model.objective.losses(x, None, [7, 3]), model.feature_losses(x)[[7, 3]], **FLOAT64
            )


def test_single_precision_is_as_exact_as_torchs() -> None:
    model, x = model_and_data(TwoLayers)
    Autograd(model).set_gradients(x)
    exact, single = gradients(model), TwoLayers(n_features=6, n_instances=19)
    errors = []
    for objective in (single.objective, Autograd(single)):
        objective.set_gradients(x.float())
        pairs = zip(gradients(single), exact, strict=True)
        errors.append(
            max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs if a is not None and b is not None)
        )
    assert errors[0] <= 4 * errors[1]


def test_an_instance_is_what_it_is_alone() -> None:
    model, x = model_and_data(TwoLayers)
    alone = TwoLayers(n_features=6, seeds=[7]).double()
    torch.testing.assert_close(alone.objective.losses(x)[0], model.objective.losses(x)[7], rtol=0, atol=0)


class Mixed(ReLUOutputModel):
    def encode(self, x: Tensor) -> Tensor:
        h = super().encode(x)
        return h - h.mean(dim=-2, keepdim=True)


class MixedLater(ReLUOutputModel):
    """As long as alpha is 0, every example is on its own."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.alpha = torch.nn.Parameter(torch.zeros(self.n_instances, 1, 1))

    def encode(self, x: Tensor) -> Tensor:
        h = super().encode(x)
        return h - self.alpha * h.mean(dim=-2, keepdim=True)


class CoupledLater(MixedLater):
    def encode(self, x: Tensor) -> Tensor:
        h = ReLUOutputModel.encode(self, x)
        return h - self.alpha * h.mean(dim=0)


class MixedByTheBias(ReLUOutputModel):
    def decode(self, h: Tensor) -> Tensor:
        z = h @ self.W
        return torch.relu(z + self.b.unsqueeze(-2) * (1 + z.mean(dim=-2, keepdim=True)))


class MixedIfLarge(ReLUOutputModel):
    def encode(self, x: Tensor) -> Tensor:
        h = super().encode(x)
        return h / h.norm(dim=-1, keepdim=True).amax(dim=1, keepdim=True).clamp(min=3)


class OfEveryInstance(ReLUOutputModel):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.register_buffer("scale", torch.linspace(1, 2, self.n_instances).view(-1, 1, 1))

    def encode(self, x: Tensor) -> Tensor:
        return self.scale * super().encode(x)


class Noisy(ReLUOutputModel):
    def encode(self, x: Tensor) -> Tensor:
        return super().encode(x) * (1 + 1e-5 * torch.rand(()))


class Transformed(ReLUOutputModel):
    def decode(self, h: Tensor) -> Tensor:
        return torch.fft.rfft(super().decode(h)).abs().repeat(1, 1, 2)[..., :6]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Mixed, "an example's loss depends on the others"),
        (MixedLater, "an example's loss depends on the others"),
        slow(MixedByTheBias, "an example's loss depends on the others"),
        slow(MixedIfLarge, "another function when one instance and one example are written out"),
        slow(CoupledLater, "another function when one instance and one example are written out"),
        (OfEveryInstance, "does not treat every instance on its own"),
        (Noisy, "it has random numbers"),
        (Transformed, "takes fft"),
    ],
)
def test_what_cannot_be_written_out_is_left_to_autograd_with_a_reason(kind: type[ToyModel], reason: str) -> None:
    model, x = kind(n_features=6, n_instances=3), drawn(n_batch=300, p=0.2)[2].float()
    assert model.objective.description.startswith("autograd: ")
    assert reason in model.objective.description
    losses = model.objective.set_gradients(x)
    torch.testing.assert_close(losses, model.feature_losses(x).detach(), rtol=1e-3, atol=1e-6)


def test_a_wide_model_is_not_written_out() -> None:
    assert "too large" in HiddenReLU(n_features=100).objective.description
