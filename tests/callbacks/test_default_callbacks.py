"""What the callbacks of every run record and show."""

import csv
import io
import itertools
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

from callbacks.census import Census
from callbacks.polygon_snapshots import snapshot_steps
from src.model import ReLUOutputModel
from src.runs.folder import POLYGONS
from tests.callbacks.charts import scalars
from tests.running import fit, read_census, read_trajectory, run_cli, run_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the patching experiment, three instances, 120 steps, all default callbacks."""
    folder = tmp_path_factory.mktemp("logs")
    assert run_cli(folder, config="configs/patching.yaml") == 0
    return run_of(folder, "patching")


RECORDED = [0, 50, 100, 120]
NAMES = ("seed 0", "seed 11", "seed 0, column 4 from seed 11")


@pytest.mark.parametrize(
    ("line", "chart"),
    [
        *((f"feature_{i}", f"feature_norm/{name}") for i in (0, 5) for name in NAMES),
        *((f"feature_{i}", f"gradient_norm/{name}") for i in (0, 5) for name in NAMES),
        *((f"feature_{i}", f"feature_loss/{name}") for i in (0, 5) for name in NAMES),
        *(("", f"{chart}/seed 0") for chart in ("loss", "n_learned", "frobenius_norm")),
        ("sqrt_5", "frobenius_norm/seed 0"),
    ],
)
def test_each_chart_has_a_point_at_every_recorded_step(run: Path, line: str, chart: str) -> None:
    points = scalars(run / line)[chart]
    assert sorted(points) == RECORDED
    assert all(math.isfinite(value) for value in points.values())


def test_the_charts_show_what_the_trajectory_recorded(run: Path) -> None:
    recorded = read_trajectory(run)
    for name, chart in (("gradient_norms", "gradient_norm"), ("feature_losses", "feature_loss")):
        for feature in range(6):
            points = scalars(run / f"feature_{feature}")[f"{chart}/seed 11"]
            for r, step in enumerate(recorded["steps"].tolist()):
                assert points[step] == pytest.approx(recorded[name][r, 1, feature].item())
    norms = recorded["W"][:, 2].flatten(1).norm(dim=1).tolist()
    assert list(scalars(run)[f"frobenius_norm/{NAMES[2]}"].values()) == pytest.approx(norms)


def test_the_line_beside_the_frobenius_norm_is_five_unit_vectors(run: Path) -> None:
    points = scalars(run / "sqrt_5")[f"frobenius_norm/{NAMES[2]}"].values()
    assert list(points) == pytest.approx([math.sqrt(5)] * len(points))


def test_snapshots_show_the_first_and_the_last_step(run: Path) -> None:
    events = EventAccumulator(str(run), size_guidance={IMAGES: 0})
    events.Reload()
    pictures = events.Images("Pictures/polygons")
    assert pictures[0].step == 0
    assert pictures[-1].step == 120
    sizes = [Image.open(io.BytesIO(own.encoded_image_string)).size for own in pictures]
    assert len(set(sizes)) == 1
    assert Image.open(io.BytesIO((run / POLYGONS).read_bytes())).size == tuple(2 * side for side in sizes[0])
    assert pictures[0].encoded_image_string.startswith(b"\x89PNG")


def test_hyperparameters_hold_the_outcome(run: Path) -> None:
    events = EventAccumulator(str(run))
    events.Reload()
    assert any(key.startswith("_hparams_") for key in events.summary_metadata)
    census = read_census(run)
    outcome = {tag: points[120] for tag, points in scalars(run).items() if tag.startswith("outcome/")}
    shares = Counter(row["geometry"] for row in census)
    for name in ("hexagon", "pentagon", "square"):
        assert outcome[f"outcome/{name}"] == pytest.approx(shares[name] / 3)
    assert sum(outcome[f"outcome/{name}"] for name in ("hexagon", "pentagon", "square", "others")) == pytest.approx(1)
    assert outcome["outcome/lowest_loss"] == pytest.approx(min(float(row["loss"]) for row in census))
    (start,) = [v for k, v in events.summary_metadata.items() if k == "_hparams_/session_start_info"]
    content = start.plugin_data.content
    settings = (b"1 optimizer", b"AdamW", b"2 lr", b"3 n_features", b"4 p", b"5 seeds", b"0, 11, 0")
    assert all(setting in content for setting in settings)


def test_the_trajectory_has_every_tensor_in_shape(run: Path) -> None:
    recorded = read_trajectory(run)
    assert recorded["steps"].tolist() == [0, 50, 100, 120]
    assert recorded["instances"].tolist() == [0, 1, 2]
    assert recorded["W"].shape == (4, 3, 2, 6)
    assert recorded["b"].shape == (4, 3, 6)
    assert recorded["gradient_norms"].shape == recorded["feature_losses"].shape == (4, 3, 6)
    assert recorded["gradient_norms"].isfinite().all()
    assert torch.equal(recorded["W"][0, 1], ReLUOutputModel(6, seeds=[11], init_std=0.378).W[0])


def test_the_census_has_a_row_per_instance(run: Path) -> None:
    rows = read_census(run)
    assert [(row["instance"], row["seed"]) for row in rows] == [("0", "0"), ("1", "11"), ("2", "0")]
    assert rows[2]["name"] == "seed 0, column 4 from seed 11"
    assert {"geometry", "n_learned", "frobenius_norm", "loss"} <= set(rows[0])
    recorded = read_trajectory(run)
    norm = recorded["W"][-1, 2].norm().item()
    assert float(rows[2]["frobenius_norm"]) == pytest.approx(norm)


def test_a_few_instances_get_no_summary(run: Path) -> None:
    assert not (run / "lowest_5_percent").exists()


def test_snapshots_are_early_rather_than_late() -> None:
    steps = snapshot_steps(10_000, 60, block_size=50)
    assert (steps[0], steps[-1]) == (0, 10_000)
    assert len(set(steps)) == 60
    assert all(step % 50 == 0 for step in steps)
    gaps = [b - a for a, b in itertools.pairwise(steps)]
    assert (gaps[0], min(gaps)) == (50, 50)
    assert all(later >= earlier - 50 for earlier, later in itertools.pairwise(gaps))  # to the nearest block
    assert snapshot_steps(120, 60, block_size=50) == [0, 50, 100, 120]


@pytest.mark.parametrize("n_hidden", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_hidden_space_that_is_no_plane_runs_with_every_callback(n_hidden: int, tmp_path: Path) -> None:
    assert run_cli(tmp_path, f"--model.n_hidden={n_hidden}") == 0
    (row,) = read_census(run_of(tmp_path))
    assert row["geometry"] == "irregular"


def test_the_census_is_a_csv_that_a_spreadsheet_reads(tmp_path: Path) -> None:
    fit(ReLUOutputModel(6, n_instances=6), max_steps=1, callbacks=[Census()], default_root_dir=tmp_path)
    with (tmp_path / "census.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 7
