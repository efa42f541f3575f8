"""A stranger's file: one hook in plain torch, and everything else follows."""

from pathlib import Path

import pytest
import torch

from src import cli
from src.objective import build
from src.runs.folder import CHECKPOINT
from tests.running import read_census, run_cli, run_of, state

OWN = """
import torch
from src.model import ReLUOutputModel


class Square(ReLUOutputModel):
    def activate(self, z):
        return torch.relu(z) ** 2


class Rotated(ReLUOutputModel):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        (turn,) = self.drawn((self.n_hidden, self.n_hidden))
        self.turn = torch.nn.Parameter(turn)

    def encode(self, x):
        return torch.tanh(super().encode(x) @ self.turn)


class Transformed(ReLUOutputModel):
    def encode(self, x):
        return torch.fft.fft(super().encode(x)).real
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("Square", "kernel, policy Square"),
        ("Rotated", "kernel, written out whole: encode is overridden"),
        ("Transformed", "autograd: encode is overridden, and it takes fft_r2c"),
    ],
)
def test_a_model_of_ones_own_trains_validates_and_resumes_to_the_bit(
    name: str, computed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if build.library() is None:
        pytest.skip("there is no C++ compiler")
    module = f"own_{name.lower()}"
    (tmp_path / f"{module}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    whole, part = tmp_path / "whole", tmp_path / "part"
    options = (f"--model={module}.{name}", "--model.n_instances=3")
    assert run_cli(whole, *options) == 0
    assert f"computed by: {computed}" in "".join(capsys.readouterr())
    assert run_cli(part, *options, max_steps=70) == 0
    assert run_cli(part, *options, f"--ckpt_path={run_of(part) / CHECKPOINT}") == 0
    expected, resumed = state(run_of(whole)), state(run_of(part, version=1))
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)

    settings = f"--config={run_of(whole) / 'config.yaml'}"
    assert cli.main(["validate", settings, f"--ckpt_path={run_of(whole) / CHECKPOINT}"]) == 0
    for row in read_census(run_of(whole)):
        assert row["loss_method"] == ("closed form" if name == "Square" else "quadrature")
        assert 0 < float(row["loss_error"]) < 1e-3 * float(row["loss"])
