"""A training stream of one's own: the loss is taken on what it trains on, or it is refused."""

from typing import Any

import lightning
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from src.data import Features, FiniteFeatures, SparseFeatures, SparsePopulation
from src.data.streams import FreshExamples, FreshForEach, Stream
from src.distributions import Binary, Sparse
from src.distributions.examples import Chunk, Sample
from src.distributions.per_instance import PerInstance
from src.distributions.seeds import TRAINING, generator_for
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.training.block import Repeated
from tests.running import QUIET

SIZE = 100_000


class Denser(SparseFeatures):
    """Trains on another p than its settings say."""

    def __init__(self, p: float = 0.3, **arguments: Any) -> None:
        super().__init__(**{"validation_size": SIZE} | arguments)
        self.p = p

    def train_dataloader(self) -> Stream:
        law, generators = Sparse(6, self.p), [generator_for(self.seed, TRAINING)]
        return FreshExamples(law, self.batch_size, generators, self.block_size, self.max_steps)


class Says(Denser):
    """The same, and says what it says of its population."""

    population = SparseFeatures.population


class TenSparsities(SparseFeatures):
    def train_dataloader(self) -> Stream:
        laws = [Sparse(6, 0.05 * 2**k) for k in range(4)]
        return FreshForEach(laws, range(4), self.batch_size, generator_for(0, TRAINING), 5, self.max_steps)


class Own(Features):
    """Any block at every step."""

    def __init__(self, *blocks: Any) -> None:
        super().__init__(Sparse(6, 0.3), 4, validation_size=20)
        self.blocks = blocks

    def train_dataloader(self) -> Any:
        return self.blocks


def fitted(data: Any, n_instances: int = 1, n_steps: int = 10) -> ReLUOutputModel:
    model = ReLUOutputModel(6, n_instances=n_instances)
    lightning.Trainer(max_steps=n_steps, **QUIET).fit(model, datamodule=data)
    return model


def test_the_loss_is_taken_on_a_sample_of_what_is_trained_on_and_has_its_error() -> None:
    data = Denser()
    model = fitted(data)
    assert isinstance(data.population, Sample)
    found, right = model.losses_over(data.population), model.losses_over(SparseFeatures(6, 0.3).population)
    assert found.method == "sample"
    assert abs(found.loss - right.loss) < 6 * found.error
    assert abs(found.loss - model.losses_over(SparseFeatures(6).population).loss) > 100 * found.error


def test_the_sample_is_none_of_the_training_examples_and_leaves_the_stream_as_it_was() -> None:
    expected = next(iter(Denser(batch_size=64).train_dataloader()))
    data = Denser(batch_size=64)
    stream = data.train_dataloader()
    data.train_dataloader = lambda: stream  # type: ignore[method-assign]
    drawn = torch.cat([chunk.x for chunk in data.population.chunks])  # type: ignore[union-attr]
    assert torch.equal(next(iter(stream)), expected)
    assert stream.step == 50
    trained_on = expected.flatten(0, 1)
    trained_on = trained_on[(trained_on != 0).any(dim=1)]
    assert not set(map(tuple, trained_on[:100].tolist())) & set(map(tuple, drawn.tolist()))


def test_each_instance_of_a_stream_for_each_has_a_sample_of_its_own() -> None:
    data = TenSparsities(6, validation_size=4 * SIZE)
    model = fitted(data, n_instances=4)
    assert isinstance(data.population, PerInstance)
    found = model.losses_over(data.population)
    for i in range(4):
        right = model.losses_over(SparseFeatures(6, 0.05 * 2**i).population).loss[i]
        assert abs(found.loss[i] - right) < 6 * found.error[i]


@pytest.mark.parametrize("name", ["weights", "repeated", "batches", "sparse"])
def test_a_stream_of_any_form_is_sampled_whole(name: str) -> None:
    x = Sparse(6, 0.3).draw((40, 8), torch.Generator().manual_seed(0))
    weights = torch.rand(8)
    weights /= weights.sum()
    blocks = {
        "weights": (Chunk(x[:1], weights),),
        "repeated": (Repeated(x[0], 50),),
        "batches": tuple(x),
        "sparse": ([batch.to_sparse().coalesce() for batch in x],),
    }
    data = Own(*blocks[name])
    model = fitted_elsewhere = ReLUOutputModel(6)
    found = fitted_elsewhere.losses_over(data.population)
    few = x[0] if name in ("weights", "repeated") else x[:3].flatten(0, 1) if name == "batches" else x.flatten(0, 1)
    right = model.feature_losses(few, weights if name == "weights" else None).mean(dim=-1)
    torch.testing.assert_close(found.loss.float(), right)
    assert (found.error == 0) == (name in ("weights", "repeated"))


class Files(Features):
    """Rows in an order, the largest last."""

    def __init__(self, x: Tensor, shuffle: bool, batch_size: int = 16, **arguments: Any) -> None:
        super().__init__(Sparse(6, 0.5), batch_size, **arguments)
        self.x, self.shuffle = x.sort(dim=0).values, shuffle
        self.generator = torch.Generator().manual_seed(3) if shuffle else None

    def train_dataloader(self) -> Any:
        return DataLoader(self.x, self.batch_size, self.shuffle, generator=self.generator)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_rows", [64, 39 * 16, 70 * 16 - 5])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_loader_of_a_data_set_is_sampled_once_through(n_rows: int, shuffle: bool) -> None:
    data = Files(torch.rand(n_rows, 6), shuffle)
    before = torch.random.get_rng_state()
    generators = [] if data.generator is None else [data.generator.get_state()]
    model = ReLUOutputModel(6)
    torch.testing.assert_close(
        model.losses_over(data.population).feature_losses.float(), model.feature_losses(data.x).detach()
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(state, data.generator.get_state()) for state in generators)  # type: ignore[union-attr]


def test_rows_in_an_order_are_not_refused_by_their_own_population_and_others_are() -> None:
    class Says(Files):
        @property
        def population(self) -> Sample:  # type: ignore[override]
            return Sample(
                [Chunk(part, torch.full((len(part),), 1 / len(self.x))) for part in self.x[self.order].chunk(4)]
            )

    data = Says(torch.rand(4000, 6), shuffle=False)
    data.order = torch.randperm(4000, generator=torch.Generator().manual_seed(0))
    assert fitted(data).global_step == 10
    data.order = torch.arange(4000)  # of which the first part is small
    with pytest.raises(ConfigError, match=r"^the mean of feature 0 in what Says trains on is"):
        fitted(data)


def test_batches_that_are_weighted_anew_at_every_step_are_all_of_the_sample() -> None:
    x, weights = torch.rand(6, 8, 6), torch.full((8,), 1 / 8)
    data = Own(*(Chunk(own[None], weights) for own in x))
    data.validation_size = 48
    model = ReLUOutputModel(6)
    found = model.losses_over(data.population).loss.float()
    torch.testing.assert_close(found, model.feature_losses(x.flatten(0, 1)).mean(dim=-1).detach())
    repeated = Own(*(Repeated(own, 5) for own in x))
    repeated.validation_size = 48
    torch.testing.assert_close(model.losses_over(repeated.population).loss.float(), found)


def test_an_iterator_is_refused_since_the_sample_would_use_it_up() -> None:
    class Once(Own):
        def train_dataloader(self) -> Any:
            return iter(self.blocks)

    with pytest.raises(ConfigError, match=r"^what train_dataloader returns is tuple_iterator; it must be a loader"):
        _ = Once(torch.rand(4, 6)).population


def test_a_stream_without_examples_is_refused() -> None:
    with pytest.raises(ConfigError, match="the training data has no example"):
        _ = Own().population


@pytest.mark.parametrize("kind", [SparseFeatures, FiniteFeatures, SparsePopulation])
def test_modules_of_ours_keep_the_whole_of_their_law(kind: Any) -> None:
    own = {"unit_length": False} if kind is FiniteFeatures else {}
    assert not isinstance(kind(n_features=3, feature_probability=0.3, **own).population, Sample)

    class Sub(kind):  # type: ignore[misc]
        pass

    assert not isinstance(Sub(n_features=3, feature_probability=0.3, **own).population, Sample)


def test_a_module_that_says_both_is_refused_where_they_differ_and_otherwise_taken_at_its_word() -> None:
    with pytest.raises(
        ConfigError, match=r"^how often feature . is active in what Says trains on is 0\.\d+; it must be"
    ):
        fitted(Says(0.3))
    model = fitted(Says(0.057))
    assert model.global_step == 10


def test_a_loader_that_replaces_ours_is_looked_at_too() -> None:
    data = SparseFeatures(6)
    data.train_dataloader = Denser(0.3).train_dataloader  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="what SparseFeatures trains on"):
        fitted(data)


def test_binary_examples_are_told_apart_though_there_are_few_of_them() -> None:
    class OnOthers(SparseFeatures):
        population = SparseFeatures.population

        def train_dataloader(self) -> Stream:
            return SparseFeatures(distribution=Binary(6, 0.3), block_size=50).train_dataloader()

    with pytest.raises(ConfigError, match=r"what OnOthers trains on is 0\.3"):
        fitted(OnOthers(distribution=Binary(6, 0.057)))


def test_every_instance_is_looked_at() -> None:
    class Says(TenSparsities):
        population = SparseFeatures.population

    with pytest.raises(ConfigError, match=r"; it must be about 0\.057, as in its population\.$"):
        fitted(Says(6), n_instances=4)
