"""The sparse feature distribution: its streams, the whole of it, its fixed sample, and finite training sets."""

import copy
import itertools
import math
import re
from types import SimpleNamespace
from typing import Any

import jaxtyping
import pytest
import torch
from scipy import stats
from torch import Tensor

from src.data import FiniteFeatures, SparseFeatures, SparsePopulation
from src.data.features import N_VALIDATION_CHUNKS
from src.distributions.examples import Chunk, Sample
from src.distributions.seeds import TRAINING, VALIDATION, generator_for
from src.distributions.supports import MAX_FEATURES, SupportSizes
from src.errors import ConfigError
from src.population.quadrature import summary
from src.training.block import Repeated

# With a fixed seed a statistical test passes or fails for good. At this level a right sample fails for one seed in a
# million; a share of active entries that is off by a thirtieth, at p = 0.057, fails for nearly all.
ALPHA = 1e-6


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sparse_features(instance_seeds: list[int] | None = None, max_steps: int = 6, **arguments: Any) -> SparseFeatures:
    """A small data module whose trainer trains instances of these seeds; with None it has no trainer."""
    data = SparseFeatures(**{"n_features": 3, "feature_probability": 0.5, "batch_size": 4, "block_size": 5} | arguments)
    if instance_seeds is not None:
        module = SimpleNamespace(seeds=instance_seeds)
        data.trainer = SimpleNamespace(max_steps=max_steps, lightning_module=module)
    return data


def training_data(data: SparseFeatures) -> Tensor:
    """Every step of the run."""
    return torch.cat(list(data.train_dataloader()))


def many_features(**arguments: Any) -> SparseFeatures:
    """A small data module with too many features to be enumerated, so that it validates on a sample."""
    return sparse_features(**{"n_features": MAX_FEATURES + 1} | arguments)


def validation_chunks(data: SparseFeatures) -> list[Chunk]:
    assert isinstance(data.population, Sample)
    return data.population.chunks


def validation_data(data: SparseFeatures) -> Tensor:
    return torch.cat([chunk.x for chunk in validation_chunks(data)])


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


# The whole distribution


@pytest.mark.parametrize("loader", ["val_dataloader", "test_dataloader"])
def test_the_one_batch_of_validation_is_the_distribution_itself(loader: str) -> None:
    data = SparseFeatures(n_features=4, feature_probability=0.2)
    (population,) = getattr(data, loader)()
    assert population == SupportSizes.independent(4, 0.2)
    assert len(getattr(data, loader)()) == 1


def test_up_to_ten_features_are_enumerated_and_more_are_sampled() -> None:
    kinds = [
        type(SparseFeatures(n_features=n, validation_size=200).population) for n in (MAX_FEATURES, MAX_FEATURES + 1)
    ]
    assert kinds == [SupportSizes, Sample]


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
    ("field", "value"), [("n_features", MAX_FEATURES + 1), ("tolerance", 0.0), ("tolerance", 1.0), ("tolerance", 1e-9)]
)
def test_a_population_that_cannot_be_trained_on_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.{field} is {value}; it must be \S"):
        SparsePopulation(**{field: value})


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
    n_active = round(float(share.mean()) * 1_100_000)
    assert stats.binomtest(n_active, 1_100_000, 0.1).pvalue > ALPHA


@pytest.mark.parametrize("other_seed", [0, 1, 2])
def test_no_validation_example_is_a_training_example(other_seed: int) -> None:
    """Neither of the run with the same seed nor of a run with another."""
    # At p = 1 two unrelated rows of eleven float32 numbers are never alike by chance.
    data = {"n_features": MAX_FEATURES + 1, "feature_probability": 1.0, "validation_size": 2000}
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


# A finite training set


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
