"""W as one says it."""

import math
import re
from typing import Any

import pytest
import torch

from src.errors import ConfigError
from src.geometry.ring import dipole, ring_of, waves
from src.model import ReLUOutputModel
from src.starts import Between, Dipoles, Polar
from tests.starts.unchanged import start


def test_columns_have_the_given_angles_and_norms() -> None:
    model = ReLUOutputModel(3, n_instances=2, start=Polar([0.0, 90.0, 180.0], [1.0, 2.0, 0.5]))
    expected = torch.tensor([[1.0, 0.0, -0.5], [0.0, 2.0, 0.0]])
    torch.testing.assert_close(model.W.detach(), expected.expand(2, -1, -1), atol=1e-6, rtol=0)
    shaken = ReLUOutputModel(3, n_instances=2, start=Polar([0.0, 90.0, 180.0], [1.0, 2.0, 0.5], jitter=0.1))
    plain = ReLUOutputModel(3, n_instances=2)
    torch.testing.assert_close(shaken.W.detach(), expected + 0.1 * plain.W.detach())


def test_a_line_leads_from_one_seed_to_another() -> None:
    model = ReLUOutputModel(6, start=Between(seed=3, other=8, n_points=5))
    W = model.W.detach()
    torch.testing.assert_close(W[0], start(3))
    torch.testing.assert_close(W[4], start(8))
    torch.testing.assert_close(W[1], 0.75 * start(3) + 0.25 * start(8))
    assert model.instance_columns["share"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert model.instance_names[1] == "seed 3 and 25.0% of seed 8"


def test_stars_have_the_dipoles_that_the_census_says() -> None:
    model = ReLUOutputModel(6, start=Dipoles(radius=0.5, largest=0.3, n_amplitudes=4, n_phases=3, n_turns=2))
    ring = ring_of(model.W.detach())
    assert model.n_instances == 24
    amplitudes = torch.tensor(model.instance_columns["dipole"]).double()
    assert amplitudes.unique().tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    torch.testing.assert_close(dipole(ring, -0.28).abs(), amplitudes, atol=1e-6, rtol=0)
    torch.testing.assert_close(ring.modes[:, 1].abs(), torch.full((24,), 0.5).double(), atol=1e-6, rtol=0)
    assert float(waves(ring)[:, 2:5].abs().max()) < 1e-6
    # Mirrored, or with the crest one column further, they would be others.
    others = {tuple((own.T @ own).round(decimals=4).flatten().tolist()) for own in model.W.detach()[6:]}
    assert len(others) == 9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Polar([0.0, math.nan], [1.0, 1.0]), "model.start.angles is [0.0, nan]; it must be finite."),
        (lambda: Polar([0.0], [-1.0]), "model.start.norms is [-1.0]; it must be 0 or positive."),
        (
            lambda: ReLUOutputModel(6, start=Polar([0.0], [1.0])),
            "model.start.angles is [0.0]; it must be 6 numbers, one for each feature.",
        ),
        (
            lambda: ReLUOutputModel(1, 3, start=Polar([0.0], [1.0])),
            "model.n_hidden is 3; it must be 2, a plane, for Polar.",
        ),
        (lambda: Between(n_points=1), "model.start.n_points is 1; it must be at least 2, the ends."),
        (lambda: Between(other=-1), "model.start.other is -1; it must be from 0 to 4294967295."),
        (lambda: Dipoles(radius=0.0), "model.start.radius is 0.0; it must be positive and finite."),
        (lambda: Dipoles(n_turns=0), "model.start.n_turns is 0; it must be at least 1."),
        (
            lambda: Dipoles(n_amplitudes=1),
            "model.start.n_amplitudes is 1; it must be at least 2, from 0 to the largest.",
        ),
        (
            lambda: ReLUOutputModel(6, start=Dipoles(largest=1.5)),
            "model.start.largest is 1.5; it must be smaller, so that columns stay in their order.",
        ),
        (lambda: ReLUOutputModel(2, start=Dipoles()), "model.n_features is 2; it must be at least 3, for Dipoles."),
        (lambda: ReLUOutputModel(6, 3, start=Dipoles()), "model.n_hidden is 3; it must be 2, a plane, for Dipoles."),
    ],
)
def test_what_cannot_be_made_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make()
