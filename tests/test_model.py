import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from src.data import FiniteFeatures, SparseFeatures, SparsePopulation
from src.distributions.sparse import Sparse
from src.distributions.supports import SupportSizes
from src.errors import ConfigError, NonFiniteError
from src.model import ReLUOutputModel, ToyModel
from src.objective import loss_and_gradient
from src.objective.autograd import HOOKS
from src.population.losses import CLOSED_FORM, QUADRATURE, SAMPLE
from src.population.quadrature import summary
from src.training.block import refuse_non_finite
from src.training.optimizers import adamw
from tests.running import SMALL_VALIDATION, fit

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=1.0, momentum=0.9),
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    "AdamW": adamw,
    "fused AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=True),
}


class LeakyModel(ReLUOutputModel):
    """A variant that changes only what comes out."""

    def decode(self, h: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(h @ self.W + self.b.unsqueeze(-2), 0.1)


def test_a_seed_starts_from_the_same_weights_alone_and_in_company() -> None:
    stack = ReLUOutputModel(n_features=6, n_instances=10, first_seed=3)
    alone = ReLUOutputModel(n_features=6, first_seed=7)
    assert torch.equal(stack.W[4], alone.W[0])
    assert not torch.equal(stack.W[3], stack.W[4])


def test_listed_seeds_start_from_the_weights_of_those_seeds() -> None:
    listed = ReLUOutputModel(n_features=6, seeds=[5, 2, 5])
    assert listed.n_instances == 3
    assert torch.equal(listed.W[0], listed.W[2])
    assert torch.equal(listed.W[1], ReLUOutputModel(n_features=6, first_seed=2).W[0])


def test_the_default_scale_is_xaviers_for_the_matrix() -> None:
    W = ReLUOutputModel(n_features=6, n_instances=2000).W
    # 24,000 normal numbers: their standard deviation is known to 0.5 %, four times that is allowed
    assert W.std().item() == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_instance_trains_as_it_would_alone(name: str) -> None:
    stack = fit(ReLUOutputModel(n_features=6, n_instances=5, optimizer=OPTIMIZERS[name]), max_steps=300)
    alone = fit(ReLUOutputModel(n_features=6, first_seed=3, optimizer=OPTIMIZERS[name]), max_steps=300)
    # Batched and single matrix products round differently: 300 steps grow 1e-7 by little, as no basin is chosen yet.
    torch.testing.assert_close(stack.W[3], alone.W[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stack.b[3], alone.b[0], rtol=1e-4, atol=1e-5)


def test_the_same_settings_give_the_same_bits() -> None:
    first, second = (fit(ReLUOutputModel(n_features=6, n_instances=3)) for _ in range(2))
    assert torch.equal(first.W, second.W)
    assert torch.equal(first.b, second.b)


def test_the_trained_weights_are_those_of_a_plain_loop() -> None:
    """One Lightning batch of many steps must do what `zero_grad`, `backward` and `step` do, batch by batch."""
    data = SparseFeatures(validation_size=SMALL_VALIDATION, block_size=7)
    trained = fit(ReLUOutputModel(n_features=6, n_instances=2), max_steps=20, data=data)
    start = ReLUOutputModel(n_features=6, n_instances=2)
    W, b = start.W, start.b
    optimizer = adamw([W, b])
    data = SparseFeatures(validation_size=SMALL_VALIDATION, block_size=1)
    for _, block in zip(range(20), data.train_dataloader(), strict=False):
        optimizer.zero_grad()
        loss_and_gradient.feature_losses(W, b, block[0]).mean(dim=1).sum().backward()
        optimizer.step()
    # The closed form and autograd round differently, by 1e-7 a step.
    torch.testing.assert_close(trained.W, W, rtol=0, atol=1e-5)
    torch.testing.assert_close(trained.b, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("block_size", [1, 7, 60, 100])
def test_steps_are_optimizer_steps_whatever_the_block_size(block_size: int) -> None:
    data = SparseFeatures(validation_size=SMALL_VALIDATION, block_size=block_size)
    reference = fit(ReLUOutputModel(n_features=6))
    model = fit(ReLUOutputModel(n_features=6), data=data)
    assert model.global_step == 60
    assert torch.equal(model.W, reference.W)


def test_independent_streams_train_an_instance_as_it_would_alone() -> None:
    data = [SparseFeatures(stream="independent", validation_size=SMALL_VALIDATION) for _ in range(2)]
    stack = fit(ReLUOutputModel(n_features=6, n_instances=3), data=data[0])
    alone = fit(ReLUOutputModel(n_features=6, first_seed=2), data=data[1])
    torch.testing.assert_close(stack.W[2], alone.W[0], rtol=0, atol=1e-5)


class FirstSteps(Callback):
    """Notes the step number at each of Lightning's optimizer hooks."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.steps.append(trainer.global_step)


def test_hooks_run_at_the_first_step_of_each_block() -> None:
    hooks = FirstSteps()
    fit(ReLUOutputModel(n_features=6), max_steps=120, callbacks=[hooks])
    assert hooks.steps == [0, 50, 100]


def test_a_scheduler_steps_with_every_optimizer_step() -> None:
    model = ReLUOutputModel(
        n_features=6,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step)),
    )
    fit(model, max_steps=60)
    assert model.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1 / 61)


def test_a_variant_with_its_own_decoder_is_trained_by_its_own_gradient() -> None:
    x = SparseFeatures().train_dataloader().draw(1)[0]
    model = LeakyModel(n_features=6, n_instances=2)
    model.objective.set_gradients(x)
    assert model.W.grad is not None
    W = model.W.detach().clone().requires_grad_()
    reconstruction = torch.nn.functional.leaky_relu(x @ W.mT @ W, 0.1)
    (x - reconstruction).square().mean(dim=(1, 2)).sum().backward()
    torch.testing.assert_close(model.W.grad, W.grad)
    plain = ReLUOutputModel(n_features=6, n_instances=2)
    plain.objective.set_gradients(x)
    assert not torch.allclose(model.W.grad, plain.W.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_variant_is_trained_by_what_its_own_hook_computes(hook: str) -> None:
    """A hook that changes nothing but a factor changes the gradient, whichever hook it is."""
    inherited = getattr(ReLUOutputModel, hook)

    def own(self: ToyModel, *arguments: Any) -> Any:
        return 1.5 * inherited(self, *arguments)

    x = torch.rand(5, 6)
    variant = type("Variant", (ReLUOutputModel,), {hook: own})(n_features=6)
    losses = variant.objective.set_gradients(x)
    torch.testing.assert_close(losses, variant.feature_losses(x).detach())
    by_autograd = torch.autograd.grad(variant.feature_losses(x).mean(dim=-1).sum(), (variant.W, variant.b))
    torch.testing.assert_close((variant.W.grad, variant.b.grad), by_autograd)
    plain = ReLUOutputModel(n_features=6)
    assert not torch.allclose(plain.objective.set_gradients(x), losses)
    assert not torch.allclose(plain.W.grad, variant.W.grad)  # type: ignore[arg-type]


def test_a_variant_that_only_weighs_features_keeps_the_fused_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    class Weighted(ReLUOutputModel):
        def feature_losses(self, x: Any, weights: Any = None) -> Any:
            return torch.arange(6) * super().feature_losses(x, weights)

    calls = []
    original = loss_and_gradient.losses_and_gradients
    monkeypatch.setattr(loss_and_gradient, "losses_and_gradients", lambda *a: calls.append(a[-1]) or original(*a))
    model = Weighted(n_features=6)
    model.objective.set_gradients(torch.rand(5, 6))
    torch.testing.assert_close(calls, [torch.arange(6).unsqueeze(0) / 6])  # the importances
    assert torch.equal(model.b.grad[0, 0], torch.zeros(()))  # type: ignore[index]


def test_weights_in_the_loss_are_those_of_a_mean() -> None:
    model = LeakyModel(n_features=6, n_instances=2)
    x = torch.rand(4, 6)
    torch.testing.assert_close(model.feature_losses(x, torch.full((4,), 0.25)), model.feature_losses(x))


def test_a_model_without_an_activation_says_so() -> None:
    with pytest.raises(NotImplementedError, match="ToyModel must define activate"):
        ToyModel(n_features=6)(torch.rand(1, 6))


@pytest.mark.parametrize("optimizer", [torch.optim.LBFGS, torch.optim.Adafactor])
def test_an_optimizer_that_mixes_instances_is_refused_for_a_stack(optimizer: Any) -> None:
    with pytest.raises(ConfigError, match="mixes instances"):
        fit(ReLUOutputModel(n_features=6, n_instances=2, optimizer=optimizer))


def test_an_optimizer_with_a_closure_trains_one_instance() -> None:
    losses: list[Tensor] = []

    class Keep(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            losses.append(outputs["feature_losses"][0])

    model = fit(ReLUOutputModel(n_features=6, optimizer=torch.optim.LBFGS), max_steps=5, callbacks=[Keep()])
    before = ReLUOutputModel(n_features=6)
    assert not torch.equal(model.W, before.W)
    # It evaluates many times a step; what is recorded is the loss before the step.
    assert torch.equal(losses[0], before.feature_losses(SparseFeatures().train_dataloader().draw(1)[0]).detach())


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


def test_a_scheduler_that_follows_the_loss_is_refused() -> None:
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau
    with pytest.raises(ConfigError, match="ReduceLROnPlateau"):
        fit(ReLUOutputModel(n_features=6, lr_scheduler=scheduler))  # type: ignore[arg-type]


def test_a_precision_that_scales_the_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.precision is bf16-mixed; it must be 32-true or 64-true"):
        fit(ReLUOutputModel(n_features=6), precision="bf16-mixed")


def test_a_diverging_instance_stops_the_run_and_is_named() -> None:
    model = ReLUOutputModel(n_features=6, n_instances=3, optimizer=lambda p: torch.optim.SGD(p, lr=1e-3))
    with torch.no_grad():
        model.W[1] = 1e30
    with pytest.raises(NonFiniteError, match=re.escape("non-finite at step 0, in instance 1 (seed 1) of 3")):
        fit(model)


def test_the_step_at_which_a_loss_became_non_finite_is_exact() -> None:
    losses = torch.zeros(50, 2, 6)
    losses[17:, 1, 3] = torch.nan
    with pytest.raises(NonFiniteError, match="at step 117, in instance 1 "):
        refuse_non_finite(losses, 100, ["seed 0", "seed 1"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_features": 0}, "model.n_features is 0; it must be at least 1."),
        ({"n_hidden": 0}, "model.n_hidden is 0; it must be at least 1."),
        ({"n_instances": 0}, "model.n_instances is 0; it must be at least 1."),
        ({"first_seed": -1}, "model.first_seed is -1; it must be from 0 to 4294967295."),
        ({"init_std": 0.0}, "model.init_std is 0.0; it must be positive, or null for Xavier's."),
        ({"seeds": []}, "model.seeds is []; it must be a list of numbers from 0 to 4294967295."),
        ({"seeds": [1, -4]}, "model.seeds is [1, -4]; it must be a list of numbers from 0 to 4294967295."),
        ({"seeds": [1, 4], "n_instances": 3}, "model.n_instances is 3; it must be 2, as model.seeds."),
    ],
)
def test_a_bad_argument_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        ReLUOutputModel(**{"n_features": 6, **arguments})


@pytest.mark.parametrize("kind", [ReLUOutputModel, LeakyModel])
@pytest.mark.parametrize("n_features", [6, 11])
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


def test_a_large_stack_is_evaluated_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LeakyModel(n_features=11, n_instances=7)
    population = SparseFeatures(n_features=11, validation_size=SMALL_VALIDATION).population
    whole = model.losses_over(population)
    monkeypatch.setattr("src.objective.autograd.MAX_ENTRIES", 7 * 11 * SMALL_VALIDATION // 60)
    for value, expected in zip(model.losses_over(population)[:3], whole[:3], strict=True):
        torch.testing.assert_close(value, expected)


def test_a_variant_is_integrated_in_double_precision_and_left_as_it_was() -> None:
    model = LeakyModel(n_features=3)
    seen: list[torch.dtype] = []
    model.register_buffer("offset", torch.zeros(3))
    original = model.decode
    model.decode = lambda h: (seen.extend([h.dtype, model.offset.dtype]), original(h))[1]  # type: ignore[method-assign]
    before = model.W.detach().clone()
    losses = model.losses_over(SupportSizes.independent(3, 0.1))
    assert set(seen) == {torch.float64}
    assert losses.loss.dtype == torch.float64
    assert (model.W.dtype, model.offset.dtype) == (torch.float32, torch.float32)
    assert torch.equal(model.W, before)


def test_a_step_on_weighted_nodes_has_the_gradient_of_their_weighted_loss() -> None:
    nodes = summary(SupportSizes.independent(6, 0.2))
    x, weights = nodes.x.float(), nodes.weights.float()
    for kind in (ReLUOutputModel, LeakyModel):
        model = kind(n_features=6, n_instances=2)
        losses = model.objective.set_gradients(x, weights=weights)
        expected = model.feature_losses(x, weights)
        gradient = torch.autograd.grad(expected.mean(dim=-1).sum(), [model.W, model.b])
        torch.testing.assert_close(losses, expected.detach())
        for parameter, own in zip((model.W, model.b), gradient, strict=True):
            torch.testing.assert_close(parameter.grad, own, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", [ReLUOutputModel, LeakyModel])
def test_training_on_the_population_lowers_its_loss(kind: type[ReLUOutputModel]) -> None:
    data = SparsePopulation(n_features=3, feature_probability=0.1, tolerance=1e-2)
    model = kind(n_features=3, n_instances=2)
    before = model.losses_over(data.population).loss
    fit(model, max_steps=50, data=data)
    assert (model.losses_over(data.population).loss < before).all()


# Sparse examples


class Shifted(LeakyModel):
    """A variant with an encoder of its own, which knows dense examples alone."""

    def encode(self, x: Tensor) -> Tensor:
        assert not x.is_sparse
        return super().encode(x - 0.1)


class Penalised(LeakyModel):
    """A variant whose loss has a term that does not depend on the examples."""

    def feature_losses(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        return super().feature_losses(x, weights) + 0.1 * self.W.square().sum(dim=1)


VARIANTS = [ReLUOutputModel, LeakyModel, Shifted, Penalised]


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
    torch.testing.assert_close(stack.W[3], alone.W[0], rtol=1e-4, atol=1e-5)  # as above, another order of sums


def test_a_finite_set_trains_in_double_precision() -> None:
    model = fit(ReLUOutputModel(n_features=40), max_steps=20, data=few_examples(20), precision="64-true")
    assert model.W.dtype == torch.float64
