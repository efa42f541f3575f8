"""A seed's W with one thing changed, and the controls."""

import math
import re
from typing import Any

import pytest
import torch

from src.errors import ConfigError
from src.geometry.ring import Ring, dipole, placed_columns, ring_of, waves, with_columns
from src.model import ReLUOutputModel
from src.starts import (
    Dipole,
    EqualGaps,
    EqualNorms,
    PermutedGaps,
    PermutedNorms,
    Scaled,
    ScaledWaves,
    Start,
    Turned,
    TurnedWaves,
)
from src.starts.edits import Edit
from src.starts.waves import MIXING, OfWaves

EVERY = [
    EqualNorms(),
    PermutedNorms(),
    EqualGaps(),
    PermutedGaps(),
    Turned(30.0),
    Scaled(0.5),
    ScaledWaves([1, -1, 3]),
    TurnedWaves([1, -1]),
    Dipole(0.2),
    Dipole(None, turned=True),
]
N = 40


def started(start: Start | None, n: int = N, **arguments: Any) -> torch.Tensor:
    return ReLUOutputModel(6, n_instances=n, start=start, **arguments).W.detach()


def sides(W: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Norms in the order of the angles, and the gaps between neighbours."""
    own = placed_columns(ring_of(W))
    angles = own.angle()
    return own.abs(), torch.cat([angles.diff(dim=1), angles[:, :1] + 2 * math.pi - angles[:, -1:]], dim=1)


@pytest.mark.parametrize("start", EVERY, ids=lambda start: type(start).__name__)
def test_a_seed_is_changed_alike_in_any_stack(start: Edit) -> None:
    stack = started(start)
    assert not torch.equal(stack, started(None))
    alone = ReLUOutputModel(6, first_seed=7, start=start)
    torch.testing.assert_close(alone.W.detach()[0], stack[7], rtol=0, atol=1e-6)
    assert torch.equal(stack, started(start))


def test_norms_are_made_equal_or_change_places() -> None:
    (norms, gaps), W = sides(started(None)), started(EqualNorms())
    equal, same_gaps = sides(W)
    torch.testing.assert_close(equal, norms.square().mean(dim=1, keepdim=True).sqrt().expand(-1, 6), atol=1e-6, rtol=0)
    torch.testing.assert_close(same_gaps, gaps, atol=1e-5, rtol=0)
    shuffled, same_gaps = sides(started(PermutedNorms()))
    torch.testing.assert_close(same_gaps, gaps, atol=1e-4, rtol=0)
    torch.testing.assert_close(shuffled.sort(dim=1).values, norms.sort(dim=1).values, atol=1e-6, rtol=0)
    assert float((shuffled - norms).abs().max()) > 0.1


def test_gaps_are_made_equal_or_change_places() -> None:
    _, gaps = sides(started(None))
    _, equal = sides(started(EqualGaps()))
    torch.testing.assert_close(equal, torch.full_like(equal, math.pi / 3), atol=1e-4, rtol=0)
    permuted = started(PermutedGaps())
    _, shuffled = sides(permuted)
    torch.testing.assert_close(shuffled.sort(dim=1).values, gaps.sort(dim=1).values, atol=1e-3, rtol=0)
    assert float((shuffled - gaps).abs().max()) > 0.1
    for W in (started(EqualGaps()), permuted):  # each feature keeps its norm
        torch.testing.assert_close(W.norm(dim=1), started(None).norm(dim=1), atol=1e-6, rtol=0)


def in_the_order_of(ring: Ring, W: torch.Tensor) -> torch.Tensor:
    """The waves of other columns, in the order that a ring's columns had."""
    own = torch.complex(W[:, 0].double(), W[:, 1].double()).gather(1, ring.order)
    return waves(with_columns(ring, own))


def test_waves_are_taken_out_or_turned() -> None:
    ring = ring_of(started(None))
    before, after = waves(ring), in_the_order_of(ring, started(ScaledWaves([2, -2], [0.0, 0.5])))
    torch.testing.assert_close(after[:, 2].abs(), torch.zeros(N).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(after[:, 4], before[:, 4] / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(after[:, [1, 3, 5]], before[:, [1, 3, 5]], atol=1e-5, rtol=0)
    turned = in_the_order_of(ring, started(TurnedWaves([1, 3])))
    torch.testing.assert_close(turned.abs(), before.abs(), atol=1e-5, rtol=0)
    torch.testing.assert_close(turned[:, [2, 4, 5]], before[:, [2, 4, 5]], atol=1e-5, rtol=0)
    assert float((turned - before)[:, [1, 3]].abs().min()) > 1e-4


def test_the_dipole_is_set_whatever_order_the_columns_then_have() -> None:
    for amplitude in (0.0, 0.1, 0.6):
        found = dipole(ring_of(started(Dipole(amplitude))), MIXING).abs()
        torch.testing.assert_close(found, torch.full_like(found, amplitude), atol=1e-4, rtol=0)
    W = started(Dipole(None, turned=True), n=400)
    turned, before = dipole(ring_of(W), MIXING), dipole(ring_of(started(None, n=400)), MIXING)
    kept = (turned.abs() - before.abs()).abs() < 1e-4
    assert float(kept.float().mean()) > 0.75  # the others are set once, and then the columns had another order
    assert float((turned - before).abs().median()) > 0.1
    assert float((W.norm(dim=(1, 2)) / started(None, n=400).norm(dim=(1, 2))).max()) < 3


def test_the_plane_is_turned_and_scaled() -> None:
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    torch.testing.assert_close(started(Turned(30.0)), torch.tensor([[c, -s], [s, c]]) @ started(None))
    torch.testing.assert_close(started(Scaled(0.5)), started(None) / 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Edit, "model.start is Edit; it must be a class that says what it changes."),
        (lambda: OfWaves([1]), "model.start is OfWaves; it must be a class that says what it changes."),
        (lambda: Scaled(0.0), "model.start.factor is 0.0; it must be positive and finite."),
        (lambda: Turned(math.inf), "model.start.angle is inf; it must be finite."),
        (lambda: EqualNorms(-1), "model.start.draw_seed is -1; it must be from 0 to 4294967295."),
        (lambda: ScaledWaves([]), "model.start.waves is []; it must be numbers of waves"),
        (lambda: ScaledWaves([0]), "model.start.waves is [0]; it must be numbers of waves"),
        (
            lambda: ScaledWaves([1], math.nan),
            "model.start.factor is nan; it must be finite, one number or",
        ),
        (lambda: ScaledWaves([1], [1.0, 2.0]), "model.start.factor is [1.0, 2.0]; it must be finite, one number or"),
        (
            lambda: started(ScaledWaves([4])),
            "model.start.waves is [4]; it must be from -2 to 3, the waves of 6",
        ),
        (lambda: Dipole(-0.1), "model.start.amplitude is -0.1; it must be 0 or positive, and finite, or null."),
        (lambda: Dipole(mixing=math.nan), "model.start.mixing is nan; it must be finite."),
        (lambda: ReLUOutputModel(2, start=Dipole()), "model.n_features is 2; it must be at least 3, a ring."),
        (
            lambda: started(EqualGaps(), n_hidden=3),
            "model.n_hidden is 3; it must be 2, a plane, for EqualGaps.",
        ),
    ],
)
def test_what_cannot_be_changed_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        make()
