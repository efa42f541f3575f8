"""A finite training set: the same examples at every step, or endless sparse ones, within the memory there is."""

import copy
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from src.data import FiniteFeatures
from src.distributions.examples import Sample
from src.distributions.supports import SupportSizes
from src.errors import ConfigError
from src.training.block import Repeated
from tests.data.modules import ALPHA, sparse_features


def finite(max_steps: int = 6, **arguments: Any) -> FiniteFeatures:
    """A small data module of few examples whose trainer ends after so many steps."""
    few = {"n_features": 30, "feature_probability": 0.2, "n_examples": 7, "block_size": 4, "validation_size": 200}
    data = FiniteFeatures(**few | arguments)
    data.trainer = SimpleNamespace(max_steps=max_steps)
    return data


def steps(data: FiniteFeatures) -> list[Tensor]:
    """What every step of the run trains on."""
    blocks = list(data.train_dataloader())
    return [x for block in blocks for x in ([block.x] * block.n_steps if isinstance(block, Repeated) else block)]


def test_every_step_has_all_examples_and_the_same() -> None:
    data = finite()
    assert [block.n_steps for block in data.train_dataloader()] == [4, 2]
    assert all(x is data.examples for x in steps(data))
    assert data.examples.is_sparse
    assert data.examples.shape == (7, 30)


def test_the_same_seed_has_the_same_examples_and_another_seed_others() -> None:
    one, again, other = (finite(seed=seed).examples.to_dense() for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_examples_of_a_smaller_set_are_the_first_of_a_larger_one() -> None:
    assert torch.equal(finite(n_examples=5).examples.to_dense(), finite(n_examples=5000).examples.to_dense()[:5])


@pytest.mark.parametrize("n_examples", [7, None])
def test_examples_have_unit_length_in_training_and_held_out(n_examples: int | None) -> None:
    data = finite(n_examples=n_examples)
    for x in [*steps(data), *(chunk.x for chunk in data.population.chunks)]:
        length = x.to_dense().norm(dim=1)
        # float32; at p = 0.2 and n = 30 an example is empty once in 800.
        torch.testing.assert_close(length[length > 0], torch.ones_like(length[length > 0]), rtol=1e-6, atol=0)


def test_examples_may_keep_the_length_they_are_drawn_with() -> None:
    dense = finite(unit_length=False, n_examples=5000).examples.to_dense()
    assert stats.kstest(dense[dense > 0].numpy(), "uniform").pvalue > ALPHA


def test_no_held_out_example_is_a_training_example() -> None:
    # At p = 1 two unrelated examples are never alike by chance; with one active feature each, they often are.
    data = finite(n_examples=2000, validation_size=2000, feature_probability=1.0)
    held_out = {tuple(row) for chunk in data.population.chunks for row in chunk.x.to_dense().tolist()}
    training = {tuple(row) for row in data.examples.to_dense().tolist()}
    assert held_out.isdisjoint(training)


def test_the_weights_of_the_held_out_sample_sum_to_one() -> None:
    total = sum(chunk.weights.double().sum().item() for chunk in finite().population.chunks)
    assert total == pytest.approx(1, rel=1e-6)  # float32


@pytest.mark.parametrize(("n_features", "unit_length"), [(6, True), (6, False), (11, True), (11, False)])
def test_the_population_is_exact_where_it_can_be_enumerated(n_features: int, unit_length: bool) -> None:
    kind = type(finite(n_features=n_features, unit_length=unit_length).population)
    assert kind is (SupportSizes if n_features == 6 and not unit_length else Sample)


def test_endless_examples_are_fresh_at_every_step() -> None:
    of_steps = steps(finite(n_examples=None, batch_size=5))
    assert [tuple(x.shape) for x in of_steps] == [(5, 30)] * 6
    assert len({tuple(x.values().tolist()) for x in of_steps}) == 6


@pytest.mark.parametrize("n_blocks", [0, 1, 2])
def test_endless_examples_go_on_bit_for_bit_from_a_saved_state(n_blocks: int) -> None:
    whole = finite(n_examples=None, batch_size=5).train_dataloader()
    blocks = iter(whole)
    for _ in range(n_blocks):
        next(blocks)
    resumed = finite(n_examples=None, batch_size=5, block_size=3).train_dataloader()
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    rest = [[x.to_dense() for block in stream for x in block] for stream in (blocks, resumed)]
    assert len(rest[0]) == 6 - 4 * n_blocks if n_blocks < 2 else not rest[0]
    assert all(torch.equal(a, b) for a, b in zip(*rest, strict=True))


@pytest.mark.parametrize(
    "other",
    [
        {"n_examples": 8},
        {"n_examples": None},
        {"seed": 1},
        {"feature_probability": 0.1},
        {"n_features": 31},
        {"unit_length": False},
    ],
)
def test_a_run_is_not_resumed_on_other_examples(other: dict[str, Any]) -> None:
    state = finite().train_dataloader().state_dict()
    with pytest.raises(
        ConfigError, match=r"^the training data is .*; it must be .*n_examples 7, seed 0.*, as in the che"
    ):
        finite(**other).train_dataloader().load_state_dict(state)


def test_a_run_on_a_stream_is_not_resumed_on_a_finite_set() -> None:
    with pytest.raises(ConfigError, match=r"^the training data is .*; it must be a stream of dense examples, as in"):
        finite().train_dataloader().load_state_dict(sparse_features([0]).train_dataloader().state_dict())


def test_a_run_on_endless_sparse_examples_is_not_resumed_on_dense_ones() -> None:
    state = finite(n_examples=None).train_dataloader().state_dict()
    with pytest.raises(
        ConfigError, match=r"^the training data is a stream of dense examples; it must be n_features 30"
    ):
        sparse_features([0]).train_dataloader().load_state_dict(state)


def test_a_block_of_endless_examples_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.memory.free_bytes", lambda: 10_000_000)
    with pytest.raises(ConfigError, match=r"^data\.block_size is 1000; it must be at most \d+, as many as fit"):
        finite(n_examples=None, block_size=1000)


def test_the_held_out_sample_and_the_examples_must_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.memory.free_bytes", lambda: 10_000_000)
    finite(n_examples=10_000)
    with pytest.raises(ConfigError, match=r"^data\.n_examples is 10000; it must be at most"):
        finite(n_examples=10_000, validation_size=10_000)


def test_more_examples_than_memory_holds_are_refused_with_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.memory.free_bytes", lambda: 10_000_000)
    with pytest.raises(
        ConfigError, match=r"^data\.n_examples is 1000000; it must be at most \d+, as many as fit"
    ) as refusal:
        finite(n_examples=1_000_000)
    fits = int(re.findall(r"at most (\d+)", str(refusal.value))[0])
    assert finite(n_examples=fits).examples.shape[0] == fits


@pytest.mark.parametrize(("field", "value"), [("n_examples", 0), ("n_examples", -3), ("batch_size", 0)])
def test_a_bad_size_of_a_finite_set_is_refused(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.{field} is {value}; it must be at least 1"):
        FiniteFeatures(**{field: value})
