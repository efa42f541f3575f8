"""Fresh examples at every step: shared or each instance's own, and which arguments are refused."""

import itertools
import math
import re
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest
import torch

from src.data import SparseFeatures
from src.data.features import N_VALIDATION_CHUNKS
from src.errors import ConfigError
from src.population.quadrature import summary
from tests.data.modules import sparse_features, training_data

# The training stream


def test_the_shared_stream_does_not_depend_on_the_instances() -> None:
    alone = training_data(sparse_features([0]))
    assert torch.equal(training_data(sparse_features([4, 5, 6])), alone)


def test_the_shared_stream_depends_on_the_data_seed() -> None:
    assert not torch.equal(training_data(sparse_features([0], seed=0)), training_data(sparse_features([0], seed=1)))


def test_the_stream_ends_at_the_trainers_last_step() -> None:
    assert len(training_data(sparse_features([0], max_steps=6))) == 6


def test_without_a_trainer_the_stream_is_endless() -> None:
    blocks = itertools.islice(sparse_features(None).train_dataloader(), 20)
    assert [len(block) for block in blocks] == [5] * 20


def test_a_block_has_the_configured_shape() -> None:
    data = sparse_features([0], n_features=2, batch_size=8, block_size=3)
    assert next(iter(data.train_dataloader())).shape == (3, 8, 2)


@pytest.mark.parametrize(("company", "place"), [([7, 8, 9], 0), ([3, 7], 1), ([9, 8, 7, 6], 2)])
def test_an_instances_own_data_depend_on_its_own_seed_only(company: list[int], place: int) -> None:
    alone = training_data(sparse_features([7], stream="independent"))[:, 0]
    assert torch.equal(training_data(sparse_features(company, stream="independent"))[:, place], alone)


def test_instances_with_streams_of_their_own_see_different_data() -> None:
    x = training_data(sparse_features([0, 1, 2, 3], stream="independent"))
    pairs = itertools.combinations(range(4), 2)
    assert not any(torch.equal(x[:, i], x[:, j]) for i, j in pairs)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_an_instances_own_data_are_not_the_shared_data(seed: int) -> None:
    own = training_data(sparse_features([seed], stream="independent"))[:, 0]
    assert not torch.equal(own, training_data(sparse_features([seed])))


def test_an_instances_own_data_depend_on_the_data_seed() -> None:
    x = training_data(sparse_features([7], stream="independent", seed=0))
    assert not torch.equal(training_data(sparse_features([7], stream="independent", seed=1)), x)


def test_setting_up_a_run_without_a_limit_gives_it_a_whole_number_of_blocks() -> None:
    """Lightning does not read ahead of such a run, so that a checkpoint holds the position reached."""
    data = sparse_features(None)
    data.trainer = SimpleNamespace(limit_train_batches=1.0)
    data.setup("fit")
    assert isinstance(data.trainer.limit_train_batches, int)
    assert data.trainer.limit_train_batches > 10**9


def test_setting_up_keeps_a_limit_that_was_asked_for() -> None:
    data = sparse_features(None)
    data.trainer = SimpleNamespace(limit_train_batches=3)
    data.setup("fit")
    assert data.trainer.limit_train_batches == 3


# What is refused


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_features", 0),
        ("n_features", -1),
        ("feature_probability", 0.0),
        ("feature_probability", -0.1),
        ("feature_probability", 1.0000001),
        ("feature_probability", math.inf),
        ("feature_probability", math.nan),
        ("batch_size", 0),
        ("batch_size", -1),
        ("seed", -1),
        ("stream", "own"),
        ("block_size", 0),
        ("block_size", -50),
        ("validation_size", N_VALIDATION_CHUNKS - 1),
        ("validation_size", 0),
    ],
)
def test_a_bad_argument_is_refused_by_name_and_value(field: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where the tests check annotations at run time, they would refuse `stream` first, and users have no such check.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ConfigError, match=rf"^data\.{field} is {re.escape(str(value))}; it must be \S"):
        SparseFeatures(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_features", 1),
        ("feature_probability", 1e-6),
        ("feature_probability", 1.0),
        ("batch_size", 1),
        ("seed", 0),
        ("block_size", 1),
        ("validation_size", N_VALIDATION_CHUNKS),
    ],
)
def test_the_last_allowed_value_is_accepted(field: str, value: Any) -> None:
    data = SparseFeatures(**{"validation_size": 200, field: value})
    assert torch.isfinite(summary(data.population).x).all()
    assert torch.isfinite(next(iter(data.train_dataloader()))).all()
