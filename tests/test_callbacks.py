import csv
import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from tensorboard.backend.event_processing.event_accumulator import IMAGES, SCALARS, EventAccumulator

from callbacks.census import Census, geometry_table
from callbacks.feature_norms import FeatureNorms
from callbacks.patching import PatchColumns
from callbacks.polygon_snapshots import snapshot_steps
from callbacks.trajectory import Trajectory
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.runs import POLYGONS, TRAJECTORY
from tests.running import fit, read_census, read_trajectory, run_cli, run_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the patching experiment, three instances, 120 steps, all default callbacks."""
    folder = tmp_path_factory.mktemp("logs")
    assert run_cli(folder, config="configs/patching.yaml") == 0
    return run_of(folder, "patching")


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


RECORDED = [0, 50, 100]


@pytest.mark.parametrize(
    ("line", "chart", "steps"),
    [
        *((f"feature_{i}", f"feature_norm/instance_{j}", [*RECORDED, 120]) for i in (0, 5) for j in (0, 1, 2)),
        *((f"feature_{i}", f"gradient_norm/instance_{j}", RECORDED) for i in (0, 5) for j in (0, 1, 2)),
        *((f"feature_{i}", f"feature_loss/instance_{j}", [*RECORDED, 120]) for i in (0, 5) for j in (0, 1, 2)),
        *(("overall", f"{chart}/instance_0", [*RECORDED, 120]) for chart in ("loss", "n_learned", "frobenius_norm")),
        ("sqrt_5", "frobenius_norm/instance_0", [*RECORDED, 120]),
    ],
)
def test_each_chart_has_a_point_at_every_recorded_step(run: Path, line: str, chart: str, steps: list[int]) -> None:
    points = scalars(run / line)[chart]
    assert sorted(points) == steps
    assert all(math.isfinite(value) for value in points.values())


def test_the_charts_show_what_the_trajectory_recorded(run: Path) -> None:
    recorded = read_trajectory(run)
    for name, chart in (("gradient_norms", "gradient_norm"), ("feature_losses", "feature_loss")):
        for feature in range(6):
            points = scalars(run / f"feature_{feature}")[f"{chart}/instance_1"]
            for r, step in enumerate(recorded["steps"].tolist()):
                if step in points:
                    assert points[step] == pytest.approx(recorded[name][r, 1, feature].item())
    norms = recorded["W"][:, 2].flatten(1).norm(dim=1).tolist()
    assert list(scalars(run / "overall")["frobenius_norm/instance_2"].values()) == pytest.approx(norms)


def test_the_line_beside_the_frobenius_norm_is_five_unit_vectors(run: Path) -> None:
    points = scalars(run / "sqrt_5")["frobenius_norm/instance_2"].values()
    assert list(points) == pytest.approx([math.sqrt(5)] * len(points))


def test_snapshots_show_the_first_and_the_last_step(run: Path) -> None:
    events = EventAccumulator(str(run / "overall"), size_guidance={IMAGES: 0})
    events.Reload()
    pictures = events.Images("polygons")
    assert pictures[0].step == 0
    assert pictures[-1].step == 120
    assert pictures[-1].encoded_image_string == (run / POLYGONS).read_bytes()
    assert pictures[0].encoded_image_string.startswith(b"\x89PNG")


def test_hyperparameters_hold_the_outcome(run: Path) -> None:
    events = EventAccumulator(str(run))
    events.Reload()
    assert any(key.startswith("_hparams_") for key in events.summary_metadata)
    census = read_census(run)
    loss = scalars(run)["final/loss"][120]
    assert loss == pytest.approx(sum(float(row["loss"]) for row in census) / 3, rel=1e-5)
    (start,) = [v for k, v in events.summary_metadata.items() if k == "_hparams_/session_start_info"]
    assert b"geometry" in start.plugin_data.content


def test_the_trajectory_has_every_tensor_in_shape(run: Path) -> None:
    recorded = read_trajectory(run)
    assert recorded["steps"].tolist() == [0, 50, 100, 120]
    assert recorded["instances"].tolist() == [0, 1, 2]
    assert recorded["W"].shape == (4, 3, 2, 6)
    assert recorded["b"].shape == (4, 3, 6)
    assert recorded["gradient_norms"].shape == recorded["feature_losses"].shape == (4, 3, 6)
    assert recorded["gradient_norms"][:-1].isfinite().all()
    assert recorded["gradient_norms"][-1].isnan().all()
    assert torch.equal(recorded["W"][0, 1], ReLUOutputModel(6, seeds=[11], init_std=0.378).W[0])


def test_the_census_has_a_row_per_instance(run: Path) -> None:
    rows = read_census(run)
    assert [(row["instance"], row["seed"]) for row in rows] == [("0", "0"), ("1", "11"), ("2", "0")]
    assert rows[2]["name"] == "seed 0, column 4 from seed 11"
    assert {"geometry", "n_learned", "frobenius_norm", "loss"} <= set(rows[0])
    recorded = read_trajectory(run)
    norm = recorded["W"][-1, 2].norm().item()
    assert float(rows[2]["frobenius_norm"]) == pytest.approx(norm)


def test_the_summary_counts_geometries_with_their_share() -> None:
    rows: list[dict[str, Any]] = [
        {"geometry": "pentagon", "loss": 1.0, "frobenius_norm": 2.0},
        {"geometry": "pentagon", "loss": 2.0, "frobenius_norm": 2.0},
        {"geometry": "pentagon", "loss": 3.0, "frobenius_norm": 2.0},
        {"geometry": "hexagon", "loss": 4.0, "frobenius_norm": 3.0},
    ]
    table = geometry_table(rows)
    cells = [list(column.cells) for column in table.columns]
    assert cells == [
        ["pentagon", "hexagon"],
        ["3", "1"],
        ["75.0%", "25.0%"],
        ["2.00000", "4.00000"],
        ["2.000", "3.000"],
    ]


def test_snapshots_are_early_rather_than_late() -> None:
    steps = snapshot_steps(10_000, 20)
    assert steps[0] == 0
    assert steps[-1] == 10_000
    assert steps == sorted(set(steps))
    gaps = [b - a for a, b in itertools.pairwise(steps)]
    assert gaps == sorted(gaps)


def test_recorders_follow_the_chosen_instances_only(tmp_path: Path) -> None:
    trajectory = Trajectory(instances=[4, 1])
    model = fit(ReLUOutputModel(6, n_instances=6), callbacks=[trajectory], default_root_dir=tmp_path)
    recorded = trajectory.tensors()
    assert recorded["instances"].tolist() == [4, 1]
    assert torch.equal(recorded["W"][-1], model.W[[4, 1]])
    assert (tmp_path / TRAJECTORY).is_file()


def test_recorders_follow_the_first_few_of_a_thousand(tmp_path: Path) -> None:
    trajectory = Trajectory()
    model = ReLUOutputModel(6, n_instances=1000)
    fit(model, max_steps=2, callbacks=[trajectory, FeatureNorms()], default_root_dir=tmp_path)
    assert trajectory.tensors()["W"].shape[1] == 4


def test_following_an_instance_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("Trajectory.instances is [2]; it must be numbers from 0 to 1")):
        fit(ReLUOutputModel(6, n_instances=2), callbacks=[Trajectory(instances=[2])])


def test_a_patch_takes_the_donors_initial_columns_and_leaves_the_rest() -> None:
    model = ReLUOutputModel(6, n_instances=3)
    patch = PatchColumns(columns=[1, 4], instances=[2], donor_seed=9)
    patch.setup(Trainer(logger=False), model, "fit")
    plain, donor = ReLUOutputModel(6, n_instances=3), ReLUOutputModel(6, first_seed=9)
    assert torch.equal(model.W[2][:, [1, 4]], donor.W[0][:, [1, 4]])
    assert torch.equal(model.W[2][:, [0, 2, 3, 5]], plain.W[2][:, [0, 2, 3, 5]])
    assert torch.equal(model.W[:2], plain.W[:2])


def test_patching_a_seed_with_itself_changes_nothing() -> None:
    model = ReLUOutputModel(6, first_seed=4)
    PatchColumns(donor_seed=4).setup(Trainer(logger=False), model, "fit")
    assert torch.equal(model.W, ReLUOutputModel(6, first_seed=4).W)


def test_two_patches_of_one_run_both_apply() -> None:
    patches = [PatchColumns([0], donor_seed=8), PatchColumns([1], donor_seed=9)]
    assert patches[0].state_key != patches[1].state_key
    model = ReLUOutputModel(6)
    fit(model, max_steps=1, callbacks=list(patches))
    assert model.instance_names == ["seed 0, column 0 from seed 8, column 1 from seed 9"]


def save(path: Path, content: Any) -> str:
    torch.save(content, path)
    return str(path)


def test_a_patch_takes_columns_of_a_checkpoint(tmp_path: Path) -> None:
    donor = torch.randn(3, 2, 6)
    path = save(tmp_path / "donor.ckpt", {"state_dict": {"W": donor}})
    model = ReLUOutputModel(6)
    PatchColumns([2], donor_checkpoint=path, donor_instance=1).setup(Trainer(logger=False), model, "fit")
    assert torch.equal(model.W[0][:, 2], donor[1][:, 2])


class Unsafe:
    """Something that only pickled code could bring back."""


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, {}, "it must be an existing checkpoint file."),
        ({"state_dict": {}}, {}, "it must be a checkpoint of a ToyModel, with tensors only."),
        ({"state_dict": {"W": torch.zeros(1, 2, 6)}, "x": Unsafe()}, {}, "with tensors only."),
        ({"state_dict": {"W": torch.zeros(1, 2, 7)}}, {}, "whose W is 2 x 7; it must be of the model's shape, 2 x 6."),
        ({"state_dict": {"W": torch.zeros(1, 2, 6)}}, {"donor_instance": 1}, "it must be from 0 to 0"),
    ],
)
def test_an_unusable_donor_is_refused(content: Any, arguments: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "donor.ckpt"
    if content is not None:
        save(path, content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        fit(ReLUOutputModel(6), callbacks=[PatchColumns(donor_checkpoint=str(path), **arguments)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": [6], "donor_seed": 1}, "PatchColumns.columns is [6]; it must be numbers from 0 to 5"),
        ({"columns": [-1], "donor_seed": 1}, "PatchColumns.columns is [-1]; it must be numbers from 0 to 5"),
        ({"columns": [], "donor_seed": 1}, "PatchColumns.columns is []; it must be numbers from 0 to 5"),
        ({"instances": [1], "donor_seed": 1}, "PatchColumns.instances is [1]; it must be numbers from 0 to 0"),
        ({"donor_seed": -1}, "PatchColumns.donor_seed is -1; it must be from 0 to 4294967295."),
        ({}, "set either donor_seed or donor_checkpoint"),
        ({"donor_seed": 1, "donor_checkpoint": "x"}, "set either donor_seed or donor_checkpoint"),
    ],
)
def test_a_patch_that_fits_nothing_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        fit(ReLUOutputModel(6), callbacks=[PatchColumns(**arguments)])


@pytest.mark.parametrize("n_hidden", [1, 3])
def test_a_hidden_space_that_is_no_plane_runs_with_every_callback(n_hidden: int, tmp_path: Path) -> None:
    assert run_cli(tmp_path, f"--model.n_hidden={n_hidden}") == 0
    (row,) = read_census(run_of(tmp_path))
    assert row["geometry"] == "irregular"


def test_the_census_is_a_csv_that_a_spreadsheet_reads(tmp_path: Path) -> None:
    fit(ReLUOutputModel(6, n_instances=6), max_steps=1, callbacks=[Census()], default_root_dir=tmp_path)
    with (tmp_path / "census.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 7
