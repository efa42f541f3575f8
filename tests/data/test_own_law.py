"""A distribution of one's own: three lines to draw from, and every data module takes it."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from src.data import FiniteFeatures, SparseFeatures, SparsePopulation
from src.distributions import Distribution
from src.distributions.examples import Sample
from src.errors import ConfigError


class AllOrNone(Distribution):
    """All features are active together, with the same value, or none is."""

    def __init__(self, p: float = 0.5, n_features: int = 4) -> None:
        self.n_features = n_features
        self.p = p

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        value, active = (torch.rand((*shape, 1), generator=generator) for _ in range(2))
        return (value * (active < self.p)).expand(*shape, self.n_features)


def follows_the_law(x: Tensor) -> bool:
    dense = x.to_dense()
    return bool((dense == dense[..., :1]).all()) and bool(dense.any())


def test_endless_examples_and_their_validation_sample_follow_an_own_law() -> None:
    data = SparseFeatures(distribution=AllOrNone(), validation_size=200)
    assert data.n_features == 4
    assert follows_the_law(next(iter(data.train_dataloader())))
    assert isinstance(data.population, Sample)
    assert all(follows_the_law(chunk.x) for chunk in data.population.chunks)


def test_a_finite_set_and_its_held_out_sample_follow_an_own_law() -> None:
    data = FiniteFeatures(distribution=AllOrNone(), n_examples=50, validation_size=200)
    assert follows_the_law(data.examples)
    assert isinstance(data.population, Sample)
    assert all(follows_the_law(chunk.x) for chunk in data.population.chunks)


def test_a_law_that_cannot_be_enumerated_has_no_whole_to_train_on() -> None:
    with pytest.raises(ConfigError, match=r"^data.distribution is AllOrNone; it must be one that can be enumerated"):
        SparsePopulation(distribution=AllOrNone())


@pytest.mark.parametrize("n_examples", ["endless", 20])
def test_a_run_is_resumed_under_the_same_law_and_no_other(n_examples: int | str) -> None:
    def stream(p: float):  # type: ignore[no-untyped-def]
        law = AllOrNone(p)
        if n_examples == "endless":
            return SparseFeatures(distribution=law, validation_size=200).train_dataloader()
        return FiniteFeatures(distribution=law, n_examples=20, validation_size=200).train_dataloader()

    state = stream(0.5).state_dict()
    stream(0.5).load_state_dict(state)
    with pytest.raises(ConfigError, match=re.escape("AllOrNone, p 0.5, n_features 4")):
        stream(0.25).load_state_dict(state)


def test_the_text_of_a_law_does_not_depend_on_the_process() -> None:
    class Shaped(AllOrNone):
        def __init__(self, shape: Any, p: float = 0.5) -> None:
            super().__init__(p)
            self.shape = shape

    assert str(Shaped(lambda x: x)) == "Shaped, p 0.5"
