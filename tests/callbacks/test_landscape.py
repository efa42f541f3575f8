"""`python -m src.cli test`: certificates of a checkpoint, in its run folder, in the terminal and in TensorBoard."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

from callbacks.landscape import _chosen
from src import cli
from src.model import ReLUOutputModel
from src.results.landscape import landscape_cells, landscape_markdown
from src.runs.folder import CHECKPOINT, CONFIG, LANDSCAPE
from src.runs.tables import read_rows
from tests.running import ROOT, read_census, run_cli, run_of, slow

CONTRACT = ["instance", "seed", "geometry", "loss", "gradient_norm", "min_eigenvalue", "n_zero_modes", "verdict"]


class Mixing(ReLUOutputModel):
    """A variant of which an instance cannot be computed without the others."""

    def decode(self, h: torch.Tensor) -> torch.Tensor:
        return torch.relu(h @ self.W + self.b.unsqueeze(-2)) * (1 + self.W.mean())


def certify(checkpoint: Path, *arguments: str) -> int:
    """`test` with the settings of `run_cli`."""
    return cli.main(["test", f"--config={ROOT / 'configs/hexagon.yaml'}", f"--ckpt_path={checkpoint}", *arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    assert run_cli(folder, "--model.n_instances=2", max_steps=100) == 0
    return run_of(folder)


def test_the_certificates_join_the_run_that_the_checkpoint_is_from(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (trained / CONFIG).read_bytes()
    assert certify(trained / CHECKPOINT, "--model.n_instances=2") == 0
    rows = read_rows(trained / LANDSCAPE)
    assert [name for name in rows[0] if name in CONTRACT] == CONTRACT
    assert [row["seed"] for row in rows] == ["11", "12"]
    assert {row["verdict"] for row in rows} <= {"minimum", "saddle", "degenerate", "not stationary"}
    assert all(float(row["loss_error"]) < 1e-9 for row in rows)
    assert [path.name for path in trained.parent.iterdir()] == [trained.name]
    assert (trained / CONFIG).read_bytes() == before
    assert str(trained / LANDSCAPE) in capsys.readouterr().out.replace("\n", "")
    events = EventAccumulator(str(trained), size_guidance={TENSORS: 0}).Reload()
    (text,) = events.Tensors("landscape/text_summary")
    assert b"| geometry | verdict |" in text.tensor_proto.string_val[0]


def test_other_settings_than_the_runs_are_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify(trained / CHECKPOINT, "--model.n_instances=2", "--data.feature_probability=0.1") == 2
    refusal = "data.init_args.feature_probability is 0.1; it must be 0.057, as in the run of the checkpoint."
    assert capsys.readouterr().err == f"error: {refusal}\n"


@pytest.mark.slow
def test_without_tensorboard_the_certificates_still_join_the_run(trained: Path) -> None:
    (trained / LANDSCAPE).unlink(missing_ok=True)
    assert certify(trained / CHECKPOINT, "--model.n_instances=2", "--trainer.logger=false") == 0
    assert (trained / LANDSCAPE).is_file()


def test_a_file_of_tensors_that_is_no_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"W": torch.zeros(2)}, tmp_path / "some.ckpt")
    assert certify(tmp_path / "some.ckpt") == 2
    wanted = f"error: ckpt_path is {tmp_path / 'some.ckpt'}; it must be the checkpoint of a fit.\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.slow
def test_a_checkpoint_outside_a_run_folder_gets_a_run_of_its_own(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / CHECKPOINT, tmp_path / "some.ckpt")
    save_dir = f"--trainer.logger.init_args.save_dir={tmp_path / 'logs'}"
    assert certify(tmp_path / "some.ckpt", "--model.n_instances=2", save_dir) == 0
    run = run_of(tmp_path / "logs")
    assert (run / LANDSCAPE).is_file()
    assert (run / CONFIG).is_file()


@pytest.mark.parametrize(
    ("setting", "method", "message"),
    [
        slow("--data.n_features=13", "sample", "13 features are too many for the distribution to be enumerated"),
        slow("--data=src.data.FiniteFeatures", "sample", "Examples of this distribution cannot be enumerated"),
        slow(
            "--model=tests.callbacks.test_landscape.Mixing --model.n_instances=2",
            "quadrature",
            "Mixing does not compute an instance without the others",
        ),
    ],
)
def test_what_has_no_certificate_has_its_loss_with_its_error_and_says_so(
    setting: str, method: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path, *setting.split(), max_steps=60) == 0
    run = run_of(tmp_path)
    assert certify(run / CHECKPOINT, *setting.split()) == 0
    row, *_ = read_rows(run / LANDSCAPE)
    assert (row["loss_method"], row["verdict"]) == (method, "not certified")
    assert 0 < float(row["loss_error"]) < 0.01 * float(row["loss"])
    assert math.isnan(float(row["min_eigenvalue"]))
    assert message in " ".join(capsys.readouterr().out.split())


def test_without_a_checkpoint_there_is_nothing_to_certify(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["test", f"--config={ROOT / 'configs/hexagon.yaml'}"]) == 2
    assert capsys.readouterr().err == "error: ckpt_path is None; it must be the checkpoint that `test` is to certify.\n"


@pytest.mark.slow
def test_as_many_are_certified_as_are_asked_for_some_of_each_geometry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path, "--model.n_instances=6", max_steps=400) == 0
    run = run_of(tmp_path)
    assert certify(run / CHECKPOINT, "--model.n_instances=6", "--model.certify=3") == 0
    rows = read_rows(run / LANDSCAPE)
    certified = [row for row in rows if row["verdict"] != "not certified"]
    assert len(certified) == 3
    assert all(math.isnan(float(row["distance"])) for row in rows if row not in certified)
    geometries = dict.fromkeys(row["geometry"] for row in rows)
    assert len({row["geometry"] for row in certified}) == min(3, len(geometries))
    assert "certified: 3 instances of 6, some of each geometry" in " ".join(capsys.readouterr().out.split())


def test_instances_are_chosen_in_rounds_over_geometries() -> None:
    names = ["hexagon", "hexagon", "pentagon", "hexagon", "square", "pentagon"]
    assert [_chosen(names, count) for count in (1, 3, 5, 9)] == [[0], [0, 2, 4], [0, 1, 2, 4, 5], [0, 1, 2, 3, 4, 5]]


def test_no_instance_at_all_cannot_be_certified(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify(trained / CHECKPOINT, "--model.n_instances=2", "--model.certify=0") == 2
    assert "model.certify is 0; it must be at least 1, or null for the default." in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_without_a_closed_form_is_certified_with_an_error_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path, "--model=GELU", max_steps=60) == 0
    run = run_of(tmp_path)
    assert certify(run / CHECKPOINT, "--model=GELU") == 0
    (found,) = read_rows(run / LANDSCAPE)
    assert found["verdict"] != "not certified"
    assert found["stationary_method"] == found["loss_method"] == "quadrature"
    assert 0 < float(found["hessian_error"]) < 1e-4
    assert 0 < float(found["stationary_loss_error"]) < 1e-6
    assert "losses and curvatures: quadrature, error of the loss below" in " ".join(capsys.readouterr().out.split())


def row(verdict: str, loss: float, geometry: str = "pentagon") -> dict[str, str]:
    stationary = verdict != "not stationary"
    return {
        "geometry": geometry,
        "verdict": verdict,
        "loss": str(loss + 1e-6),
        "stationary_loss": str(loss),
        "min_eigenvalue": "0.0027" if stationary else "nan",
        "n_zero_modes": "1",
        "n_rotations": "1",
        "n_scalings": "0",
        "n_dead": "0",
        "distance": "0.02",
    }


def test_instances_at_the_same_stationary_point_share_a_row() -> None:
    rows = [row("minimum", 0.0048), row("minimum", 0.0048 + 1e-15), row("saddle", 0.005), row("not stationary", 0.006)]
    cells = landscape_cells(rows)
    assert [own[:4] for own in cells] == [
        ["pentagon", "minimum", "2", "0.00480000"],
        ["pentagon", "not stationary", "1", "0.00600100"],
        ["pentagon", "saddle", "1", "0.00500000"],
    ]
    assert cells[1][4:] == ["", "", ""]
    assert "| pentagon | minimum | 2 | 0.00480000 | 2.700e-03 | 1 (1) |" in landscape_markdown(rows)


@pytest.mark.slow
def test_a_trained_hexagon_is_certified_to_be_a_minimum(tmp_path: Path) -> None:
    assert run_cli(tmp_path, max_steps=10_000) == 0
    assert certify(run_of(tmp_path) / CHECKPOINT) == 0
    (certificate,) = read_rows(run_of(tmp_path) / LANDSCAPE)
    assert (certificate["geometry"], certificate["verdict"]) == ("hexagon", "minimum")
    assert (certificate["n_zero_modes"], certificate["n_negative"]) == ("1", "0")
    assert float(certificate["stationary_loss"]) < float(certificate["loss"])


@pytest.mark.parametrize("law", [slow("CorrelatedPairs"), slow("Hierarchical"), slow("Signed"), slow("OneAtATime")])
def test_another_law_has_its_losses_validated_and_certified(law: str, tmp_path: Path) -> None:
    assert run_cli(tmp_path, f"--data.distribution={law}", max_steps=60) == 0
    run = run_of(tmp_path)
    settings = (f"--config={run / CONFIG}", f"--ckpt_path={run / CHECKPOINT}")
    assert cli.main(["validate", *settings]) == 0
    assert cli.main(["test", *settings]) == 0
    (row,) = read_rows(run / LANDSCAPE)
    (counted,) = read_census(run)
    assert float(row["loss"]) == pytest.approx(float(counted["loss"]), rel=1e-6)
    assert row["loss_method"] == counted["loss_method"] == "closed form"
    assert row["verdict"] != "not certified"
