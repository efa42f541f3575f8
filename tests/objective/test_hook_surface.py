"""The surface of a model of which its hooks alone are known: against the closed form of one that is the same."""

import pytest
import torch
from torch import Tensor

from src.distributions.supports import SupportSizes
from src.model import ReLUOutputModel
from src.objective.hook_surface import HookSurface
from src.population.losses import QUADRATURE
from src.population.surface import ROTATION, PointwiseSurface
from src.theory.certificates import certify
from src.theory.critical_points import CriticalPoint
from src.theory.spectra import MINIMUM, UNDECIDED

HERE = torch.arange(1)


class ByHooks(ReLUOutputModel):
    """The post's model, which is not known to be."""

    def decode(self, h: Tensor) -> Tensor:
        return torch.relu(h @ self.W + self.b.unsqueeze(-2))


class Mixing(ReLUOutputModel):
    """An instance that cannot be computed without the others."""

    def decode(self, h: Tensor) -> Tensor:
        return torch.relu(h @ self.W + self.b.unsqueeze(-2)) * (1 + self.W.mean())


@pytest.fixture(scope="module")
def surfaces() -> tuple[HookSurface, PointwiseSurface, Tensor]:
    torch.manual_seed(0)
    model, distribution = ByHooks(n_features=3, n_instances=1), SupportSizes.independent(3, 0.2)
    surface = model.objective.surface(distribution)
    assert isinstance(surface, HookSurface)
    exact = PointwiseSurface({"W": (2, 3), "b": (3,)}, distribution)
    W, b = 0.8 * torch.randn(1, 2, 3), torch.tensor([[-0.1, 0.05, 0.1]])
    return surface, exact, exact.flatten({"W": W, "b": b})


def test_loss_gradient_and_hessian_are_the_closed_forms_to_the_errors_that_it_states(
    surfaces: tuple[HookSurface, PointwiseSurface, Tensor],
) -> None:
    surface, exact, point = surfaces
    found, right, errors = surface.derivatives(point, HERE), exact.derivatives(point, HERE), surface.errors(point, HERE)
    assert surface.method == QUADRATURE
    assert (found.loss - right.loss).abs() <= errors.loss
    assert (found.gradient - right.gradient).norm() <= 1e-3 * right.gradient.norm()
    off = torch.linalg.matrix_norm(found.hessian - right.hessian, ord=2)
    assert off <= errors.hessian
    assert errors.hessian <= 0.2 * torch.linalg.matrix_norm(right.hessian, ord=2)


def test_a_hessian_at_a_kink_is_not_trusted() -> None:
    """Columns at right angles, b = 0: the two sides have other curvatures, and the middle of both is neither."""
    model, distribution = ByHooks(n_features=3, n_hidden=3, n_instances=1), SupportSizes.independent(3, 0.2)
    model.W.data, model.b.data = torch.eye(3).unsqueeze(0), torch.zeros(1, 3)
    surface = model.objective.surface(distribution)
    point = model.objective.points(surface)
    exact = PointwiseSurface({"W": (3, 3), "b": (3,)}, distribution).derivatives(point, HERE)
    off = torch.linalg.matrix_norm(surface.derivatives(point, HERE).hessian - exact.hessian, ord=2)
    assert off <= surface.errors(point, HERE).hessian
    assert surface.kink_weight(point, HERE).isnan().all()


def test_symmetries_are_found(surfaces: tuple[HookSurface, PointwiseSurface, Tensor]) -> None:
    surface, exact, point = surfaces
    (found,), (expected,) = surface.symmetries(point)[ROTATION][0], exact.symmetries(point)[ROTATION][0]
    cosine = torch.nn.functional.cosine_similarity(found, expected, dim=0)
    assert cosine.abs().item() == pytest.approx(1, abs=1e-9)
    assert [kind for kind, own in surface.symmetries(point).items() if own.shape[1]] == [ROTATION]


def test_the_model_is_left_as_it_was(surfaces: tuple[HookSurface, PointwiseSurface, Tensor]) -> None:
    surface, _, point = surfaces
    before = {name: own.clone() for name, own in surface.model.named_parameters()}
    surface.derivatives(point, HERE)
    for name, own in surface.model.named_parameters():
        assert torch.equal(own, before[name])
        assert own.dtype is torch.float32
        assert own.grad is None


@pytest.mark.slow
def test_its_verdict_is_the_closed_forms_or_none() -> None:
    point, distribution = CriticalPoint(5, 5), SupportSizes.one_at_a_time(5)
    surface = ByHooks(n_features=5, n_instances=1).objective.surface(distribution)
    start = surface.flatten({"W": point.W.unsqueeze(0), "b": point.b.unsqueeze(0)})
    start += 0.01 * torch.nn.functional.normalize(torch.randn(start.shape, generator=torch.Generator().manual_seed(0)))
    found = certify(start, surface, reach=0.1)
    exact = certify(start, PointwiseSurface(surface.shapes, distribution), reach=0.1)
    assert exact.verdicts == [MINIMUM]
    assert found.verdicts in ([MINIMUM], [UNDECIDED])  # as far as its error supports one
    assert found.n_zero_modes.tolist() == exact.n_zero_modes.tolist() == [1]
    torch.testing.assert_close(found.stationary_loss, exact.stationary_loss, rtol=1e-4, atol=0)
    away = (found.min_eigenvalue - exact.min_eigenvalue).abs()
    assert (away <= found.hessian_error).all()


def test_an_instance_that_depends_on_others_has_no_surface() -> None:
    with pytest.raises(ValueError, match="does not compute an instance without the others"):
        Mixing(n_features=3, n_instances=2).objective.surface(SupportSizes.one_at_a_time(3))
