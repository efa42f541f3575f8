"""What a law draws is held against its supports."""

from typing import Any

import pytest
import torch
from torch import Tensor

from src.data import FiniteFeatures, SparseFeatures
from src.distributions import CorrelatedPairs, Distribution, Sparse
from src.distributions.supports import Supports
from src.errors import ConfigError
from src.population.moments import refuse_others
from tests.distributions.laws import LAWS
from tests.running import slow


@pytest.mark.parametrize("name", [name if name in ("sparse", "a product") else slow(name) for name in LAWS])
def test_a_law_is_not_refused_by_chance(name: str) -> None:
    for seed in range(30):
        x = LAWS[name].draw((20_000,), torch.Generator().manual_seed(seed))
        refuse_others([x], LAWS[name].supports, "x", "its law")  # type: ignore[arg-type]


class Wrong(CorrelatedPairs):
    """Says that its pairs are independent."""

    @property
    def supports(self) -> Any:
        return Supports.of(6, Sparse(6, 0.057).supports.as_sets())  # type: ignore[union-attr]


class Alike(CorrelatedPairs):
    """Both features of a pair have the same value."""

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        x = super().draw(shape, generator)
        return x[..., ::2].repeat_interleave(2, dim=-1)


class Parity(Sparse):
    """An even number of the first three features is active."""

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        x = super().draw(shape, generator)
        odd = (x[..., 0] != 0) ^ (x[..., 1] != 0)
        return torch.cat([x[..., :2], odd.unsqueeze(-1) * torch.rand((*shape, 1), generator=generator)], dim=-1)


class Signless(Sparse):
    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return -super().draw(shape, generator)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (Wrong(6, 0.057), r"^how often features . and . are both active in what Wrong draws is 0\.05\d+; it must be"),
        (
            Signless(6, 0.057),
            r"^the mean of feature . in what Signless draws is -0\.02\d+; it must be about 0\.0285, as in",
        ),
    ],
)
def test_a_law_whose_draws_are_not_its_supports_is_refused(law: Distribution, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = SparseFeatures(distribution=law).population
    if isinstance(law, Wrong):  # which draws its coordinates from the same
        with pytest.raises(ConfigError, match=message):
            _ = FiniteFeatures(distribution=law, unit_length=False).population
