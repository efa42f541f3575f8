"""What a variant has beside W and b is recorded and charted by its name."""

from pathlib import Path

import pytest
import torch

from tests.callbacks.charts import scalars
from tests.running import read_trajectory, run_cli, run_of, state


@pytest.mark.slow
def test_a_decoder_is_recorded_and_charted_by_feature(tmp_path: Path) -> None:
    assert run_cli(tmp_path, "--model=src.variants.Untied", max_steps=60) == 0
    recorded, last = read_trajectory(run_of(tmp_path)), state(run_of(tmp_path))
    assert recorded["V"].shape == recorded["W"].shape
    assert torch.equal(recorded["V"][-1], last["V"])
    assert "columns" not in recorded
    charts = scalars(run_of(tmp_path) / "feature_3")
    assert {"norm_of_V/seed 11", "gradient_norm_of_V/seed 11", "feature_norm/seed 11"} <= set(charts)


@pytest.mark.slow
def test_another_parameter_is_charted_as_a_whole(tmp_path: Path) -> None:
    assert run_cli(tmp_path, "--model=src.variants.ResidualMLP", max_steps=60) == 0
    recorded = read_trajectory(run_of(tmp_path))
    assert recorded["I"].shape[1:] == (1, 3, 2)
    charts = scalars(run_of(tmp_path))
    assert {"norm_of_I/seed 11", "norm_of_O/seed 11", "gradient_norm_of_I/seed 11"} <= set(charts)
