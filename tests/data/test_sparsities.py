"""Instances with feature probabilities of their own, in one fit."""

from pathlib import Path

import pytest
import torch
from lightning import Trainer

from callbacks.sparsities import Sparsities
from src.data import SparseFeatures
from src.data.probabilities import probabilities_of
from src.distributions import Sparse, SupportSizes
from src.distributions.seeds import TRAINING, generator_for
from src.errors import ConfigError
from src.model import ReLUOutputModel, ToyModel
from src.runs.folder import LANDSCAPE, SPARSITIES, SPARSITIES_RATES
from src.runs.tables import read_rows
from src.variants import HiddenReLU, Importance
from tests.running import fit, read_census, run_cli, run_of, slow, state

LIST = "--data.feature_probability=[0.5,0.1]"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0.3, [0.3]),
        ([1.0, 0.5], [1.0, 0.5]),
        ("linspace(1, 0.5, 3)", [1, 0.75, 0.5]),
        ("logspace(1, 0.01, 3)", [1, 0.1, 0.01]),
        ("logspace(0.2,0.1,1)", [0.2]),
    ],
)
def test_probabilities_are_a_number_a_list_or_a_word(written: float | list[float] | str, expected: list[float]) -> None:
    assert probabilities_of(written) == pytest.approx(expected)


@pytest.mark.parametrize(
    "written", [[], [0.5, 0.0], "logspace(1, 0, 3)", "logspace(1, 2)", "often", "linspace(a, 1, 2)"]
)
def test_what_is_no_probability_is_refused(written: list[float] | str) -> None:
    with pytest.raises(ConfigError, match="feature_probability is"):
        probabilities_of(written)


def test_every_probability_has_the_draws_that_it_has_alone() -> None:
    data = SparseFeatures(4, [0.6, 0.2], batch_size=50, block_size=3)
    x = next(iter(data.train_dataloader()))
    assert isinstance(x, torch.Tensor)
    assert x.shape == (3, 2, 50, 4)
    for own, p in zip(x.unbind(1), (0.6, 0.2), strict=True):
        assert torch.equal(own, Sparse(4, p).draw((3, 50), generator_for(0, TRAINING)))
    assert (x[:, 0][x[:, 1] != 0] != 0).all()  # common random numbers


@pytest.mark.parametrize("kind", [ReLUOutputModel, slow(Importance), slow(HiddenReLU)])
def test_losses_are_over_the_own_distribution(kind: type[ToyModel]) -> None:
    probabilities = [0.5, 0.1, 0.02]
    model, data = kind(n_features=3, n_instances=6), SparseFeatures(3, probabilities)
    fit(model, 20, data)
    found = model.losses_over(data.population)
    for i in range(6):
        alone = model.losses_over(SupportSizes.independent(3, probabilities[i % 3]))
        torch.testing.assert_close(found.feature_losses[i], alone.feature_losses[i], rtol=1e-6, atol=0)
        assert found.loss[i] == pytest.approx(float(alone.loss[i]), rel=1e-6)
    recorded = model.recorded_feature_losses([4, 0])
    torch.testing.assert_close(recorded.double(), found.feature_losses[[4, 0]], rtol=0.01, atol=0)


def test_an_instance_trains_as_it_would_alone() -> None:
    model = ReLUOutputModel(n_features=4, n_instances=4)
    fit(model, 30, SparseFeatures(4, [0.5, 0.1]))
    alone = ReLUOutputModel(n_features=4, seeds=[3])
    fit(alone, 30, SparseFeatures(4, 0.1))
    torch.testing.assert_close(model.W[3], alone.W[0], rtol=1e-4, atol=1e-6)


def test_the_run_says_whose_probability_is_which(tmp_path: Path) -> None:
    options = ("--model.n_instances=4", "--trainer.callbacks+=callbacks.sparsities.Sparsities")
    assert run_cli(tmp_path, LIST, *options, max_steps=60) == 0
    run = run_of(tmp_path)
    rows = read_census(run)
    assert [row["feature_probability"] for row in rows] == ["0.5", "0.1", "0.5", "0.1"]
    assert rows[1]["name"] == "seed 12, p = 0.1"
    assert {row["loss_method"] for row in rows} == {"closed form"}
    assert (run / SPARSITIES).is_file()
    shares = read_rows((run / SPARSITIES_RATES).with_suffix(".csv"))
    assert {row["feature_probability"] for row in shares} == {"0.5", "0.1"}


@pytest.mark.slow
def test_it_resumes_to_the_bit_and_is_certified(tmp_path: Path) -> None:
    from src import cli  # noqa: PLC0415
    from src.runs.folder import CHECKPOINT  # noqa: PLC0415

    options = (LIST, "--model.n_instances=4")
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run_cli(whole, *options) == 0
    assert run_cli(part, *options, max_steps=70) == 0
    assert run_cli(part, *options, f"--ckpt_path={run_of(part) / CHECKPOINT}") == 0
    expected, resumed = state(run_of(whole)), state(run_of(part, version=1))
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)
    other = f"--ckpt_path={run_of(part) / CHECKPOINT}"
    assert run_cli(part, "--data.feature_probability=[0.5,0.2]", "--model.n_instances=4", other) == 2
    settings = f"--config={run_of(whole) / 'config.yaml'}"
    assert cli.main(["test", settings, f"--ckpt_path={run_of(whole) / CHECKPOINT}"]) == 0
    rows = read_rows(run_of(whole) / LANDSCAPE)
    losses = [float(row["loss"]) for row in read_census(run_of(whole))]
    assert [float(row["loss"]) for row in rows] == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((LIST,), "model.n_instances is 1; it must be a multiple of 2, the probabilities in data.feature_probability."),
        (
            (LIST, "--model.n_instances=2", "--data.stream=independent"),
            "data.stream is independent; it must be shared, since data.feature_probability is a list",
        ),
        (
            ("--data.feature_probability=often",),
            "data.feature_probability is often; it must be in (0, 1], or a list",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    options: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path / "runs", *options) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_picture_of_probabilities_needs_some() -> None:
    with pytest.raises(ConfigError, match="a list, for callbacks"):
        Sparsities().setup(Trainer(logger=False), ReLUOutputModel(n_features=3), "fit")
