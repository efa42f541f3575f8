import csv
import itertools
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import HISTOGRAMS, IMAGES, SCALARS, EventAccumulator

from callbacks.basin_map import BasinMap, outcomes
from callbacks.census import Census
from callbacks.example_snapshots import ExampleSnapshots
from callbacks.feature_norms import FeatureNorms
from callbacks.gallery import Gallery, typical_member
from callbacks.patching import PatchColumns
from callbacks.patching_rates import PatchingRates
from callbacks.polygon_snapshots import snapshot_steps
from callbacks.trajectory import Trajectory
from src.errors import ConfigError
from src.figures.basin import basin_figure
from src.figures.palette import geometry_color
from src.geometry.dimensionality import dimensionality
from src.geometry.polygons import Polygons, find_polygons
from src.model import ReLUOutputModel
from src.population.losses import CLOSED_FORM, PopulationLosses
from src.results.census import census_rows, unlearned_columns
from src.results.patching import ANOTHER, SAME, by_arm, verdicts
from src.results.rates import rate, rates
from src.runs.folder import (
    BASIN,
    CHECKPOINT,
    EXAMPLES,
    EXEMPLARS,
    GALLERY,
    PATCHING,
    PATCHING_DIFFERENCES,
    PATCHING_PICTURE,
    POLYGONS,
    SHARES,
    SHARES_PICTURE,
    STORED,
    TRAJECTORY,
    read_rows,
    read_stored,
    write_rows,
)
from src.starts import Basin, PatchingArms
from src.starts.patching import ARMS, Patch
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


@pytest.mark.parametrize("n_hidden", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_hidden_space_that_is_no_plane_runs_with_every_callback(n_hidden: int, tmp_path: Path) -> None:
    assert run_cli(tmp_path, f"--model.n_hidden={n_hidden}") == 0
    (row,) = read_census(run_of(tmp_path))
    assert row["geometry"] == "irregular"


def test_the_census_is_a_csv_that_a_spreadsheet_reads(tmp_path: Path) -> None:
    fit(ReLUOutputModel(6, n_instances=6), max_steps=1, callbacks=[Census()], default_root_dir=tmp_path)
    with (tmp_path / "census.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 7


# What a large stack shows


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the seeds experiment, 30 instances, 120 steps, all its callbacks."""
    folder = tmp_path_factory.mktemp("logs")
    assert run_cli(folder, "--model.n_instances=30", config="configs/seeds.yaml") == 0
    return run_of(folder, "seeds")


def final_weights(run: Path) -> torch.Tensor:
    return torch.load(run / CHECKPOINT, weights_only=True)["state_dict"]["W"]


def test_shares_are_those_of_the_whole_stack_at_every_recorded_step(stack: Path) -> None:
    rows = read_rows(stack / SHARES)
    assert {int(row["step"]) for row in rows} == {0, 50, 100, 120}  # the starts of blocks, and the end
    for step, W in ((0, ReLUOutputModel(6, n_instances=30, init_std=0.378).W), (120, final_weights(stack))):
        counts = Counter(find_polygons(W).names)
        own = {row["geometry"]: row for row in rows if int(row["step"]) == step}
        assert {name: int(row["count"]) for name, row in own.items()} == {name: counts[name] for name in own}
        assert set(counts) <= set(own)
        for name, row in own.items():
            share = rate(counts[name], 30)
            assert (float(row["share"]), float(row["low"]), float(row["high"])) == (share.share, share.low, share.high)
            assert scalars(stack / name)["geometry_share"][step] == pytest.approx(share.share)
    assert images(stack, "geometry_shares")[-1] == (stack / SHARES_PICTURE).read_bytes()


def images(run: Path, tag: str) -> list[bytes]:
    events = EventAccumulator(str(run / "overall"), size_guidance={IMAGES: 0})
    events.Reload()
    return [event.encoded_image_string for event in events.Images(tag)]


@pytest.mark.parametrize(("tag", "file"), [("exemplars", EXEMPLARS), ("gallery", GALLERY)])
def test_a_stack_ends_with_exemplars_and_a_gallery(tag: str, file: str, stack: Path) -> None:
    (picture,) = images(stack, tag)
    assert picture == (stack / file).read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_the_exemplar_is_the_median_of_its_kind() -> None:
    names = ["pentagon", "hexagon", "pentagon", "pentagon", "hexagon"]
    assert typical_member([5.0, 1.0, 3.0, 4.0, 0.5], names, "pentagon") == 3
    assert typical_member([5.0, 1.0, 3.0, 4.0, 0.5], names, "hexagon") == 4


def test_a_large_stack_is_summarised_beside_the_few_that_are_followed(stack: Path) -> None:
    W = final_weights(stack)
    norms = W.flatten(1).norm(dim=1)
    expected = {
        "frobenius_norm/all": norms,
        "n_learned/all": find_polygons(W).n_directions.float(),
    }
    for chart, values in expected.items():
        for line, quantile in (("lowest_5_percent", 0.05), ("median", 0.5), ("highest_5_percent", 0.95)):
            assert scalars(stack / line)[chart][120] == pytest.approx(values.quantile(quantile).item(), rel=1e-5)
    assert set(scalars(stack / "median")["loss/all"]) == {50, 100, 120}  # ends of the blocks that began at a record
    assert set(scalars(stack / "median")["gradient_norm/all"]) == {0, 50, 100}
    charts = set(scalars(stack / "feature_0"))
    assert charts == {
        f"{name}/instance_{i}" for name in ("feature_norm", "gradient_norm", "feature_loss") for i in range(4)
    }


def test_a_few_instances_get_no_summary(run: Path) -> None:
    assert not (run / "median").exists()


def test_the_census_says_how_frequent_each_rows_geometry_is(stack: Path) -> None:
    rows = read_census(stack)
    shares = rates([row["geometry"] for row in rows])
    for row in rows:
        share = shares[row["geometry"]]
        assert int(row["geometry_count"]) == share.count
        found = tuple(float(row[f"geometry_share{end}"]) for end in ("", "_low", "_high"))
        assert found == (share.share, share.low, share.high)


def test_the_census_says_where_the_unlearned_columns_lie(tmp_path: Path) -> None:
    angles = torch.tensor([0, 72, 144, 216, 288, 80, 300]).deg2rad()
    lengths = torch.tensor([1.0, 1, 1, 1, 1, 0.3, 0.2])
    model = ReLUOutputModel(7)
    model.W.data[0] = lengths * torch.stack([angles.cos(), angles.sin()])
    losses = PopulationLosses(torch.zeros(1, 7), torch.zeros(1), torch.zeros(1), CLOSED_FORM)
    (row,) = census_rows(model, find_polygons(model.W), losses)
    assert row["unlearned"] == "5 6"
    assert row["unlearned_norm"] == "0.3000 0.2000"
    assert row["unlearned_angle"] == "8.00 12.00"


def test_a_wide_model_lists_no_single_feature() -> None:
    model = ReLUOutputModel(50, n_instances=2)
    assert unlearned_columns(model, find_polygons(model.W))["unlearned"] == ["", ""]


@pytest.mark.slow
def test_the_shares_of_a_resumed_run_cover_all_of_it(tmp_path: Path) -> None:
    options = {"config": "configs/seeds.yaml"}
    assert run_cli(tmp_path, "--model.n_instances=5", max_steps=220, **options) == 0
    assert run_cli(tmp_path, "--model.n_instances=5", max_steps=130, **options) == 0
    checkpoint = run_of(tmp_path, "seeds", 1) / CHECKPOINT
    assert run_cli(tmp_path, "--model.n_instances=5", f"--ckpt_path={checkpoint}", max_steps=220, **options) == 0
    whole, resumed = (
        {(row["step"], row["geometry"]): row["count"] for row in read_rows(run_of(tmp_path, "seeds", k) / SHARES)}
        for k in (0, 2)
    )
    assert whole.items() <= resumed.items()


# Basins


def polygon(k: int, *stubs: int) -> torch.Tensor:
    """Six columns: a regular k-gon, with short columns in these places."""
    angles = torch.arange(k) * 2 * math.pi / k
    corners = torch.stack([angles.cos(), angles.sin()])
    columns = torch.zeros(2, 6)
    columns[:, [i for i in range(6) if i not in stubs]] = corners
    return columns


PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4 = polygon(5, 1), polygon(5, 4)
HEXAGON, SQUARE = polygon(6), polygon(4, 0, 5)


def test_the_basin_map_shows_each_points_outcome_where_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []

    def spy(*arguments: Any) -> Figure:
        drawn.extend(arguments)
        return basin_figure(*arguments)

    monkeypatch.setattr("callbacks.basin_map.basin_figure", spy)
    model = ReLUOutputModel(n_features=6, start=Basin(seed=5, column=2, size=2, reach=0.7))
    ends = torch.stack([HEXAGON, PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4, SQUARE])
    model.W.data = ends  # from the bottom left, along the rows
    trainer = Trainer(logger=False, default_root_dir=tmp_path)
    BasinMap().on_train_end(trainer, model)
    rows, reach, column, initial_W, title = drawn
    assert rows == [["hexagon", "pentagon without 1"], ["pentagon without 4", "square"]]
    assert (reach, column) == (0.7, 2)
    assert torch.equal(initial_W, ReLUOutputModel(6, first_seed=5).W.detach()[0])
    assert title == "what seed 5 ends in, by where column 2 starts"
    assert (tmp_path / BASIN).read_bytes().startswith(b"\x89PNG")


def test_a_basin_run_has_its_map_and_its_points(tmp_path: Path) -> None:
    assert run_cli(tmp_path, "--model.start.size=3", config="configs/basin.yaml") == 0
    run = run_of(tmp_path, "basin")
    assert images(run, "basin") == [(run / BASIN).read_bytes()]
    rows = read_census(run)
    assert [(round(float(row["x"]), 4), round(float(row["y"]), 4)) for row in rows[:4]] == [
        (-0.8, -0.8), (0, -0.8), (0.8, -0.8), (-0.8, 0),
    ]  # fmt: skip


def test_a_pentagon_is_named_after_the_feature_that_it_leaves_out() -> None:
    learned = torch.tensor([[True, True, False, True, True, True], [True] * 6])
    none = torch.zeros_like(learned)
    polygons = Polygons(learned, none, ~learned, learned.sum(dim=1), torch.zeros(2, dtype=torch.float64))
    assert outcomes(polygons) == ["pentagon without 2", "hexagon"]


@pytest.mark.parametrize("callback", [BasinMap(), PatchingRates()])
def test_a_callback_for_another_model_is_refused(callback: Callback) -> None:
    with pytest.raises(ConfigError, match=r"model\.start is Start; it must be (a Basin|PatchingArms), for callbacks"):
        fit(ReLUOutputModel(6), callbacks=[callback])


# Patching with controls


def census_of(folder: Path, *outcomes: str) -> Path:
    """A census of seeds 0, 1, ...: what each ended in; pentagons leave out feature 4."""
    rows = [
        {"seed": seed, "geometry": name, "unlearned": "4" if name == "pentagon" else ""}
        for seed, name in enumerate(outcomes)
    ]
    return write_rows(folder / "census.csv", rows)


def test_a_patching_run_has_its_tables_and_its_picture(tmp_path: Path) -> None:
    census = census_of(tmp_path, "pentagon", "hexagon", "pentagon", "pentagon")
    assert run_cli(tmp_path, f"--model.start.census={census}", config="configs/patching_rates.yaml") == 0
    run = run_of(tmp_path, "patching_rates")
    assert [row["arm"] for row in read_census(run)] == [arm for arm in ARMS for _ in range(3)]
    assert [row["arm"] for row in read_rows(run / PATCHING)] == list(ARMS)  # all are irregular after 120 steps
    assert images(run, "patching") == [(run / PATCHING_PICTURE).read_bytes()]


def test_patching_rates_are_by_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    census = census_of(tmp_path, "pentagon", "hexagon", "pentagon", "pentagon", "pentagon")
    arms = ["identity", "hexagon", "random", "fresh"]
    model = ReLUOutputModel(n_features=6, start=PatchingArms(str(census), arms=arms))
    ends = {
        "identity": [PENTAGON_WITHOUT_4] * 4,
        "hexagon": [HEXAGON, HEXAGON, HEXAGON, PENTAGON_WITHOUT_1],
        "random": [HEXAGON, SQUARE, SQUARE, PENTAGON_WITHOUT_4],
        "fresh": [HEXAGON, HEXAGON, PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4],
    }
    model.W.data = torch.stack([W for arm in arms for W in ends[arm]])
    PatchingRates().on_train_end(Trainer(logger=False, default_root_dir=tmp_path), model)
    counts = {(row["arm"], row["outcome"]): int(row["count"]) for row in read_rows(tmp_path / PATCHING)}
    assert counts == {
        ("identity", SAME): 4,
        ("hexagon", "hexagon"): 3, ("hexagon", ANOTHER): 1,
        ("random", "hexagon"): 1, ("random", "square"): 2, ("random", SAME): 1,
        ("fresh", "hexagon"): 2, ("fresh", ANOTHER): 1, ("fresh", SAME): 1,
    }  # fmt: skip
    differences = {row["second"]: float(row["value"]) for row in read_rows(tmp_path / PATCHING_DIFFERENCES)}
    assert differences == {"random": 0.5, "fresh": 0.25}
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fresh", "50.0%", "(15.0", "to", "85.0)", "25.0%", "25.0%", "0.0%"] in printed
    assert ["random", "25.0%", "(4.6", "to", "69.9)", "25.0%", "0.0%", "50.0%"] in printed


def test_outcomes_of_an_arm_tell_which_feature_a_pentagon_leaves_out() -> None:
    patches = [Patch(arm, seed, 1, None) for arm in ("identity", "fresh") for seed in (0, 1)]
    learned = torch.ones(4, 6, dtype=torch.bool)
    learned[0, 1] = learned[1, 1] = learned[2, 3] = False
    none = torch.zeros_like(learned)
    polygons = Polygons(learned, none, ~learned, learned.sum(dim=1), torch.zeros(4, dtype=torch.float64))
    assert by_arm(patches, polygons) == {"identity": [SAME, SAME], "fresh": [ANOTHER, "hexagon"]}


@pytest.mark.parametrize(
    ("gained", "lost", "words"),
    [
        (20, 0, "does better than"),
        (0, 20, "does worse than"),
        (3, 3, "is not shown to differ from"),
        (7, 1, "is not shown to differ from"),  # p = 0.07
    ],
)
def test_the_verdict_is_plain(gained: int, lost: int, words: str) -> None:
    hexagon = ["hexagon"] * gained + [SAME] * (lost + 60)
    control = [SAME] * gained + ["hexagon"] * lost + [SAME] * 60
    (sentence,) = verdicts({"hexagon": hexagon, "random": control})
    assert sentence.startswith(f"A hexagon donor {words} the control 'random': ")


def test_each_control_has_a_verdict_of_its_own_and_two_must_show_more_than_one() -> None:
    hexagon = ["hexagon"] * 6 + [SAME] * 60
    outcomes = {"hexagon": hexagon, "random": [SAME] * 66, "fresh": list(hexagon)}
    both = verdicts(outcomes)  # p = 0.031 against random: enough for one comparison, not for one of two
    assert [sentence.split(":")[0] for sentence in both] == [
        "A hexagon donor is not shown to differ from the control 'random'",
        "A hexagon donor is not shown to differ from the control 'fresh'",
    ]
    assert "+9.1 points" in both[0]
    assert "+0.0 points" in both[1]
    del outcomes["fresh"]
    assert verdicts(outcomes)[0].startswith("A hexagon donor does better than the control 'random'")


def test_without_identity_there_is_no_verdict() -> None:
    assert verdicts({"identity": [SAME] * 3}) == ["identity: 3 of 3 outcomes are as in the census."]
    outcomes = {"identity": [SAME, ANOTHER, SAME], "hexagon": ["hexagon"] * 3, "random": [SAME] * 3}
    kept, refusal = verdicts(outcomes)
    assert kept == "identity: 2 of 3 outcomes are as in the census."
    assert refusal.startswith("No verdict: ")


def test_the_exemplars_and_the_gallery_are_drawn_of_the_right_instances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr("callbacks.gallery.polygon_figure", lambda W, names, step: drawn.update(W=W, names=names))
    monkeypatch.setattr("callbacks.gallery.gallery_figure", lambda W, names: drawn.update(all=W, geometries=names))
    monkeypatch.setattr("callbacks.gallery.png", lambda figure: b"")
    model = ReLUOutputModel(6, n_instances=4)
    model.W.data = torch.stack([PENTAGON_WITHOUT_1, 1.1 * HEXAGON, 1.2 * PENTAGON_WITHOUT_4, 1.3 * PENTAGON_WITHOUT_1])
    Gallery().on_train_end(Trainer(logger=False, default_root_dir=tmp_path), model)
    assert torch.equal(drawn["W"], model.W[[2, 1]])
    assert drawn["names"] == ["seed 2, one of 3", "seed 1, one of 1"]
    assert torch.equal(drawn["all"], model.W)
    assert drawn["geometries"] == ["pentagon", "hexagon", "pentagon", "pentagon"]


def test_the_outcomes_of_patching_have_colours_of_their_own() -> None:
    colors = {geometry_color(name) for name in (SAME, ANOTHER, "hexagon", "square", "irregular", "no geometry")}
    assert len(colors) == 6


# Many features, few examples


@pytest.fixture(scope="module")
def regime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of two instances on 20 examples of 50 features."""
    folder = tmp_path_factory.mktemp("regimes")
    few = ("n_features=50", "feature_probability=0.1", "n_examples=20", "validation_size=200", "block_size=10")
    settings = ("model.n_instances=2", "model.lr_scheduler.init_args.warmup_steps=10", *(f"data.{own}" for own in few))
    arguments = [f"--{setting}" for setting in settings]
    assert run_cli(folder, *arguments, config="configs/regimes.yaml", max_steps=210) == 0
    return run_of(folder, "regimes")


def histograms(folder: Path) -> dict[str, dict[int, Any]]:
    events = EventAccumulator(str(folder), size_guidance={HISTOGRAMS: 0}).Reload()
    return {tag: {e.step: e.histogram_value for e in events.Histograms(tag)} for tag in events.Tags()["histograms"]}


@pytest.mark.parametrize(
    ("chart", "n_values"),
    [("feature_dimensionality", 50), ("example_dimensionality", 20), ("feature_norm", 50), ("feature_loss", 50)],
)
@pytest.mark.parametrize("instance", [0, 1])
def test_many_values_are_logged_as_a_distribution(regime: Path, chart: str, n_values: int, instance: int) -> None:
    points = histograms(regime / "overall")[f"{chart}/instance_{instance}"]
    assert sorted(points) == list(range(0, 211, 10))  # of 210 steps 50 records: one at every block of ten
    assert all(sum(point.bucket) == n_values for point in points.values())
    assert not [path for path in regime.iterdir() if path.name.startswith("feature_")]


def test_the_dimensionality_chart_has_the_numbers_of_the_stored_vectors(regime: Path) -> None:
    stored = read_stored(regime)
    assert stored["W"].shape == (2, 2, 50)
    assert stored["hidden_vectors"].shape == (2, 2, 20)
    for vectors, values in (("W", "feature_dimensionality"), ("hidden_vectors", "example_dimensionality")):
        torch.testing.assert_close(stored[values].double(), dimensionality(stored[vectors]), rtol=1e-5, atol=1e-7)
    for line, value in (
        ("largest_feature", stored["feature_dimensionality"][1].max()),
        ("median_example", stored["example_dimensionality"][1].median()),
        ("hidden_over_examples", 0.1),
    ):
        assert scalars(regime / line)["dimensionality/instance_1"][210] == pytest.approx(float(value), rel=1e-5)


def test_the_stored_weights_are_those_of_the_checkpoint(regime: Path) -> None:
    checkpoint = torch.load(regime / CHECKPOINT, weights_only=True)
    assert torch.equal(read_stored(regime)["W"], checkpoint["state_dict"]["W"])


def test_the_training_loss_is_a_line_beside_the_held_out_one(regime: Path) -> None:
    training, held_out = (scalars(regime / line)["loss/instance_1"] for line in ("training", "overall"))
    assert sorted(training) == list(range(10, 211, 10))  # after the block that began at the recorded step
    assert training[210] < held_out[210]
    row = read_census(regime)[1]
    assert float(row["training_loss"]) < float(row["loss"])
    # The last block's steps are small: the learning rate has fallen to zero.
    assert training[210] == pytest.approx(float(row["training_loss"]), rel=0.01)


def test_snapshots_show_the_examples_beside_the_features(regime: Path) -> None:
    events = EventAccumulator(str(regime / "overall"), size_guidance={IMAGES: 0}).Reload()
    pictures = events.Images("examples")
    assert (pictures[0].step, pictures[-1].step) == (0, 210)
    assert pictures[-1].encoded_image_string == (regime / EXAMPLES).read_bytes()
    assert pictures[-1].encoded_image_string != (regime / POLYGONS).read_bytes()


def test_pictures_of_examples_are_refused_where_there_are_none() -> None:
    with pytest.raises(ConfigError, match=r"^data is SparseFeatures; it must be src\.data\.FiniteFeatures"):
        fit(ReLUOutputModel(6), callbacks=[ExampleSnapshots()])


def test_without_a_finite_set_only_features_have_a_dimensionality(tmp_path: Path) -> None:
    callbacks = '[{"class_path": "callbacks.dimensionality.Dimensionalities"}]'
    assert run_cli(tmp_path, f"--trainer.callbacks={callbacks}", max_steps=60) == 0
    run = run_of(tmp_path)
    lines = [scalars(run / f"feature_{i}")["feature_dimensionality/instance_0"] for i in range(6)]
    assert all(sorted(line) == [0, 50, 60] for line in lines)
    assert not (run / STORED).exists()
