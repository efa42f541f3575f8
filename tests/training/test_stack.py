"""What a stack of models trains on, and the losses that it validates with and records."""

import pytest
import torch
from lightning import Trainer

from src.data import SparseFeatures, SparsePopulation
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.population.losses import CLOSED_FORM, QUADRATURE, SAMPLE
from src.population.quadrature import summary
from tests.running import SMALL_VALIDATION, fit
from tests.variants import LeakyModel


def test_the_same_settings_give_the_same_bits() -> None:
    first, second = (fit(ReLUOutputModel(n_features=6, n_instances=3)) for _ in range(2))
    assert torch.equal(first.W, second.W)
    assert torch.equal(first.b, second.b)


def test_independent_streams_train_an_instance_as_it_would_alone() -> None:
    data = [SparseFeatures(stream="independent", validation_size=SMALL_VALIDATION) for _ in range(2)]
    stack = fit(ReLUOutputModel(n_features=6, n_instances=3), data=data[0])
    alone = fit(ReLUOutputModel(n_features=6, first_seed=2), data=data[1])
    torch.testing.assert_close(stack.W[2], alone.W[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [ReLUOutputModel, LeakyModel])
def test_training_on_the_population_lowers_its_loss(kind: type[ReLUOutputModel]) -> None:
    data = SparsePopulation(n_features=3, feature_probability=0.1, tolerance=1e-2)
    model = kind(n_features=3, n_instances=2)
    before = model.losses_over(data.population).loss
    fit(model, max_steps=50, data=data)
    assert (model.losses_over(data.population).loss < before).all()


def test_a_precision_that_scales_the_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.precision is bf16-mixed; it must be 32-true or 64-true"):
        fit(ReLUOutputModel(n_features=6), precision="bf16-mixed")


@pytest.mark.parametrize("kind", [ReLUOutputModel, LeakyModel])
@pytest.mark.parametrize("n_features", [6, 13])
def test_validation_logs_the_loss_over_the_distribution(kind: type[ReLUOutputModel], n_features: int) -> None:
    model = kind(n_features=n_features, n_instances=2)
    data = SparseFeatures(n_features=n_features, validation_size=SMALL_VALIDATION)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (logged,) = trainer.validate(model, datamodule=data, verbose=False)
    expected = model.losses_over(data.population)
    assert logged["val_loss"] == pytest.approx(expected.loss.mean().item(), rel=1e-6)
    assert logged["val_loss_error"] == pytest.approx(expected.error.mean().item(), rel=1e-6)
    methods = {(ReLUOutputModel, 6): CLOSED_FORM, (LeakyModel, 6): QUADRATURE}
    assert expected.method == methods.get((kind, n_features), SAMPLE)


def test_recorded_losses_are_of_the_data_module_in_use() -> None:
    model = ReLUOutputModel(n_features=6)
    recorded = []
    for p in (0.05, 0.5):
        data = SparseFeatures(feature_probability=p, validation_size=200)
        fit(model, data=data, max_steps=1)
        x, weights = summary(data.population)
        recorded.append(model.recorded_feature_losses([0]))
        torch.testing.assert_close(recorded[-1], model.feature_losses(x.float(), weights.float()).detach())
    assert not torch.allclose(*recorded)


def test_losses_at_a_recorded_step_follow_the_weights() -> None:
    model = fit(ReLUOutputModel(n_features=6), max_steps=5)
    before = model.recorded_feature_losses([0])
    assert model.recorded_feature_losses([0]) is before
    with torch.no_grad():
        model.W.mul_(2)
    assert not torch.equal(model.recorded_feature_losses([0]), before)


@pytest.mark.parametrize("kind", [ReLUOutputModel, LeakyModel])
def test_losses_at_a_recorded_step_are_those_of_the_chosen_instances(kind: type[ReLUOutputModel]) -> None:
    model = fit(kind(n_features=6, n_instances=4), max_steps=5)
    everyone = model.recorded_feature_losses([0, 1, 2, 3])
    torch.testing.assert_close(model.recorded_feature_losses([2, 0]), everyone[[2, 0]])
