"""Nearest stationary points, spectra and verdicts, on points whose place in the landscape is known."""

import pytest
import torch
from torch import Tensor

from src.distributions.supports import SupportSizes
from src.population.surface import ROTATION, PointwiseSurface
from src.theory.certificates import certify
from src.theory.critical_points import CriticalPoint
from src.theory.spectra import DEGENERATE, MINIMUM, NOT_STATIONARY, SADDLE, classify, spectra

MINIMA = [CriticalPoint(5, 6, 1), CriticalPoint(6, 6)]


def one_at_a_time(n_features: int, n_hidden: int = 2) -> PointwiseSurface:
    shapes = {"W": (n_hidden, n_features), "b": (n_features,)}
    return PointwiseSurface(shapes, SupportSizes.one_at_a_time(n_features))


def near(point: CriticalPoint, distance: float, seed: int = 0, n: int = 1) -> Tensor:
    """So many models at a distance from a critical point, in random directions, turned by one radian."""
    surface = one_at_a_time(point.n_features)
    start = surface.flatten({"W": _turned(point.W).unsqueeze(0), "b": point.b.unsqueeze(0)})
    generator = torch.Generator().manual_seed(seed)
    away = torch.randn(n, start.shape[1], generator=generator, dtype=torch.float64)
    return start + distance * away / away.norm(dim=1, keepdim=True)


def _turned(W: Tensor) -> Tensor:
    c, s = torch.tensor(1.0).double().cos(), torch.tensor(1.0).double().sin()
    return torch.stack([c * W[0] - s * W[1], s * W[0] + c * W[1]])


@pytest.mark.parametrize("point", MINIMA, ids=lambda point: point.name)
def test_a_model_near_a_minimum_is_certified_to_be_there(point: CriticalPoint) -> None:
    found = certify(near(point, 0.02, n=8), one_at_a_time(6))
    assert found.verdicts == [MINIMUM] * 8
    torch.testing.assert_close(
        6 * found.stationary_loss, torch.full((8,), point.loss, dtype=torch.float64), rtol=1e-10, atol=0
    )
    assert (found.stationary_gradient_norm < 1e-10).all()
    assert (found.gradient_norm > 1e-5).all()
    assert (found.loss > found.stationary_loss).all()
    assert (found.distance <= 0.02).all()  # a rotation of the point is nearer than the point itself
    assert (found.n_zero_modes == 1).all()
    assert (found.min_eigenvalue > 0).all()
    assert torch.equal(found.eigenvalues[:, 0], found.min_eigenvalue)


def test_a_model_near_a_saddle_is_certified_to_be_there() -> None:
    found = certify(near(CriticalPoint(3, 4, 1), 0.003, n=4), one_at_a_time(4))
    assert found.verdicts == [SADDLE] * 4
    assert (found.n_negative == 2).all()
    assert (found.min_eigenvalue < 0).all()
    # Its angles are free, so the stationary point nearest by has another W but the same loss.
    expected = torch.full((4,), CriticalPoint(3, 4, 1).loss, dtype=torch.float64)
    torch.testing.assert_close(4 * found.stationary_loss, expected)


def test_a_point_with_one_more_flat_direction_is_degenerate() -> None:
    found = certify(near(CriticalPoint(5, 6), 0.0), one_at_a_time(6))
    assert found.verdicts == [DEGENERATE]
    assert (found.n_zero_modes.item(), found.n_rotations.item()) == (4, 1)  # a dead column's two entries and its bias
    assert (found.n_scalings.item(), found.n_dead.item()) == (0, 3)
    assert found.kink_weight.item() == 1  # the dead feature's z is at the kink in every example


def test_a_model_that_is_far_from_everything_is_not_stationary() -> None:
    start = near(CriticalPoint(6, 6), 0.3)
    found = certify(start, one_at_a_time(6), reach=1e-3)
    assert found.verdicts == [NOT_STATIONARY]
    assert torch.equal(found.points, start)
    assert found.distance.item() == 0


def test_the_weights_of_another_precision_are_certified_alike() -> None:
    start, surface = near(CriticalPoint(6, 6), 0.02), one_at_a_time(6)
    single = surface.flatten({name: own.float() for name, own in surface.unflatten(start).items()})
    found, expected = (certify(own, surface).min_eigenvalue for own in (single, start))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_an_instance_has_the_same_certificate_alone_and_in_company() -> None:
    start, surface = near(CriticalPoint(5, 6, 1), 0.05, n=3), one_at_a_time(6)
    whole, alone = certify(start, surface), certify(start[1:2], surface)
    assert alone.verdicts == whole.verdicts[1:2]
    torch.testing.assert_close(alone.distance, whole.distance[1:2], rtol=1e-9, atol=0)


def test_progress_counts_every_instance_once() -> None:
    counts: list[int] = []
    certify(near(CriticalPoint(3, 3), 0.0, n=130), one_at_a_time(3), on_progress=counts.append)
    assert sum(counts) == 130


# Rotations


@pytest.mark.parametrize(("n_hidden", "n_rotations"), [(1, 0), (2, 1), (3, 3), (4, 6)])
def test_the_loss_has_no_slope_along_any_rotation(n_hidden: int, n_rotations: int) -> None:
    generator = torch.Generator().manual_seed(0)
    W = 0.5 * torch.randn(1, n_hidden, 5, generator=generator, dtype=torch.float64)
    surface = PointwiseSurface({"W": (n_hidden, 5), "b": (5,)}, SupportSizes.independent(5, 0.2))
    point = surface.flatten({"W": W, "b": torch.full((1, 5), -0.1)})
    symmetries = surface.symmetries(point)
    assert symmetries[ROTATION].shape == (1, n_rotations, 5 * n_hidden + 5)
    at = surface.derivatives(point, torch.zeros(1).long())
    assert (symmetries[ROTATION] @ at.gradient.unsqueeze(-1)).abs().max() < 1e-14 if n_rotations else True
    assert spectra(at.hessian, symmetries).n_rotations.item() == n_rotations


def test_weights_that_lie_on_a_line_are_moved_by_fewer_rotations() -> None:
    W = torch.zeros(2, 3, 4, dtype=torch.float64)
    W[0, 0] = 1
    surface = one_at_a_time(4, 3)
    symmetries = surface.symmetries(surface.flatten({"W": W, "b": torch.zeros(2, 4)}))
    rotations = spectra(torch.eye(16, dtype=torch.float64).repeat(2, 1, 1), symmetries).n_rotations
    assert rotations.tolist() == [2, 0]  # about the line nothing turns; of nothing, nothing


def test_rotations_are_taken_out_of_the_spectrum_and_nothing_else() -> None:
    generator = torch.Generator().manual_seed(1)
    surface = one_at_a_time(3)
    symmetries = surface.symmetries(torch.randn(1, 9, generator=generator, dtype=torch.float64))
    A = torch.randn(9, 9, generator=generator, dtype=torch.float64)
    r = torch.nn.functional.normalize(symmetries[ROTATION][0, 0], dim=0)
    across = torch.eye(9, dtype=torch.float64) - torch.outer(r, r)
    hessian = across @ (A + A.T) @ across
    found = spectra(hessian.unsqueeze(0), symmetries)
    expected = torch.linalg.eigvalsh(hessian)
    expected = expected[expected.abs() > 1e-12]  # without the one zero of the rotation
    torch.testing.assert_close(found.eigenvalues[0, :8], expected)
    assert found.eigenvalues[0, 8].isnan()
    assert (found.n_zero_modes.item(), found.n_negative.item()) == (1, int((expected < 0).sum()))
    assert classify(found) == [SADDLE]
