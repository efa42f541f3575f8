"""How a small star grows, and its waves with it: against the gradient flow of all parameters."""

import math

import pytest
import torch

from src.geometry.ring import regular_star
from src.starts.waves import MIXING
from src.theory.family import ReLUFamily, as_points, independent
from src.theory.growth import Growth, Waves, grow
from tests.running import slow

P, RADIUS, SMALL = 0.1, 0.5, 1e-5


def flow(family: ReLUFamily, points: torch.Tensor, end: float, n_steps: int) -> torch.Tensor:
    """Points at a time, by the classical Runge-Kutta method."""
    surface, step, nobody = independent(family, P, points), end / n_steps, torch.zeros(len(points)).long()

    def speed(at: torch.Tensor) -> torch.Tensor:
        return -surface.derivatives(at, nobody).gradient

    for _ in range(n_steps):
        k1 = speed(points)
        k2 = speed(points + step / 2 * k1)
        k3 = speed(points + step / 2 * k2)
        k4 = speed(points + step * k3)
        points = points + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return points


@pytest.fixture(scope="module", params=[4, slow(5)])
def grown(request: pytest.FixtureRequest) -> tuple[ReLUFamily, Growth]:
    family = ReLUFamily(request.param)
    return family, grow(family, P, RADIUS)


def test_disturbances_of_the_flow_grow_by_the_gains(grown: tuple[ReLUFamily, Growth]) -> None:
    family, course = grown
    waves, i = Waves(family), int((course.times < 60).sum())
    star = (RADIUS * waves.star).unsqueeze(0)
    disturbed = [star]
    for q, directions in enumerate(waves.of, 1):
        disturbed += [star + SMALL * own for own in directions[: waves.n_columns(q)]]
    ends = flow(family, torch.cat(disturbed), float(course.times[i]), n_steps=20)
    assert float(ends[0] @ waves.star) / family.n_features == pytest.approx(course.radii[i], rel=1e-3)
    assert float(ends[0] @ waves.bias) / family.n_features == pytest.approx(course.biases[i], abs=1e-3)
    deltas = (ends[1:] - ends[0]) / SMALL
    first = 0
    for q, directions in enumerate(waves.of, 1):
        k = waves.n_columns(q)
        become = directions[:k] @ deltas[first : first + k].mT
        gain = float(torch.linalg.matrix_norm(become, 2)) * RADIUS / course.radii[i]
        assert gain == pytest.approx(course.gains[i, q - 1], rel=5e-3)
        first += k


def test_waves_do_not_mix() -> None:
    family = ReLUFamily(6)
    waves = Waves(family)
    point = (0.8 * waves.star - 0.05 * waves.bias).unsqueeze(0)
    hessian = independent(family, 0.057, point).derivatives(point, torch.zeros(1).long()).hessian[0]
    for q, own in enumerate(waves.of):
        for other in waves.of[q + 1 :]:
            torch.testing.assert_close(own @ hessian @ other.mT, torch.zeros(len(own), len(other)).double())


def test_a_star_of_four_ends_as_a_square_and_none_of_its_waves_grow(grown: tuple[ReLUFamily, Growth]) -> None:
    family, course = grown
    assert bool((course.gains[-1] < 1e-3).all())
    W = regular_star(family.n_features, float(course.radii[-1])).unsqueeze(0)
    b = torch.full((1, family.n_features), float(course.biases[-1])).double()
    end = as_points(family.shapes(family.n_features, 2), W, b)
    gradient = independent(family, P, end).derivatives(end, torch.zeros(1).long()).gradient
    assert float(gradient.norm()) < 1e-5
    assert course.largest[0] < 1.2


@pytest.mark.slow
def test_the_hexagons_dipole_grows_most_and_has_the_mixing_that_starts_assume() -> None:
    course = grow(ReLUFamily(6), 0.057, 0.4)
    assert course.largest[0] > 1.4
    assert course.largest[0] > course.largest[1:].max()
    assert course.mixing == pytest.approx(MIXING, abs=0.005)
    assert math.isclose(course.radii[-1], 1.1712, abs_tol=1e-3)
