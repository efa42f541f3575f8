"""The loss over a population that is known by a sample, accumulated chunk by chunk."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from src.population.losses import SAMPLE
from src.population.sample import PopulationLoss

N_CHUNKS, N_INSTANCES, N_FEATURES = 20, 3, 4
# Sums of twenty float64 numbers of order one.
FLOAT64 = {"rtol": 1e-12, "atol": 0}


def chunk_means(n_chunks: int = N_CHUNKS, n_instances: int = N_INSTANCES, seed: int = 0) -> Tensor:
    """The mean feature losses of each chunk: float64 [chunk, instance, feature]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_chunks, n_instances, N_FEATURES, generator=generator, dtype=torch.float64)


def unequal_weights() -> Tensor:
    weights = torch.rand(N_CHUNKS, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.01
    return weights / weights.sum()


def equal_weights(n_chunks: int = N_CHUNKS) -> Tensor:
    return torch.full((n_chunks,), 1 / n_chunks, dtype=torch.float64)


def accumulated(means: Tensor, weights: Tensor) -> PopulationLoss:
    """A metric that has seen these chunks."""
    metric = PopulationLoss(means.shape[1], means.shape[2])
    for mean, weight in zip(means, weights, strict=True):
        metric.update(mean * weight, weight)
    return metric


def tensors(metric: PopulationLoss) -> tuple[Tensor, ...]:
    """The feature losses, the loss and its standard error."""
    return metric.value()[:3]


def test_the_loss_of_a_feature_is_the_weighted_mean_over_chunks() -> None:
    means, weights = chunk_means(), unequal_weights()
    expected = torch.einsum("c,cif->if", weights, means)
    torch.testing.assert_close(accumulated(means, weights).value().feature_losses, expected, **FLOAT64)


def test_the_loss_is_the_mean_over_features() -> None:
    means, weights = chunk_means(), unequal_weights()
    expected = torch.einsum("c,cif->i", weights, means) / N_FEATURES
    torch.testing.assert_close(accumulated(means, weights).value().loss, expected, **FLOAT64)


def test_the_standard_error_is_that_of_the_mean_of_equal_chunks() -> None:
    means = chunk_means()
    losses = means.mean(dim=-1).numpy()  # [chunk, instance]
    expected = torch.from_numpy(np.std(losses, axis=0, ddof=1) / np.sqrt(N_CHUNKS))
    # It is a difference of squares, about a thousandth of them.
    standard_error = accumulated(means, equal_weights()).value().error
    torch.testing.assert_close(standard_error, expected, rtol=1e-11, atol=0)


def test_chunks_that_are_all_alike_have_no_standard_error() -> None:
    """Even where a rounding leaves their variance below zero, as it does for some of a thousand instances."""
    means = chunk_means(n_chunks=1, n_instances=1000).expand(N_CHUNKS, -1, -1)
    standard_error = accumulated(means, equal_weights()).value().error
    # The square root of a few roundings of 1e-16, over the root of 19.
    torch.testing.assert_close(standard_error, torch.zeros_like(standard_error), rtol=0, atol=1e-8)


def test_only_the_ratio_of_the_weights_counts() -> None:
    means, weights = chunk_means(), unequal_weights()
    one, other = tensors(accumulated(means, weights)), tensors(accumulated(means, 1000 * weights))
    # The standard error is a difference of squares, about a thousandth of them.
    torch.testing.assert_close(other, one, rtol=1e-11, atol=0)


def test_the_order_of_the_chunks_does_not_matter() -> None:
    means, weights = chunk_means(), unequal_weights()
    one, other = tensors(accumulated(means, weights)), tensors(accumulated(means.flip(0), weights.flip(0)))
    torch.testing.assert_close(other, one, rtol=1e-11, atol=0)  # as above


def test_sums_of_single_precision_chunks_are_kept_in_double_precision() -> None:
    means, weights = chunk_means(n_chunks=1000).float(), torch.ones(1000)
    expected = means.double().mean(dim=0)
    # Sums of a thousand float64 numbers; float32 sums would be off by 1e-6.
    torch.testing.assert_close(accumulated(means, weights).value().feature_losses, expected, **FLOAT64)


def test_the_spread_of_single_precision_chunks_is_kept_in_double_precision() -> None:
    """A spread of a thousandth would drown in the roundings of float32 squares."""
    sums, weight = (1 + 1e-3 * chunk_means()).float() / N_CHUNKS, torch.tensor(1 / N_CHUNKS)
    metric = PopulationLoss(N_INSTANCES, N_FEATURES)
    for feature_sum in sums:
        metric.update(feature_sum, weight)
    losses = (sums.double() / weight.double()).mean(dim=-1).numpy()
    expected = torch.from_numpy(np.std(losses, axis=0, ddof=1) / np.sqrt(N_CHUNKS))
    # The variance, 2e-8, is a difference of squares that twenty float64 roundings leave right to 1e-15.
    torch.testing.assert_close(metric.value().error, expected, rtol=1e-6, atol=0)


def test_instances_do_not_mix() -> None:
    means, weights = chunk_means(), unequal_weights()
    stack = tensors(accumulated(means, weights))
    for i in range(N_INSTANCES):
        alone = tensors(accumulated(means[:, i : i + 1], weights))
        # The standard error is a difference of squares, about a thousandth of them.
        torch.testing.assert_close(alone, tuple(field[i : i + 1] for field in stack), rtol=1e-11, atol=0)


def test_a_single_instance_keeps_its_axis() -> None:
    value = tensors(accumulated(chunk_means(n_instances=1), equal_weights()))
    assert [tuple(field.shape) for field in value] == [(1, N_FEATURES), (1,), (1,)]


@pytest.mark.parametrize("seed", range(50))
def test_the_standard_error_of_a_single_chunk_is_not_a_number(seed: int) -> None:
    """Whatever the rounding of the one chunk's mean and of its square."""
    means = chunk_means(n_chunks=1, seed=seed)
    weight = torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert accumulated(means, weight).value().error.isnan().all()


def test_the_loss_of_a_single_chunk_is_its_mean() -> None:
    means = chunk_means(n_chunks=1)
    value = accumulated(means, torch.full((1,), 0.05, dtype=torch.float64)).value()
    torch.testing.assert_close(value.feature_losses, means[0], **FLOAT64)


def test_a_reset_metric_has_forgotten_its_chunks() -> None:
    used = accumulated(chunk_means(seed=1), unequal_weights())
    used.reset()
    means, weights = chunk_means(seed=2), equal_weights()
    for mean, weight in zip(means, weights, strict=True):
        used.update(mean * weight, weight)
    assert all(torch.equal(a, b) for a, b in zip(tensors(used), tensors(accumulated(means, weights)), strict=True))


def test_compute_gives_what_value_gives() -> None:
    metric = accumulated(chunk_means(), unequal_weights())
    assert all(torch.equal(a, b) for a, b in zip(metric.compute()[:3], tensors(metric), strict=True))


def test_the_truth_is_within_two_standard_errors_as_often_as_students_t_says() -> None:
    """A sample of normal chunk means, drawn four thousand times: each an instance."""
    n_samples, truth = 4000, 0.1
    generator = torch.Generator().manual_seed(0)
    means = truth + 0.01 * torch.randn(N_CHUNKS, n_samples, 1, generator=generator, dtype=torch.float64)
    value = accumulated(means, equal_weights()).value()
    n_within = int(((value.loss - truth).abs() < 2 * value.error).sum())
    expected = 1 - 2 * stats.t.sf(2, N_CHUNKS - 1)  # 0.940
    assert stats.binomtest(n_within, n_samples, expected).pvalue > 1e-3


def test_the_value_says_that_it_is_of_a_sample() -> None:
    assert accumulated(chunk_means(), equal_weights()).value().method == SAMPLE
