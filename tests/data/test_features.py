"""What all data modules validate on: the whole distribution, or a fixed sample of it."""

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from src.data import SparseFeatures
from src.data.features import N_VALIDATION_CHUNKS
from src.distributions.examples import Chunk, Sample
from src.distributions.seeds import TRAINING, VALIDATION, generator_for
from src.distributions.sparse import MAX_SPARSE_FEATURES, SPARSE
from src.distributions.supports import MAX_FEATURES, SupportSizes
from tests.data.modules import ALPHA, sparse_features, training_data


def many_features(**arguments: Any) -> SparseFeatures:
    """A small data module with too many features to be enumerated, so that it validates on a sample."""
    return sparse_features(**{"n_features": MAX_SPARSE_FEATURES + 1} | arguments)


def validation_chunks(data: SparseFeatures) -> list[Chunk]:
    assert isinstance(data.population, Sample)
    return data.population.chunks


def validation_data(data: SparseFeatures) -> Tensor:
    return torch.cat([chunk.x for chunk in validation_chunks(data)])


# The whole distribution


@pytest.mark.parametrize("loader", ["val_dataloader", "test_dataloader"])
def test_the_one_batch_of_validation_is_the_distribution_itself(loader: str) -> None:
    data = SparseFeatures(n_features=4, feature_probability=0.2)
    (population,) = getattr(data, loader)()
    assert population == SupportSizes.independent(4, 0.2)
    assert len(getattr(data, loader)()) == 1


@pytest.mark.parametrize(("p", "most"), [(SPARSE, MAX_SPARSE_FEATURES), (1.01 * SPARSE, MAX_FEATURES)])
def test_so_many_features_are_enumerated_and_more_are_sampled(p: float, most: int) -> None:
    """Ten, or twelve where few are active at once."""
    modules = [SparseFeatures(n, p, validation_size=200) for n in (most, most + 1)]
    assert [type(data.population) for data in modules] == [SupportSizes, Sample]


# The fixed sample


@pytest.mark.parametrize("feature_probability", [0.057, 0.5, 1.0])
def test_the_weights_of_the_validation_sample_sum_to_one(feature_probability: float) -> None:
    data = many_features(feature_probability=feature_probability, validation_size=20_000)
    total = sum(chunk.weights.double().sum().item() for chunk in validation_chunks(data))
    assert total == pytest.approx(1, rel=1e-6)  # each weight is a float32, right to 6e-8


def test_every_chunk_of_the_validation_sample_weighs_the_same() -> None:
    data = many_features(validation_size=2000)
    shares = [chunk.weights.double().sum().item() for chunk in validation_chunks(data)]
    assert shares == pytest.approx([1 / N_VALIDATION_CHUNKS] * N_VALIDATION_CHUNKS, rel=1e-6)  # float32 weights


def test_the_validation_sample_has_one_empty_row_a_chunk() -> None:
    data = many_features(validation_size=2000)
    assert [int((chunk.x == 0).all(dim=-1).sum()) for chunk in validation_chunks(data)] == [1] * N_VALIDATION_CHUNKS


def test_the_validation_sample_has_validation_size_draws() -> None:
    data = many_features(feature_probability=1.0, validation_size=2000)
    assert len(validation_data(data)) == 2000 + N_VALIDATION_CHUNKS  # each chunk's empty row, of weight 0


def test_the_weighted_validation_sample_has_active_entries_in_proportion_p() -> None:
    data = many_features(feature_probability=0.1, validation_size=100_000)
    share = sum((chunk.weights @ (chunk.x > 0).to(chunk.weights)).double() for chunk in validation_chunks(data))
    n_active = round(float(share.mean()) * 1_300_000)
    assert stats.binomtest(n_active, 1_300_000, 0.1).pvalue > ALPHA


@pytest.mark.parametrize("other_seed", [0, 1, 2])
def test_no_validation_example_is_a_training_example(other_seed: int) -> None:
    """Neither of the run with the same seed nor of a run with another."""
    # At p = 1 two unrelated rows of thirteen float32 numbers are never alike by chance.
    data = {"n_features": MAX_SPARSE_FEATURES + 1, "feature_probability": 1.0, "validation_size": 2000}
    validation = {tuple(row) for row in validation_data(many_features(**data)).tolist()}
    training = training_data(sparse_features([0], max_steps=200, seed=other_seed, **data)).flatten(0, -2)
    assert validation.isdisjoint(tuple(row) for row in training.tolist())


def test_the_validation_sample_is_uncorrelated_with_the_training_stream() -> None:
    x = torch.rand(10_000, generator=generator_for(0, TRAINING))
    y = torch.rand(10_000, generator=generator_for(0, VALIDATION))
    assert stats.pearsonr(x, y).pvalue > ALPHA


def test_the_validation_sample_is_the_same_at_every_call() -> None:
    data = many_features(instance_seeds=[0], validation_size=200)
    before = validation_chunks(data)
    training_data(data)
    after = validation_chunks(data)
    assert all(
        torch.equal(a, b) for one, other in zip(before, after, strict=True) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("other", [{}, {"stream": "independent"}, {"batch_size": 9}, {"block_size": 2}])
def test_the_validation_sample_depends_on_the_distribution_and_the_seed_alone(other: dict[str, Any]) -> None:
    one = many_features(seed=3, validation_size=200)
    assert torch.equal(validation_data(many_features(seed=3, validation_size=200, **other)), validation_data(one))


def test_another_seed_gives_another_validation_sample() -> None:
    # At p = 1 both samples have the same shape, so that only their values can differ.
    one, other = (many_features(feature_probability=1.0, seed=seed, validation_size=200) for seed in (0, 1))
    assert not torch.equal(validation_data(one), validation_data(other))


def test_no_two_chunks_of_the_validation_sample_are_alike() -> None:
    data = many_features(feature_probability=1.0, validation_size=200)
    assert len({tuple(chunk.x.flatten().tolist()) for chunk in validation_chunks(data)}) == N_VALIDATION_CHUNKS
