"""What a run of many features on few examples records and shows."""

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

from callbacks.example_snapshots import ExampleSnapshots
from src.errors import ConfigError
from src.geometry.dimensionality import dimensionality
from src.model import ReLUOutputModel
from src.runs.folder import CHECKPOINT, EXAMPLES, POLYGONS, STORED, read_stored
from tests.callbacks.charts import histograms, scalars
from tests.running import fit, read_census, run_cli, run_of


@pytest.fixture(scope="module")
def regime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of two instances on 20 examples of 50 features."""
    folder = tmp_path_factory.mktemp("regimes")
    few = ("n_features=50", "feature_probability=0.1", "n_examples=20", "validation_size=200", "block_size=10")
    settings = ("model.n_instances=2", "model.lr_scheduler.init_args.warmup_steps=10", *(f"data.{own}" for own in few))
    arguments = [f"--{setting}" for setting in settings]
    assert run_cli(folder, *arguments, config="configs/regimes.yaml", max_steps=110) == 0
    return run_of(folder, "regimes")


@pytest.mark.parametrize(
    ("chart", "n_values"),
    [("feature_dimensionality", 50), ("example_dimensionality", 20), ("feature_norm", 50), ("feature_loss", 50)],
)
@pytest.mark.parametrize("instance", [0, 1])
def test_many_values_are_logged_as_a_distribution(regime: Path, chart: str, n_values: int, instance: int) -> None:
    points = histograms(regime)[f"{chart}/seed {instance}"]
    assert sorted(points) == list(range(0, 111, 10))  # of 110 steps 50 records: one at every block of ten
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
        assert scalars(regime / line)["dimensionality/seed 1"][110] == pytest.approx(float(value), rel=1e-5)


def test_the_stored_weights_are_those_of_the_checkpoint(regime: Path) -> None:
    checkpoint = torch.load(regime / CHECKPOINT, weights_only=True)
    assert torch.equal(read_stored(regime)["W"], checkpoint["state_dict"]["W"])


def test_the_training_loss_is_a_line_beside_the_held_out_one(regime: Path) -> None:
    training, held_out = (scalars(regime / line)["loss/seed 1"] for line in ("training", ""))
    assert sorted(training) == list(range(10, 111, 10))  # after the block that began at the recorded step
    assert training[110] < held_out[110]
    row = read_census(regime)[1]
    assert float(row["training_loss"]) < float(row["loss"])
    # The last block's steps are small: the learning rate has fallen to zero.
    assert training[110] == pytest.approx(float(row["training_loss"]), rel=0.01)


def test_snapshots_show_the_examples_beside_the_features(regime: Path) -> None:
    events = EventAccumulator(str(regime), size_guidance={IMAGES: 0}).Reload()
    pictures = events.Images("Pictures/examples")
    assert (pictures[0].step, pictures[-1].step) == (0, 110)
    assert (regime / EXAMPLES).read_bytes() != (regime / POLYGONS).read_bytes()


def test_pictures_of_examples_are_refused_where_there_are_none() -> None:
    with pytest.raises(ConfigError, match=r"^data is SparseFeatures; it must be src\.data\.FiniteFeatures"):
        fit(ReLUOutputModel(6), callbacks=[ExampleSnapshots()])


def test_without_a_finite_set_only_features_have_a_dimensionality(tmp_path: Path) -> None:
    callbacks = '[{"class_path": "callbacks.dimensionality.Dimensionalities"}]'
    assert run_cli(tmp_path, f"--trainer.callbacks={callbacks}", max_steps=60) == 0
    run = run_of(tmp_path)
    lines = [scalars(run / f"feature_{i}")["feature_dimensionality/seed 11"] for i in range(6)]
    assert all(sorted(line) == [0, 50, 60] for line in lines)
    assert not (run / STORED).exists()
