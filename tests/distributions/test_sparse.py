"""Drawing examples: dense and as coordinates, and the random streams behind."""

import itertools

import pytest
import torch
from scipy import stats
from torch import Tensor

from src.distributions.examples import collapse_empty_rows, scaled_to_unit_length, sparse_rows
from src.distributions.seeds import INSTANCE, TRAINING, VALIDATION, generator_for
from src.distributions.sparse import ROWS_AT_ONCE, Sparse
from src.model import ReLUOutputModel

# With a fixed seed a statistical test passes or fails for good. At this level a right sample fails for one seed in a
# million; a share of active entries that is off by a thirtieth, at p = 0.057, fails for nearly all.
ALPHA = 1e-6


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(feature_probability: float, n_rows: int = 200_000, n_features: int = 6) -> Tensor:
    return Sparse(n_features, feature_probability).draw((n_rows,), seeded(0))


def rows(feature_probability: float, n_rows: int = 20_000, n_features: int = 40, seed: int = 0) -> Tensor:
    """As coordinates; the number of rows is no multiple of those drawn at once."""
    return Sparse(n_features, feature_probability).draw_sparse(n_rows, seeded(seed))


# One draw


def test_a_draw_has_the_shape_asked_for_in_single_precision() -> None:
    x = Sparse(3, 0.5).draw((2, 5), seeded(0))
    assert (x.shape, x.dtype) == ((2, 5, 3), torch.float32)


@pytest.mark.parametrize("feature_probability", [0.001, 0.057, 0.5, 0.95])
def test_an_entry_is_active_with_probability_p(feature_probability: float) -> None:
    x = sample(feature_probability)
    assert stats.binomtest(int((x > 0).sum()), x.numel(), feature_probability).pvalue > ALPHA


@pytest.mark.parametrize("feature_probability", [0.001, 0.057, 0.5, 1.0])
def test_an_active_entry_is_uniform_on_the_unit_interval(feature_probability: float) -> None:
    x = sample(feature_probability)
    assert stats.kstest(x[x > 0].numpy(), "uniform").pvalue > ALPHA


@pytest.mark.parametrize("feature_probability", [0.001, 0.057, 0.5, 1.0])
def test_no_entry_leaves_the_unit_interval(feature_probability: float) -> None:
    x = sample(feature_probability)
    assert x.min() >= 0
    assert x.max() < 1


def test_at_p_of_one_hardly_an_entry_is_zero() -> None:
    # A uniform float32 is exactly 0 once in 2^24 draws: 0.07 of the 1.2 million here, so three would be a bug.
    assert (sample(1.0) == 0).sum() <= 2


@pytest.mark.parametrize(("i", "j"), list(itertools.combinations(range(4), 2)))
def test_features_are_active_independently_of_each_other(i: int, j: int) -> None:
    active = sample(0.3, n_features=4) > 0
    n_both = int((active[:, i] & active[:, j]).sum())
    assert stats.binomtest(n_both, len(active), 0.3**2).pvalue > ALPHA


@pytest.mark.parametrize(("i", "j"), list(itertools.combinations(range(4), 2)))
def test_values_of_two_features_are_uncorrelated(i: int, j: int) -> None:
    x = sample(1.0, n_features=4)
    assert stats.pearsonr(x[:, i], x[:, j]).pvalue > ALPHA


def test_an_example_is_independent_of_the_one_before_it() -> None:
    active = sample(0.3) > 0
    both = active[1::2] & active[::2]
    assert stats.binomtest(int(both.sum()), both.numel(), 0.3**2).pvalue > ALPHA


def test_two_draws_from_one_generator_differ() -> None:
    generator = seeded(0)
    assert not torch.equal(Sparse(3, 1.0).draw((4,), generator), Sparse(3, 1.0).draw((4,), generator))


# Random streams


def test_a_key_gives_the_same_stream_every_time() -> None:
    assert torch.equal(torch.rand(8, generator=generator_for(3, 1)), torch.rand(8, generator=generator_for(3, 1)))


def test_no_two_seeds_or_purposes_share_a_stream() -> None:
    keys = list(itertools.product((0, 1, 2, 2**32 - 1), (TRAINING, VALIDATION, INSTANCE)))
    first_numbers = {tuple(torch.rand(4, generator=generator_for(*key)).tolist()) for key in keys}
    assert len(first_numbers) == len(keys)


def test_a_thousand_instances_have_a_thousand_streams() -> None:
    streams = {tuple(torch.rand(4, generator=generator_for(0, INSTANCE, seed)).tolist()) for seed in range(1000)}
    assert len(streams) == 1000


# Empty rows


@pytest.mark.parametrize("feature_probability", [0.02, 0.3, 1.0])
def test_merging_empty_rows_keeps_a_models_mean_loss(feature_probability: float) -> None:
    x = Sparse(6, feature_probability).draw((500,), seeded(1)).double()
    model = ReLUOutputModel(6, n_instances=3).double()
    torch.nn.init.normal_(model.b, generator=seeded(2))  # so that empty rows cost something
    merged = collapse_empty_rows(x, 1.0)
    # Two float64 sums of 500 numbers of order one.
    torch.testing.assert_close(model.feature_losses(*merged), model.feature_losses(x), rtol=1e-12, atol=0)


def test_the_weight_of_a_chunk_scales_its_loss() -> None:
    x = Sparse(6, 0.1).draw((500,), seeded(1)).double()
    model = ReLUOutputModel(6, n_instances=3).double()
    losses = model.feature_losses(*collapse_empty_rows(x, 0.05))
    torch.testing.assert_close(losses, 0.05 * model.feature_losses(x), rtol=1e-12, atol=0)  # float64 sums


def test_merging_keeps_every_row_that_is_not_empty() -> None:
    x = torch.tensor([[0.0, 0.0], [0.0, 0.5], [0.0, 0.0], [0.25, 0.0]])
    merged = collapse_empty_rows(x, 1.0)
    assert merged.x.tolist() == [[0.0, 0.5], [0.25, 0.0], [0.0, 0.0]]
    assert merged.weights.tolist() == [0.25, 0.25, 0.5]


def test_a_sample_of_empty_rows_becomes_one_row_of_the_whole_weight() -> None:
    merged = collapse_empty_rows(torch.zeros(7, 2), 0.5)
    assert (merged.x.tolist(), merged.weights.tolist()) == ([[0.0, 0.0]], [0.5])


# As coordinates


@pytest.mark.parametrize("feature_probability", [1e-4, 0.057, 0.5, 0.95, 1.0])
def test_coordinates_are_in_order_each_once_and_in_range(feature_probability: float) -> None:
    x = rows(feature_probability)
    assert (tuple(x.shape), x.dtype, x.is_coalesced()) == ((20_000, 40), torch.float32, True)
    place = x.indices()[0] * 40 + x.indices()[1]
    assert (place.diff() > 0).all()
    assert place.min() >= 0
    assert place.max() < x.shape[0] * x.shape[1]


@pytest.mark.parametrize("feature_probability", [1e-4, 0.057, 0.5, 0.95])
def test_an_entry_of_the_coordinates_is_active_with_probability_p(feature_probability: float) -> None:
    n_active = rows(feature_probability)._nnz()
    assert stats.binomtest(n_active, 800_000, feature_probability).pvalue > ALPHA


def test_at_p_of_one_every_entry_is_drawn() -> None:
    assert rows(1.0)._nnz() == 800_000


@pytest.mark.parametrize("feature_probability", [0.001, 0.057, 1.0])
def test_a_value_of_the_coordinates_is_uniform_on_the_unit_interval(feature_probability: float) -> None:
    values = rows(feature_probability).values()
    assert stats.kstest(values.numpy(), "uniform").pvalue > ALPHA
    assert values.min() >= 0
    assert values.max() < 1


@pytest.mark.parametrize("feature_probability", [0.01, 0.057, 0.3])
def test_the_number_of_active_entries_of_a_row_is_binomial(feature_probability: float) -> None:
    counts = torch.bincount(rows(feature_probability).indices()[0], minlength=20_000)
    for count in range(4):
        share = float(stats.binom.pmf(count, 40, feature_probability))
        assert stats.binomtest(int((counts == count).sum()), 20_000, share).pvalue > ALPHA


def test_every_feature_is_as_often_active_as_any_other() -> None:
    counts = torch.bincount(rows(0.057).indices()[1], minlength=40)
    assert stats.chisquare(counts.numpy()).pvalue > ALPHA


@pytest.mark.parametrize(("i", "j"), [(0, 1), (3, 4), (0, 39)])
def test_features_of_the_coordinates_are_active_independently(i: int, j: int) -> None:
    active = rows(0.3).to_dense() > 0
    assert stats.binomtest(int((active[:, i] & active[:, j]).sum()), len(active), 0.3**2).pvalue > ALPHA


def test_the_last_entry_of_a_row_tells_nothing_of_the_first_of_the_next() -> None:
    active = rows(0.3).to_dense() > 0
    assert stats.binomtest(int((active[:-1, -1] & active[1:, 0]).sum()), len(active) - 1, 0.3**2).pvalue > ALPHA


@pytest.mark.parametrize("n_rows", [1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 2 * ROWS_AT_ONCE])
def test_the_first_rows_of_a_longer_draw_are_those_of_a_shorter_one(n_rows: int) -> None:
    longer = rows(0.057, 3 * ROWS_AT_ONCE).to_dense()
    assert torch.equal(rows(0.057, n_rows).to_dense(), longer[:n_rows])


def test_a_draw_that_would_not_fit_into_memory_when_dense_has_its_active_entries_alone() -> None:
    x = Sparse(50_000_000, 1e-7).draw_sparse(2000, seeded(0))  # 400 GB
    assert stats.binomtest(x._nnz(), 2000 * 50_000_000, 1e-7).pvalue > ALPHA


def test_rows_of_very_many_active_entries_are_drawn_fewer_at_a_time() -> None:
    # A thousand at a time would be 2.4 GB of places and gaps.
    x = Sparse(500_000, 0.3).draw_sparse(2, seeded(0))
    assert stats.binomtest(x._nnz(), 1_000_000, 0.3).pvalue > ALPHA
    assert torch.equal(Sparse(500_000, 0.3).draw_sparse(1, seeded(0)).to_dense()[0], x.to_dense()[0])


def test_a_row_scaled_to_unit_length_keeps_its_direction() -> None:
    x = rows(0.057, 500)
    dense, scaled = x.to_dense(), scaled_to_unit_length(x).to_dense()
    length = dense.norm(dim=1, keepdim=True)
    torch.testing.assert_close(scaled * length, dense, rtol=1e-6, atol=0)  # two roundings to float32
    # The same for the length, of up to 40 entries.
    torch.testing.assert_close(scaled.norm(dim=1), (length[:, 0] > 0).float(), rtol=1e-6, atol=0)


def test_an_empty_row_stays_empty() -> None:
    x = torch.tensor([[0.0, 0.0], [0.0, 0.5]]).to_sparse()
    assert scaled_to_unit_length(x).to_dense().tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_a_row_whose_one_value_is_drawn_as_zero_stays_zero() -> None:
    x = sparse_rows(torch.tensor([[0], [1]]), torch.zeros(1), (1, 2))
    assert scaled_to_unit_length(x).to_dense().tolist() == [[0.0, 0.0]]
