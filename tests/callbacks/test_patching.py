"""Columns of W swapped before training, and donors that do not fit."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer

from callbacks.patching import PatchColumns
from src.errors import ConfigError
from src.model import ReLUOutputModel
from tests.running import fit


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
