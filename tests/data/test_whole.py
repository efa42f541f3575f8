"""Training on the whole distribution at every step."""

import itertools
from typing import Any

import pytest
import torch

from src.data import SparsePopulation
from src.distributions.sparse import MAX_SPARSE_FEATURES
from src.errors import ConfigError


def test_training_on_the_population_is_the_same_weighted_nodes_at_every_step() -> None:
    data = SparsePopulation(n_features=3, feature_probability=0.5, block_size=5)
    blocks = list(itertools.islice(data.train_dataloader(), 2))
    for x, weights in blocks:
        assert x.shape[0] == 5
        assert weights.sum().item() == pytest.approx(1, abs=1e-6)  # float32
        assert all(torch.equal(step, blocks[0].x[0]) for step in x)
    # E[x_i^2] = p / 3, which Gauss's rule gives exactly but for float32.
    squares = blocks[0].weights @ blocks[0].x[0].square()
    torch.testing.assert_close(squares, torch.full((3,), 0.5 / 3), rtol=1e-6, atol=0)


def test_the_population_stream_ends_and_resumes_like_any_other() -> None:
    stream = SparsePopulation(n_features=2, block_size=5).train_dataloader()
    stream.max_steps = 12
    blocks = iter(stream)
    next(blocks)
    other = SparsePopulation(n_features=2, block_size=5).train_dataloader()
    other.max_steps = 12
    other.load_state_dict(stream.state_dict())
    assert [len(x) for x, _ in blocks] == [len(x) for x, _ in other] == [5, 2]


@pytest.mark.parametrize(
    ("field", "value"),
    [("n_features", MAX_SPARSE_FEATURES + 1), ("tolerance", 0.0), ("tolerance", 1.0), ("tolerance", 1e-9)],
)
def test_a_population_that_cannot_be_trained_on_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.{field} is {value}; it must be \S"):
        SparsePopulation(**{field: value})
