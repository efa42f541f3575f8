"""Every law of the data with every variant of the model: trained with all callbacks, resumed, validated, certified."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from src import variants
from src.data import SparseFeatures
from src.distributions import Blocks, CorrelatedPairs, Distribution
from src.gate.nulls import class_at
from src.model import ReLUOutputModel, ToyModel
from src.runs.folder import CENSUS, CHECKPOINT, LANDSCAPE, POLYGONS, TRAJECTORY
from src.runs.tables import read_rows
from tests.distributions.laws import LAWS
from tests.running import QUIET, ROOT

OF_EACH_CLASS = {type(law): law for law in LAWS.values()}
MODELS: list[type[ToyModel]] = [ReLUOutputModel] + [
    kind for _, kind in inspect.getmembers(variants, inspect.isclass) if kind.__module__ == variants.__name__
]
BY_DEFAULT = {(CorrelatedPairs, variants.Untied)}
CELLS = [
    pytest.param(law, model, id=f"{law.__name__}-{model.__name__}")
    if (law, model) in BY_DEFAULT
    else pytest.param(law, model, id=f"{law.__name__}-{model.__name__}", marks=pytest.mark.slow)
    for law in OF_EACH_CLASS
    for model in MODELS
]


def test_the_grid_has_every_law() -> None:
    import src.distributions as package  # noqa: PLC0415

    laws = {kind for _, kind in inspect.getmembers(package, inspect.isclass) if issubclass(kind, Distribution)}
    assert {law for law in laws if not inspect.isabstract(law)} - {Distribution, Blocks} == set(OF_EACH_CLASS)


def trained(kind: type[ToyModel], law: Distribution, folder: Path | None, steps: int, ckpt: Path | None = None) -> Any:
    """A fit with all callbacks of `configs/defaults.yaml`, or without a folder with none."""
    model = kind(n_features=law.n_features, n_instances=2)
    data = SparseFeatures(distribution=law, batch_size=32, block_size=2)
    options: dict[str, Any] = {**QUIET, "num_sanity_val_steps": 0}
    if folder is not None:
        paths = [
            one["class_path"]
            for one in yaml.safe_load((ROOT / "configs/defaults.yaml").read_text())["trainer"]["callbacks"]
        ]
        options |= {
            "callbacks": [class_at(path)() for path in paths],
            "logger": TensorBoardLogger(folder, name="", version=""),
            "enable_checkpointing": True,
            "enable_progress_bar": True,
        }
    trainer = Trainer(max_steps=steps, **options)
    trainer.fit(model, datamodule=data, ckpt_path=ckpt)
    return model, data, trainer


@pytest.mark.parametrize(("law_type", "kind"), CELLS)
def test_a_law_and_a_variant_go_together(
    law_type: type[Distribution], kind: type[ToyModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.objective.autograd.TOLERANCE", 1e-2)  # how exact a quadrature is, other tests know
    law = OF_EACH_CLASS[law_type]
    whole, _, _ = trained(kind, law, None, 6)
    with monkeypatch.context() as patched:  # pictures of what is only half done would take half of the time
        patched.setattr("callbacks.pictures.write_figure", lambda path, figure: b"")
        trained(kind, law, tmp_path, 3)
    model, data, trainer = trained(kind, law, tmp_path, 6, tmp_path / CHECKPOINT)
    for name, parameter in whole.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name
    assert all((tmp_path / name).stat().st_size for name in (POLYGONS, TRAJECTORY))

    (validated,) = trainer.validate(model, datamodule=data, verbose=False)
    counted = read_rows(tmp_path / CENSUS)
    assert validated["val_loss"] == pytest.approx(sum(float(row["loss"]) for row in counted) / 2, rel=1e-5)
    assert {row["loss_method"] for row in counted} <= {"closed form", "quadrature"}

    trainer.test(model, datamodule=data, ckpt_path=tmp_path / CHECKPOINT, verbose=False)
    found = read_rows(tmp_path / LANDSCAPE)
    assert all(row["verdict"] != "not certified" for row in found)
