"""Which instances the recording callbacks follow."""

import re
from pathlib import Path

import pytest
import torch

from callbacks.feature_norms import FeatureNorms
from callbacks.trajectory import Trajectory
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.runs.folder import TRAJECTORY
from tests.running import fit


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
