"""Which instances a gallery shows, and which one stands for its geometry."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer

from callbacks.gallery import Gallery, typical_member
from src.model import ReLUOutputModel
from tests.callbacks.endings import HEXAGON, PENTAGON_WITHOUT_1, PENTAGON_WITHOUT_4


def test_the_exemplar_is_the_median_of_its_kind() -> None:
    names = ["pentagon", "hexagon", "pentagon", "pentagon", "hexagon"]
    assert typical_member([5.0, 1.0, 3.0, 4.0, 0.5], names, "pentagon") == 3
    assert typical_member([5.0, 1.0, 3.0, 4.0, 0.5], names, "hexagon") == 4


def test_the_exemplars_and_the_gallery_are_drawn_of_the_right_instances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr("callbacks.gallery.polygon_figure", lambda W, names, step: drawn.update(W=W, names=names))
    monkeypatch.setattr("callbacks.gallery.gallery_figure", lambda W, names: drawn.update(all=W, geometries=names))
    monkeypatch.setattr("callbacks.gallery.add_figure", lambda trainer, name, figure: None)
    model = ReLUOutputModel(6, n_instances=4)
    model.W.data = torch.stack([PENTAGON_WITHOUT_1, 1.1 * HEXAGON, 1.2 * PENTAGON_WITHOUT_4, 1.3 * PENTAGON_WITHOUT_1])
    Gallery().on_train_end(Trainer(logger=False, default_root_dir=tmp_path), model)
    assert torch.equal(drawn["W"], model.W[[2, 1]])
    assert drawn["names"] == ["seed 2, one of 3", "seed 1, one of 1"]
    assert torch.equal(drawn["all"], model.W)
    assert drawn["geometries"] == ["pentagon", "hexagon", "pentagon", "pentagon"]
