"""What a few examples, many and endless ones lead to, and how a sweep over their number is read and drawn."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src import cli
from src.data import FiniteFeatures
from src.figures.elements import png
from src.figures.regimes import regimes_figure
from src.geometry.polygons import count_directions, find_polygons
from src.model import ReLUOutputModel
from src.results.regimes import Regime, order_of, regime_rows, regime_table
from src.runs.folder import REGIMES, REGIMES_PICTURE
from src.runs.tables import read_rows
from src.sweep import __main__ as sweep
from src.training.schedules import WarmupCosine
from tests.running import ROOT, fit, slow

CALLBACKS = ("dimensionality.Dimensionalities", "census.Census")
WIDE = 400  # features, of which eight are active: two examples seldom share one


def trained(
    n_examples: int | None, n_features: int = WIDE, max_steps: int = 3000, n_instances: int = 4
) -> tuple[ReLUOutputModel, FiniteFeatures]:
    """The paper's optimizer at three times its learning rate, in fewer steps."""
    data = FiniteFeatures(n_features, 8 / n_features, n_examples, validation_size=20_000)
    model = ReLUOutputModel(
        n_features,
        n_instances=n_instances,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.01, eps=1e-8 / n_features),
        lr_scheduler=lambda optimizer: WarmupCosine(optimizer, max_steps // 20),
    )
    fit(model, max_steps, data)
    return model, data


def gaps(h: Tensor) -> Tensor:
    """The angles between neighbouring vectors in degrees, [instance, gap], in ascending order."""
    angle = torch.atan2(h[:, 1], h[:, 0]).sort(dim=1).values
    return torch.cat([angle.diff(dim=1), angle[:, :1] + 2 * math.pi - angle[:, -1:]], dim=1).rad2deg().sort().values


# The science


@pytest.mark.parametrize("n_examples", [slow(1), 2, slow(3)])
def test_a_few_examples_are_remembered_each_in_a_direction_of_its_own(n_examples: int) -> None:
    model, data = trained(n_examples, max_steps=1000)
    h = model.objective.hidden_vectors(data.examples)
    assert count_directions(h).tolist() == [n_examples] * 4
    # A model that returns nothing has a squared error of 1 an example.
    assert (WIDE * model.objective.losses(data.examples).mean(dim=1) < 0.01).all()
    # Two vectors disturb each other only within a right angle, so up to four need not be evenly spread.
    assert n_examples == 1 or (gaps(h)[:, 0] > 85).all()


@pytest.mark.slow
def test_five_examples_form_a_pentagon() -> None:
    model, data = trained(5)
    h = model.objective.hidden_vectors(data.examples)
    assert find_polygons(h).names == ["pentagon"] * 4
    assert "pentagon" not in find_polygons(model.W).names


@pytest.mark.slow
def test_ever_more_examples_tend_to_endless_ones() -> None:
    losses = []
    for n_examples in (30, 300, 3000, None):
        model, data = trained(n_examples, n_features=80, n_instances=3)
        losses.append(float(model.losses_over(data.population).loss.mean()))
    excess = [loss / losses[-1] - 1 for loss in losses[:-1]]
    assert excess[0] > 10 * excess[1] > 30 * excess[2] > 0
    assert excess[2] < 0.005


# Reading and drawing


def regime(n_examples: int | None, n_instances: int = 3, n_hidden: int = 2) -> Regime:
    generator = torch.Generator().manual_seed(n_examples or 0)
    of_examples = n_examples or 50
    return Regime(
        n_examples,
        list(range(n_instances)),
        [0.3, 0.1, 0.2][:n_instances] if n_examples else [math.nan] * n_instances,
        [1.0, 1.2, 1.1][:n_instances],
        [0.01] * n_instances,
        torch.randn(n_instances, n_hidden, 8, generator=generator),
        torch.randn(n_instances, n_hidden, of_examples, generator=generator),
        torch.rand(n_instances, 8, generator=generator),
        torch.rand(n_instances, of_examples, generator=generator),
    )


def test_the_best_instance_is_that_of_least_training_loss() -> None:
    assert [row["is_best"] for row in regime_rows([regime(5)])] == [False, True, False]


def test_the_best_instance_on_endless_data_is_that_of_least_held_out_loss() -> None:
    assert [row["is_best"] for row in regime_rows([regime(None)])] == [True, False, False]


def test_a_sweep_that_the_schedule_does_not_fit_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--trainer.max_steps=400", "--grid=data.n_examples=[3]", f"--out={tmp_path}"]
    assert sweep.main([f"--config={ROOT / 'configs/regimes.yaml'}", *arguments]) == 2
    wanted = "error: trainer.max_steps is 400; it must be more than 500, lr_scheduler.warmup_steps.\n"
    assert capsys.readouterr().err == wanted


def test_the_even_share_is_the_hidden_dimensions_over_the_examples_and_at_most_one() -> None:
    assert [regime(n_examples).even_share for n_examples in (1, 2, 8, None)] == [1, 1, 0.25, 0]


def test_a_row_sums_up_the_five_largest_features_and_the_median_example() -> None:
    own = regime(7)
    (row, *_) = regime_rows([own])
    assert row["largest_features"] == pytest.approx(float(own.feature_dimensionality[0].sort().values[-5:].mean()))
    assert row["median_example"] == pytest.approx(float(own.example_dimensionality[0].sort().values[3]))


def test_an_example_is_stored_whose_hidden_vector_is_half_as_long_as_the_longest() -> None:
    lengths = torch.tensor([[2.0, 1.0, 0.9, 0.0], [1.0, 1.0, 1.0, 0.6]])
    own = dataclasses.replace(regime(4, n_instances=2), hidden_vectors=torch.stack([lengths, 0 * lengths], dim=1))
    assert own.stored_share.tolist() == [0.5, 1.0]


def test_endless_data_come_last() -> None:
    assert sorted([None, 10, 3], key=order_of) == [3, 10, None]


@pytest.mark.parametrize("sizes", [(3,), (1, 20, None), (None,)])
@pytest.mark.parametrize("n_hidden", [2, 3])
def test_any_sizes_are_drawn_and_tabulated(sizes: tuple[int | None, ...], n_hidden: int) -> None:
    regimes = [regime(n_examples, n_hidden=n_hidden) for n_examples in sizes]
    figure = regimes_figure(regimes)
    n_stars = 2 * len(sizes) if n_hidden == 2 else 0
    assert len(figure.axes) == 2 + n_stars
    assert png(figure).startswith(b"\x89PNG")
    assert regime_table(regime_rows(regimes)).row_count == len(sizes)


@pytest.mark.slow
def test_a_sweep_over_the_number_of_examples_is_drawn_as_data_regimes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        f"--config={ROOT / 'configs/regimes.yaml'}",
        f"--trainer.callbacks={json.dumps([{'class_path': f'callbacks.{name}'} for name in CALLBACKS])}",
        "--data.n_features=40",
        "--data.feature_probability=0.1",
        "--data.validation_size=200",
        "--model.lr_scheduler.init_args.warmup_steps=2",
        "--model.n_instances=2",
        "--trainer.max_steps=10",
        "--grid=data.n_examples=[null,3]",
        f"--out={tmp_path}",
    ]

    def engine(cells, n_jobs, say):  # type: ignore[no-untyped-def]
        for cell in cells:
            yield cell, cli.main(["fit", *cell.arguments])

    assert sweep.main(arguments, engine) == 0
    rows = read_rows(tmp_path / REGIMES)
    assert [(row["n_examples"], row["seed"]) for row in rows] == [(T, s) for T in ("3", "") for s in ("0", "1")]
    assert all(float(row["test_loss"]) > 0 for row in rows)
    assert [row["training_loss"] == "" for row in rows] == [False, False, True, True]
    assert (tmp_path / REGIMES_PICTURE).read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path / REGIMES_PICTURE) in capsys.readouterr().out.replace("\n", "")
