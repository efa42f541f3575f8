"""Certificates over surfaces: against what is known of linear models, zero modes by reason, and signs left open."""

import pytest
import torch
from torch import Tensor

from src.distributions import Independent
from src.distributions.supports import Enumerated, SupportSizes
from src.population.derivatives import Derivatives
from src.population.pieces import Pieces
from src.population.surface import Errors, PointwiseSurface, Surface
from src.theory.certificates import certify
from src.theory.spectra import DEGENERATE, MINIMUM, SADDLE, UNDECIDED
from tests.running import slow

LINEAR = Pieces((), ({(0, 2): 1.0, (1, 1): -2.0, (2, 0): 1.0},))
N, M = 4, 2


def linear(distribution: Enumerated, is_tied: bool = True, importance: Tensor | None = None) -> PointwiseSurface:
    shapes = {"W": (M, N), "b": (N,)} | ({} if is_tied else {"V": (M, N)})
    return PointwiseSurface(shapes, distribution, LINEAR, importance=importance)


def variances(probabilities: Tensor) -> Tensor:
    """Of features that are active so often: of a uniform x_i, E[x^2] - E[x]^2 = p / 3 - p^2 / 4."""
    return probabilities / 3 - probabilities.square() / 4


def principal(rows: list[int], probabilities: Tensor, is_tied: bool = True) -> dict[str, Tensor]:
    """The projection to these features, whose means the bias adds for the others."""
    W = torch.eye(N, dtype=torch.float64)[rows].unsqueeze(0)
    b = probabilities.double() / 2
    b[rows] = 0
    return {"W": W, "b": b.unsqueeze(0)} | ({} if is_tied else {"V": W})


def beside(surface: Surface, parameters: dict[str, Tensor], distance: float = 0.03) -> Tensor:
    start = surface.flatten(parameters)
    away = torch.randn(start.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return start + distance * away / away.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("is_tied", [True, slow(False)], ids=["tied", "untied"])
def test_equal_variances_leave_the_subspace_of_a_linear_model_free(is_tied: bool) -> None:
    """m (n - m) directions turn it and change nothing: flat for real, so that it is degenerate."""
    p = torch.full((N,), 0.3)
    surface = linear(SupportSizes.independent(N, 0.3), is_tied)
    found = certify(beside(surface, principal([0, 1], p, is_tied)), surface)
    least = (N - M) / N * (0.3 / 3 - 0.3**2 / 4)  # of the mean over features: what n - m components carry
    assert found.stationary_loss.item() == pytest.approx(least, rel=1e-10)
    assert found.n_rotations.item() == M * (M - 1) // 2
    assert found.n_scalings.item() == (0 if is_tied else M * (M + 1) // 2)
    assert found.n_zero_modes.item() == found.n_rotations.item() + found.n_scalings.item() + M * (N - M)
    assert (found.n_negative.item(), found.n_dead.item()) == (0, 0)
    assert found.verdicts == [DEGENERATE]


PROBABILITIES = [0.6, 0.4, 0.2, 0.1]


@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("rows", [[0, 1], [0, 2], [2, 3]])
def test_with_other_variances_the_top_principal_components_are_the_only_minimum(rows: list[int], is_tied: bool) -> None:
    """Any others are a saddle, with a negative eigenvalue for each pair of which the larger is left out."""
    distribution, p = Independent(PROBABILITIES).supports, torch.tensor(PROBABILITIES, dtype=torch.float64)
    assert distribution is not None
    surface = linear(distribution, is_tied)
    found = certify(beside(surface, principal(rows, p, is_tied), 1e-3), surface)
    left_out = [j for j in range(N) if j not in rows]
    assert found.stationary_loss.item() == pytest.approx(float(variances(p)[left_out].sum() / N), rel=1e-9)
    n_wrong = sum(p[j] > p[i] for i in rows for j in left_out)
    assert found.n_negative.item() == n_wrong
    assert found.verdicts == [SADDLE if n_wrong else MINIMUM]
    assert found.n_zero_modes.item() == (1 if is_tied else 4)  # a rotation, and three scalings


def test_importance_chooses_among_equal_variances() -> None:
    """Untied, it keeps the two that count more."""
    importance, p = torch.tensor([1.0, 0.9, 0.3, 0.2]), torch.full((N,), 0.3)
    surface = linear(SupportSizes.independent(N, 0.3), False, importance)
    found = certify(beside(surface, principal([0, 1], p, False), 1e-2), surface)
    assert found.verdicts == [MINIMUM]
    assert found.stationary_loss.item() == pytest.approx(0.5 / N * (0.3 / 3 - 0.3**2 / 4), rel=1e-6)
    assert (found.n_rotations.item(), found.n_scalings.item(), found.n_zero_modes.item()) == (1, 3, 4)


def test_an_answer_that_is_never_on_has_a_bias_that_does_nothing() -> None:
    """Beside three features in a triangle one without a column, whose bias is below the kink."""
    surface = PointwiseSurface({"W": (2, 4), "b": (4,)}, SupportSizes.independent(4, 0.1))
    angles = torch.tensor([0.0, 2.0944, 4.1888], dtype=torch.float64)
    W = torch.cat([torch.stack([angles.cos(), angles.sin()]), torch.zeros(2, 1, dtype=torch.float64)], dim=1)
    start = surface.flatten({"W": W.unsqueeze(0), "b": torch.tensor([[0.0, 0.0, 0.0, -0.5]])})
    found = certify(start, surface)
    assert found.n_dead.item() == 1  # its column is no parameter that does nothing: it would disturb the others
    assert (found.n_rotations.item(), found.n_zero_modes.item()) == (1, 2)
    assert found.verdicts == [DEGENERATE]


class Fake(Surface):
    """Half the squared distance from the origin, with these curvatures, known to an error."""

    def __init__(self, curvatures: list[float], error: float) -> None:
        super().__init__({"W": (1, len(curvatures))})
        self.curvatures, self.error = torch.tensor(curvatures, dtype=torch.float64), error

    def derivatives(self, points: Tensor, instances: Tensor) -> Derivatives:
        loss = 0.5 * (points.square() @ self.curvatures)
        return Derivatives(loss, points * self.curvatures, self.curvatures.diag().expand(len(points), -1, -1))

    def errors(self, points: Tensor, instances: Tensor) -> Errors:
        return Errors(torch.zeros_like(points[:, 0]), torch.full_like(points[:, 0], self.error))


@pytest.mark.parametrize(
    ("curvatures", "error", "verdict", "n_unsure"),
    [
        ([1.0, 0.5], 0.0, MINIMUM, 0),
        ([1.0, 0.01], 0.001, MINIMUM, 0),
        ([1.0, 0.001], 0.01, UNDECIDED, 1),
        ([1.0, -0.001], 0.01, UNDECIDED, 1),
        ([1.0, -0.1], 0.01, SADDLE, 0),
        ([-1.0, 0.001], 0.01, SADDLE, 1),
        ([1.0, 0.0], 0.0, DEGENERATE, 0),
        ([1.0, 0.0], 0.01, UNDECIDED, 1),
    ],
)
def test_a_sign_that_the_error_leaves_open_is_not_decided(
    curvatures: list[float], error: float, verdict: str, n_unsure: int
) -> None:
    found = certify(torch.zeros(1, 2, dtype=torch.float64), Fake(curvatures, error))
    assert (found.verdicts, found.n_unsure.item()) == ([verdict], n_unsure)
    assert found.hessian_error.item() == error
