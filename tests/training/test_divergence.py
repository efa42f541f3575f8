"""An instance whose loss becomes infinite stops the run and is named, or is frozen and does not disturb the others."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from src.errors import NonFiniteError
from src.model import ReLUOutputModel
from src.results.rates import counted_geometry
from src.training.divergence import N_NAMED, Divergence, named
from tests.running import fit, read_census, run_cli, run_of

LARGE = (  # of ten seeds half diverge
    "--config=configs/optimizers/sgd.yaml",
    "--model.optimizer.lr=10",
    "--model.init_std=1.5",
    "--model.first_seed=0",
    "--model.n_instances=10",
)
LAST = "{class_path: callbacks.last_checkpoint.LastCheckpoint, init_args: {every_n_steps: 1}}"
DIVERGING = {"0", "4", "6"}


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)


def stack(on_divergence: Any = "stop", diverging: tuple[int, ...] = (1,)) -> ReLUOutputModel:
    model = ReLUOutputModel(n_features=6, n_instances=3, optimizer=sgd, on_divergence=on_divergence)
    with torch.no_grad():
        model.W[list(diverging)] = 1e4  # a finite loss, and a gradient that makes it infinite within steps
    return model


def test_a_diverging_instance_stops_the_run_and_is_named() -> None:
    with pytest.raises(NonFiniteError, match=r"non-finite at step \d, in instance 1 \(seed 1\) of 3; .* freeze\.$"):
        fit(stack())


def test_the_step_at_which_a_loss_became_non_finite_is_exact() -> None:
    losses = torch.zeros(50, 2, 6)
    losses[17:, 1, 3] = torch.nan
    model = ReLUOutputModel(n_features=6, n_instances=2)
    with pytest.raises(NonFiniteError, match="at step 117, in instance 1 "):
        Divergence(freezes=False).end_block(model, sgd(model.parameters()), losses, 100)


def test_weights_that_are_not_finite_are_noticed_before_their_loss_is() -> None:
    model = ReLUOutputModel(n_features=6, n_instances=2)
    divergence = Divergence(freezes=True)
    divergence.begin_block(model)
    start = model.W.detach().clone()
    with torch.no_grad():
        model.W[1, 0, 3] = torch.inf
    divergence.end_block(model, sgd(model.parameters()), torch.zeros(50, 2, 6), 100)
    assert divergence.steps == {1: 149}
    assert torch.equal(model.W, start)


def test_an_instance_is_put_back_to_where_its_loss_was_last_finite() -> None:
    """Not to the start of the block whose first loss is infinite, but of the block before."""
    model = ReLUOutputModel(n_features=6, n_instances=2)
    optimizer, divergence = sgd(model.parameters()), Divergence(freezes=True)
    divergence.begin_block(model)
    start = model.W.detach().clone()
    with torch.no_grad():
        model.W[1] = 1e30
    divergence.end_block(model, optimizer, torch.zeros(50, 2, 6), 0)
    divergence.begin_block(model)
    losses = torch.zeros(50, 2, 6)
    losses[:, 1] = torch.inf
    divergence.end_block(model, optimizer, losses, 50)
    assert divergence.steps == {1: 50}
    assert torch.equal(model.W, start)


def test_a_frozen_instance_has_no_gradient_and_no_moments() -> None:
    """Which optimizers that look at a whole parameter, and means over instances, would see."""
    model = fit(stack("freeze"))
    (optimizer,) = model.trainer.optimizers
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad[1].count_nonzero() == 0 < parameter.grad[[0, 2]].count_nonzero()
        assert optimizer.state[parameter]["momentum_buffer"].isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("lr", [1e15, 1e38])
def test_what_the_last_step_leads_to_is_looked_at(lr: float, tmp_path: Path, capsys: Any) -> None:
    options = ("--config=configs/optimizers/sgd.yaml", f"--model.optimizer.lr={lr}", "--data.block_size=1")
    assert run_cli(tmp_path, *options, max_steps=1) == 1
    assert "non-finite at step 1, in instance 0 (seed 11) of 1;" in capsys.readouterr().err
    assert not (run_of(tmp_path) / "checkpoints/last.ckpt").exists()
    assert run_cli(tmp_path, *options, "--model.on_divergence=freeze", max_steps=1) == 0
    (row,) = read_census(run_of(tmp_path, version=1))
    assert (row["geometry"], row["diverged_at"]) == ("diverged", "1")
    assert float(row["loss"]) < 1


def test_a_model_trained_anew_is_frozen_no_more() -> None:
    model = fit(stack("freeze"))
    with torch.no_grad():
        model.W[1] = 0.1
    assert fit(model).divergence.steps == {}


def test_all_that_diverged_are_named_up_to_twenty() -> None:
    names = [f"seed {i}" for i in range(30)]
    assert named([3], names) == "3 (seed 3)"
    assert named(range(N_NAMED), names).count("seed") == N_NAMED
    assert named(range(22), names).endswith("19 (seed 19) and 2 more")


def test_a_frozen_instance_does_not_disturb_the_others() -> None:
    """To the bit: no step mixes instances, and what is frozen stays where its loss was last finite."""
    expected, model = fit(stack(diverging=())), fit(stack("freeze"))
    assert list(model.divergence.steps) == [1]
    for name, values in model.named_parameters():
        assert torch.equal(values[[0, 2]], dict(expected.named_parameters())[name][[0, 2]])
        assert values.isfinite().all()
    assert torch.equal(model.W[1], torch.full((2, 6), 1e4))  # as the block began in which it diverged
    assert model.polygons().names[1] == "diverged"


def test_a_stack_of_which_all_diverge_ends_early() -> None:
    model = fit(stack("freeze", diverging=(0, 1, 2)), max_steps=1000)
    assert model.global_step == 50
    assert model.polygons().names == ["diverged"] * 3


@pytest.mark.slow
def test_the_census_names_what_diverged_and_a_resumed_run_goes_on_with_the_rest(tmp_path: Path) -> None:
    freeze = (*LARGE, "--model.on_divergence=freeze")
    assert run_cli(tmp_path, *freeze, max_steps=100) == 0
    census = read_census(run_of(tmp_path))
    assert {row["seed"] for row in census if row["geometry"] == "diverged"} == DIVERGING
    assert {row["seed"] for row in census if row["diverged_at"] != ""} == DIVERGING
    checkpoint = run_of(tmp_path) / "checkpoints/last.ckpt"
    assert run_cli(tmp_path, *freeze, f"--ckpt_path={checkpoint}", max_steps=150) == 0
    assert run_cli(tmp_path, *freeze, max_steps=150) == 0
    resumed, whole = read_census(run_of(tmp_path, version=1)), read_census(run_of(tmp_path, version=2))
    assert resumed == whole
    assert [row["diverged_at"] for row in whole] == [row["diverged_at"] for row in census]


@pytest.mark.slow
def test_a_run_that_stopped_at_a_divergence_can_go_on_without_it(tmp_path: Path, capsys: Any) -> None:
    """From its last checkpoint, with the one setting that may be another."""
    options = (*LARGE, f"--trainer.callbacks=[{LAST}, {{class_path: callbacks.census.Census}}]", "--data.block_size=1")
    assert run_cli(tmp_path, *options, max_steps=100) == 1
    assert re.search(r"in instance 4 \(seed 4\).* of 10; .* freeze", capsys.readouterr().err)
    checkpoint = f"--ckpt_path={run_of(tmp_path) / 'checkpoints/last.ckpt'}"
    assert run_cli(tmp_path, *options, checkpoint, "--model.on_divergence=freeze", max_steps=100) == 0
    assert {row["seed"] for row in read_census(run_of(tmp_path, version=1)) if row["diverged_at"]} == DIVERGING


def test_what_diverged_is_counted_as_such() -> None:
    assert counted_geometry(2, "diverged") == "2 diverged"
