"""Any model has the same loss and gradient on sparse examples as on dense ones, and trains on them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from src.data import FiniteFeatures
from src.distributions.sparse import Sparse
from src.model import ReLUOutputModel
from src.population.losses import SAMPLE
from tests.running import SMALL_VALIDATION, fit
from tests.variants import VARIANTS


def sparse_and_dense() -> tuple[Tensor, Tensor]:
    """A hundred examples of 40 features."""
    x = Sparse(40, 0.1).draw_sparse(100, torch.Generator().manual_seed(0))
    return x, x.to_dense()


@pytest.mark.parametrize("kind", VARIANTS)
def test_a_step_on_sparse_examples_is_that_on_dense_ones(
    kind: type[ReLUOutputModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.objective.autograd.MIN_EXAMPLES", 7)  # so that they come in parts, the last one smaller
    monkeypatch.setattr("src.objective.autograd.MAX_ENTRIES", 1)
    sparse, dense = sparse_and_dense()
    model = kind(n_features=40, n_instances=3).double()
    outcomes = []
    for x in (sparse.double(), dense.double()):
        losses = model.objective.set_gradients(x)
        assert model.W.grad is not None
        assert model.b.grad is not None
        outcomes.append((losses, model.W.grad.clone(), model.b.grad.clone()))
    for of_sparse, of_dense in zip(*outcomes, strict=True):
        torch.testing.assert_close(of_sparse, of_dense, rtol=1e-12, atol=1e-15)  # float64 sums of a hundred terms
    losses = outcomes[0][0]
    torch.testing.assert_close(model.objective.losses(sparse.double()), losses, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", VARIANTS)
def test_hidden_vectors_of_sparse_examples_are_those_of_dense_ones(kind: type[ReLUOutputModel]) -> None:
    sparse, dense = sparse_and_dense()
    model = kind(n_features=40, n_instances=3)
    h = model.objective.hidden_vectors(sparse)
    assert h.shape == (3, 2, 100)
    torch.testing.assert_close(h, model.encode(dense).mT.detach(), rtol=1e-5, atol=1e-6)  # float32


def few_examples(n_examples: int | None, **arguments: Any) -> FiniteFeatures:
    few = {"n_features": 40, "feature_probability": 0.1, "validation_size": SMALL_VALIDATION, "batch_size": 256}
    return FiniteFeatures(n_examples=n_examples, **few | arguments)


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("n_examples", [20, None])
def test_any_model_trains_on_sparse_examples(kind: type[ReLUOutputModel], n_examples: int | None) -> None:
    data = few_examples(n_examples)
    model = kind(n_features=40, n_instances=2, init_std=0.1)
    before = model.objective.losses(data.examples).mean(dim=1)
    fit(model, max_steps=60, data=data)
    assert (model.objective.losses(data.examples).mean(dim=1) < before).all()
    assert model.losses_over(data.population).method == SAMPLE


@pytest.mark.parametrize("kind", VARIANTS)
def test_the_held_out_loss_is_that_of_the_dense_sample(kind: type[ReLUOutputModel]) -> None:
    data = few_examples(20)
    model = kind(n_features=40, n_instances=2)
    held_out = torch.cat([chunk.x.to_dense() for chunk in data.population.chunks])
    expected = model.feature_losses(held_out).detach().double()
    losses = model.losses_over(data.population)
    torch.testing.assert_close(losses.feature_losses, expected, rtol=1e-5, atol=0)  # float32
    assert (losses.error > 0).all()


def test_an_instance_trains_on_a_finite_set_as_it_would_alone() -> None:
    stack = fit(ReLUOutputModel(n_features=40, n_instances=5), max_steps=200, data=few_examples(20))
    alone = fit(ReLUOutputModel(n_features=40, first_seed=3), max_steps=200, data=few_examples(20))
    torch.testing.assert_close(stack.W[3], alone.W[0], rtol=1e-4, atol=1e-5)  # sums in another order


def test_a_finite_set_trains_in_double_precision() -> None:
    model = fit(ReLUOutputModel(n_features=40), max_steps=20, data=few_examples(20), precision="64-true")
    assert model.W.dtype == torch.float64
