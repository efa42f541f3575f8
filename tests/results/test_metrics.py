"""A number of every instance: its mean with an interval, and where it is written."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from callbacks.metric import Metric
from callbacks.pair_angles import PairAngles
from src.model import ReLUOutputModel, ToyModel
from src.results.metrics import metric_row, metrics_of, summary_text
from src.runs.folder import METRICS
from src.runs.tables import read_rows
from src.sweep import __main__ as sweep
from tests.running import ROOT, read_census, run_cli, run_of, slow
from tests.sweep.sweeping import BASE


def test_the_mean_is_over_instances_with_students_interval() -> None:
    instances = [[1.0, 3.0], [5.0], [math.nan], [4.0, math.nan], [math.inf]]
    row = metric_row(instances)
    means = [2.0, 5.0, 4.0]
    expected = stats.t.interval(0.95, 2, loc=stats.tmean(means), scale=stats.sem(means))
    assert (row["n"], row["mean"]) == (3, pytest.approx(11 / 3))
    assert (row["low"], row["high"]) == (pytest.approx(expected[0]), pytest.approx(expected[1]))
    assert (row["median"], row["lowest_5_percent"]) == (3.5, pytest.approx(1.3))
    assert summary_text("x", instances).startswith("x: mean 3.667 (-0.1279 to 7.461) over 3 of 5 instances, median 3.5")


def test_a_share_has_wilsons_interval() -> None:
    row = metric_row([[1.0]] * 64)
    assert (row["low"], row["high"]) == (pytest.approx(0.9434, abs=1e-4), pytest.approx(1))


def test_nothing_measured_and_a_single_instance_have_no_interval() -> None:
    nothing = metric_row([[math.nan], []])
    assert nothing["n"] == 0
    assert all(math.isnan(value) for name, value in nothing.items() if name != "n")
    single = metric_row([[2.0, 4.0]])
    assert (single["n"], single["mean"], math.isnan(single["low"])) == (1, 3.0, True)
    assert summary_text("x", [[2.0, 4.0]]) == "x: mean 3 over 1 instance, median 3"


def test_angles_of_pairs_in_degrees_and_none_with_a_stub() -> None:
    model = ReLUOutputModel(n_features=6, n_instances=2)
    with torch.no_grad():
        model.W[0] = torch.tensor([[1.0, 0.0, 1.0, 2.0, 1.0, 0.3], [0.0, 2.0, 0.0, 2.0, 0.0, 0.0]])
        model.W[1] = -model.W[0]
    angles = PairAngles().measure(model)
    torch.testing.assert_close(angles, torch.tensor([[90, 45, math.nan]] * 2).double(), equal_nan=True)
    opposite = torch.tensor([[45.0], [45.0]]).double()
    torch.testing.assert_close(PairAngles([[0, 3]]).measure(model), opposite)


class Norms(Metric):
    """Of W's columns, or what else is asked for."""

    def __init__(self, what: str = "norms", name: str | None = None) -> None:
        super().__init__(name=name or what)
        self.what = what

    def measure(self, model: ToyModel) -> Any:
        norms = model.W.norm(dim=1)
        if self.what == "wrong":
            raise ZeroDivisionError
        other: dict[str, Any] = {
            "norms": norms,
            "one": norms[:, 0],
            "list": norms.tolist(),
            "complex": norms * 1j,
            "short": norms[1:],
            "empty": norms[:, :0],
        }
        return other[self.what]


def norms(what: str) -> list[str]:
    return ["--trainer.callbacks+=tests.results.test_metrics.Norms", f"--trainer.callbacks.what={what}"]


def test_a_metric_is_in_the_census_the_charts_and_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path, "--model.n_instances=5", *norms("one"), *norms("norms")) == 0
    run = run_of(tmp_path)
    found = metrics_of(read_census(run))
    W: Tensor = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]["W"].norm(dim=1)
    torch.testing.assert_close(torch.tensor(found["norms"]), W, rtol=1e-5, atol=0)
    torch.testing.assert_close(torch.tensor(found["one"]), W[:, :1], rtol=1e-5, atol=0)
    assert summary_text("one", found["one"]).split(",")[0] in capsys.readouterr().out
    assert {"one", "norms"} <= {name.split("/")[0] for name in charted(run)}


def charted(run: Path) -> set[str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    tags: set[str] = set()
    for folder in (run, *(path for path in run.iterdir() if path.is_dir())):
        events = EventAccumulator(str(folder)).Reload()
        tags |= set(events.Tags()["scalars"])
    return tags


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            norms("list"),
            "error: what Norms.measure returns is list; it must be a real tensor, [5] or [5, several], the",
        ),
        slow(norms("complex"), "error: what Norms.measure returns is torch.complex64; it must be a real tensor"),
        slow(norms("short"), "error: what Norms.measure returns is [4, 6]; it must be a real tensor"),
        slow(norms("empty"), "error: what Norms.measure returns is [5, 0]; it must be a real tensor"),
        slow(norms("wrong"), "error: a callback is Norms; it must be one that runs: test_metrics.py, line"),
        ([*norms("one"), *norms("one")], "error: the name of a metric is one; it must be another than that of another"),
        (
            ["--trainer.callbacks+=callbacks.metric.Metric"],
            "error: trainer.callbacks is Metric; it must be a class that",
        ),
        slow([*norms("one"), "--trainer.callbacks.name=a/b"], "error: Norms.name is 'a/b'; it must be letters, digits"),
        slow(
            ["--trainer.callbacks+=callbacks.pair_angles.PairAngles", "--trainer.callbacks.pairs=[[0,9]]"],
            "error: PairAngles.pairs is [[0, 9]]; it must be pairs of features, numbered from 0 to 5.",
        ),
    ],
    ids=["list", "complex", "short", "empty", "raises", "same name", "no measure", "name", "pairs"],
)
def test_a_mistake_in_a_metric_is_a_sentence_before_the_run_has_a_folder(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path, "--model.n_instances=5", *arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_sweep_puts_metrics_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = f"--grid=config=[{ROOT}/configs/data/sparse.yaml,{ROOT}/configs/data/correlated.yaml]"
    pairs = "--trainer.callbacks+=callbacks.pair_angles.PairAngles"
    assert sweep.main([*BASE, pairs, configs, "--shards=1", f"--out={tmp_path}"]) == 0
    rows = read_rows(tmp_path / METRICS)
    assert [Path(row["config"]).stem for row in rows] == ["sparse", "correlated"]
    assert {row["metric"] for row in rows} == {"pair_angles"}
    censuses = [next((tmp_path / f"config={name}").rglob("census.csv")) for name in ("sparse", "correlated")]
    for row, census in zip(rows, censuses, strict=True):
        expected = metric_row(metrics_of(read_rows(census))["pair_angles"])
        assert float(row["mean"]) == pytest.approx(expected["mean"], nan_ok=True)
    assert (tmp_path / "metric_pair_angles.png").read_bytes().startswith(b"\x89PNG")
    assert "config=correlated, pair_angles: mean" in capsys.readouterr().out
