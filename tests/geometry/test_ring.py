"""The columns of W as a ring in Fourier modes."""

import math

import pytest
import torch

from src.geometry.ring import (
    STAR,
    columns_of,
    dipole,
    placed_columns,
    regular_star,
    ring_of,
    waves,
    with_columns,
    with_dipole,
)


def drawn(n_features: int = 6, n: int = 50) -> torch.Tensor:
    return torch.randn(n, 2, n_features, generator=torch.Generator().manual_seed(n_features)).double()


def rotation(angle: float) -> torch.Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]]).double()


@pytest.mark.parametrize("n_features", [3, 5, 6, 8])
def test_a_ring_and_its_columns_are_the_same(n_features: int) -> None:
    W = drawn(n_features)
    ring = ring_of(W)
    torch.testing.assert_close(columns_of(ring), W)
    assert bool((placed_columns(ring).angle().diff(dim=1) > 0).all())
    again = with_columns(ring, placed_columns(ring))
    torch.testing.assert_close(again.modes, ring.modes)


def test_modes_are_the_sum_that_the_page_says() -> None:
    ring, k = ring_of(drawn()), torch.arange(6).double()
    summed = sum(ring.modes[:, [m]] * torch.polar(torch.ones(6).double(), 2 * math.pi * m * k / 6) for m in range(6))
    torch.testing.assert_close(placed_columns(ring), summed)
    own = waves(ring)
    star = ring.modes[:, [STAR]] * torch.polar(torch.ones(6).double(), 2 * math.pi * k / 6)
    shares = sum(own[:, [q]] * torch.polar(torch.ones(6).double(), 2 * math.pi * q * k / 6) for q in range(6))
    torch.testing.assert_close(placed_columns(ring), star * shares)


def test_a_regular_star_has_no_waves() -> None:
    own = waves(ring_of(rotation(0.4) @ regular_star(6, 0.7).unsqueeze(0)))
    torch.testing.assert_close(own[0, 0].abs(), torch.tensor(1.0).double())
    assert float(own[0, 1:].abs().max()) < 1e-12


def test_lengths_of_waves_do_not_change_with_the_view() -> None:
    W = drawn()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    mirror = torch.tensor([[1.0, 0.0], [0.0, -1.0]]).double()
    for other in (rotation(1.1) @ W, mirror @ W, W[:, :, order], 3.5 * W):
        for of in (lambda ring: waves(ring).abs(), lambda ring: dipole(ring, -0.3).abs()):
            torch.testing.assert_close(of(ring_of(other)), of(ring_of(W)))


def test_columns_without_odd_waves_are_pairs_of_opposites() -> None:
    ring = ring_of(drawn())
    modes = ring.modes.clone()
    modes[:, [0, 2, 4]] = 0
    placed = placed_columns(ring._replace(modes=modes))
    torch.testing.assert_close(placed[:, :3], -placed[:, 3:])


def test_a_dipole_is_set_in_the_smallest_way() -> None:
    ring, mixing = ring_of(drawn()), -0.3
    target = torch.polar(torch.full((50,), 0.4).double(), torch.linspace(0, 6, 50).double())
    changed = with_dipole(ring, target, mixing)
    torch.testing.assert_close(dipole(changed, mixing), target)
    torch.testing.assert_close(changed.modes[:, [1, 3, 4, 5]], ring.modes[:, [1, 3, 4, 5]])
    size = (changed.modes - ring.modes).abs().square().sum(dim=1)
    # Along e_1 and conj(e_-1) by a and b with a + mixing b fixed, a^2 + b^2 is least where b = mixing a.
    for share in (0.9, 1.1):
        modes, missing = ring.modes.clone(), target - dipole(ring, mixing)
        first = share * missing / (1 + mixing**2)
        second = (missing - first) / mixing
        modes[:, 2] += first * modes[:, 1]
        modes[:, 0] += second.conj() * modes[:, 1]
        torch.testing.assert_close(dipole(ring._replace(modes=modes), mixing), target)
        assert bool(((modes - ring.modes).abs().square().sum(dim=1) > size).all())
