"""When the recording callbacks record, and whom they follow."""

import re
from pathlib import Path

import pytest
import torch
from lightning import Trainer

from callbacks.feature_norms import FeatureNorms
from callbacks.trajectory import Trajectory
from src.data import SparseFeatures
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.runs.folder import TRAJECTORY
from src.training.gradient_norms import GradientNormSums, MeanGradientNorm
from tests.running import QUIET, SMALL_VALIDATION, fit


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


def recorded_steps(max_steps: int, n_records: int | None = None) -> list[int]:
    recorder = Trajectory(n_records)
    recorder.setup(Trainer(max_steps=max_steps, **QUIET), ReLUOutputModel(6), "fit")
    steps = [0]
    while (step := recorder.step_after(steps[-1])) < max_steps:
        steps.append(step)
    return steps


def test_records_are_dense_where_things_happen() -> None:
    assert recorded_steps(10_000) == [*range(0, 1500, 50), *range(1500, 10_000, 500)]
    assert recorded_steps(100_000) == [*range(0, 15_000, 500), *range(15_000, 100_000, 5000)]
    assert recorded_steps(10_000, n_records=10) == list(range(0, 10_000, 1000))


def test_a_gradient_norm_is_the_mean_over_the_steps_since_the_last_record(tmp_path: Path) -> None:
    """Whoever records when, at steps inside of blocks too."""
    every, few = Trajectory(60), Trajectory(3, instances=[1])
    data = SparseFeatures(n_features=6, block_size=1, validation_size=SMALL_VALIDATION)
    fit(ReLUOutputModel(6, n_instances=2), 60, data, callbacks=[every, few], default_root_dir=tmp_path)
    norms, means = every.tensors()["gradient_norms"][:, 1:], few.tensors()["gradient_norms"]
    assert few.tensors()["steps"].tolist() == [0, 20, 40, 60]
    intervals = [norms[0], norms[1:21].mean(dim=0), norms[21:41].mean(dim=0), norms[41:60].mean(dim=0)]
    torch.testing.assert_close(means, torch.stack(intervals))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 11])
def test_recorded_gradient_norms_are_calm(seed: int, tmp_path: Path) -> None:
    """One batch's norm scatters by 50 to 60 % of its mean between steps 5,000 and 10,000."""
    trajectory = Trajectory()
    model = ReLUOutputModel(6, first_seed=seed, init_std=0.378)
    fit(model, 10_000, callbacks=[trajectory], default_root_dir=tmp_path)
    late = trajectory.tensors()["steps"] >= 5000
    norms = trajectory.tensors()["gradient_norms"][late, 0]
    assert len(norms) == 11
    assert (norms.std(dim=0) / norms.mean(dim=0) < 0.15).all()


def test_the_norm_of_a_whole_gradient_is_a_mean_over_the_steps_since_it_was_taken() -> None:
    of_all = GradientNormSums(None)
    gradients = torch.rand(4, 3, 2, 6, generator=torch.Generator().manual_seed(0))
    mean = MeanGradientNorm(of_all)
    for gradient in gradients:
        of_all.add(gradient)
    taken = mean.take()
    assert taken is not None
    torch.testing.assert_close(taken[:, 0], gradients.flatten(2).norm(dim=2).mean(dim=0))
    assert mean.take() is None
