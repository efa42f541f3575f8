"""What snapshots show of models outside the plane."""

import io
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from matplotlib.figure import Figure
from PIL import Image

from callbacks.gallery import Gallery
from callbacks.gram_snapshots import GramSnapshots
from callbacks.polygon_snapshots import PolygonSnapshots, snapshot_steps
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.runs.folder import EXEMPLARS, GALLERY, GRAM, POLYGONS
from tests.callbacks.charts import images
from tests.running import run_cli, run_of

GRAM_OVERLAY = "--config=configs/pictures/gram.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the hexagon's experiment in space, 120 steps, with pictures of W^T W."""
    folder = tmp_path_factory.mktemp("logs")
    assert run_cli(folder, GRAM_OVERLAY, "--model.n_hidden=3") == 0
    return run_of(folder)


def test_the_last_gram_matrix_is_in_the_run_folder(run: Path) -> None:
    pictures = images(run, "gram")
    assert len(pictures) > 1
    sizes = {Image.open(io.BytesIO(own)).size for own in pictures}
    assert len(sizes) == 1
    assert Image.open(io.BytesIO((run / GRAM).read_bytes())).size == tuple(2 * side for side in sizes.pop())
    assert (run / GRAM).with_suffix(".svg").is_file()


def test_solids_turn_in_the_slider_and_the_file_has_the_clearest_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float | None] = []

    def draw(W: torch.Tensor, names: list[str], step: int, turn: float | None) -> Figure:
        turns.append(turn)
        return Figure(figsize=(1, 1))

    monkeypatch.setattr("callbacks.polygon_snapshots.polygon_figure", draw)
    snapshots, model = PolygonSnapshots(), ReLUOutputModel(6, n_hidden=3)
    trainer = Trainer(logger=False, default_root_dir=tmp_path, max_steps=10_000)
    snapshots.steps, snapshots.followed = snapshot_steps(10_000, 60, block_size=50), [0]
    for step in snapshots.steps:
        snapshots.record(trainer, model, step, after_last=step == 10_000)
    assert turns == [12 * k for k in range(60)] + [None]
    assert snapshots.steps[30] < 10_000 / 3  # the last thirty, a whole turn, are of a finished model


def test_many_snapshots_turn_a_solid_twice() -> None:
    snapshots = PolygonSnapshots(n_snapshots=1000)
    snapshots.steps = list(range(1000))
    assert snapshots.turn_at(999) == pytest.approx(720, rel=0.01)


def test_too_few_pictures_are_refused_by_the_name_of_the_callback() -> None:
    with pytest.raises(ConfigError, match=r"GramSnapshots\.n_snapshots is 1"):
        GramSnapshots(n_snapshots=1)


@pytest.mark.parametrize(("n_hidden", "has_gallery"), [(1, False), (3, True), (5, False)])
def test_a_stack_outside_the_plane_has_exemplars_and_in_space_a_gallery(
    n_hidden: int, has_gallery: bool, tmp_path: Path
) -> None:
    model = ReLUOutputModel(6, n_hidden=n_hidden, n_instances=3)
    Gallery().on_train_end(Trainer(logger=False, default_root_dir=tmp_path), model)
    assert (tmp_path / EXEMPLARS).is_file()
    assert (tmp_path / GALLERY).is_file() == has_gallery


def test_pictures_of_a_solid_differ_from_view_to_view(run: Path) -> None:
    pictures = images(run, "polygons")
    assert len(set(pictures)) == len(pictures)
    assert (run / POLYGONS).read_bytes() not in pictures
