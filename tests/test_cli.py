"""What the command line prints, refuses and keeps."""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from src import cli, errors
from src.runs.folder import CHECKPOINT
from tests.running import ROOT, read_census, read_trajectory, run_cli, run_of, slow

README = (ROOT / "README.md").read_text()


def test_the_end_of_a_run_shows_its_polygon_and_the_tensorboard_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"seed 11: \w+, \d of 6 learned, Frobenius norm \d\.\d{3}, loss 0\.\d{8}\n", out)
    assert f"tensorboard --logdir {tmp_path} --samples_per_plugin images=500\n" in out
    assert re.search(
        r"http://localhost:6006/\?runFilter=%5Ehexagon/version_0\(/%7C%24\)&smoothing=0&\S+#timeseries\n", out
    )
    listed = re.search(r"pictures: (.*) in (\S+)\n", out)
    assert listed is not None
    pictures = listed[1].split(", ")
    assert pictures == ["polygons.svg", "curves.svg", "formation.svg"]
    assert all((Path(listed[2]) / name).read_text().rstrip().endswith("</svg>") for name in pictures)
    assert "step 120/120" in out
    assert "⠀" in out


def test_a_model_of_the_users_own_trains_with_all_callbacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the README, in a file outside the project, named in YAML by its import path."""
    (source,) = re.findall(r"```python\n(import torch\n.*?)```", README, flags=re.DOTALL)
    (tmp_path / "my_models.py").write_text(source)
    (tmp_path / "mine.yaml").write_text(
        yaml.dump({"model": {"class_path": "my_models.LeakyModel", "init_args": {"slope": 0.2, "n_instances": 2}}})
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run_cli(tmp_path, f"--config={tmp_path / 'mine.yaml'}") == 0
    assert read_trajectory(run_of(tmp_path))["W"].shape[1] == 2
    assert "slope: 0.2" in (run_of(tmp_path) / "config.yaml").read_text()


def test_validate_reports_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(tmp_path) == 0
    expected = read_census(run_of(tmp_path))
    capsys.readouterr()
    arguments = [f"--config={run_of(tmp_path) / 'config.yaml'}", f"--ckpt_path={run_of(tmp_path) / CHECKPOINT}"]
    assert cli.main(["validate", *arguments]) == 0
    assert "Frobenius norm" in capsys.readouterr().out
    assert read_census(run_of(tmp_path, version=1)) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data.feature_probability=1.5"], "data.feature_probability is 1.5; it must be in (0, 1]."),
        slow(["--data.feature_probability=0"], "data.feature_probability is 0.0; it must be in (0, 1]."),
        slow(["--data.seed=-1"], "data.seed is -1; it must be from 0 to 4294967295."),
        slow(["--model.first_seed=-1"], "model.first_seed is -1; it must be from 0 to 4294967295."),
        slow(["--model.n_instances=0"], "model.n_instances is 0; it must be at least 1."),
        slow(["--model.n_instances=many"], "model.n_instances: Expected a int"),
        slow(["--model.n_instanses=2"], "model: Option 'n_instanses' is not accepted"),
        slow(["--model=Nonsense"], "Nonsense"),
        slow(["--trainer.max_stepz=1"], "unrecognized arguments: --trainer.max_stepz=1"),
        (["--model.optimizer.lr=-1"], "model.optimizer is refused by torch: Invalid learning rate: -1.0"),
        slow(["--trainer.max_steps=0"], "trainer.max_steps is 0; it must be at least 1."),
        slow(["--trainer.gradient_clip_val=1"], "gradient_clip_val is 1; it must be null: a stack's gradients are"),
        slow(["--trainer.accelerator=abacus"], "You selected an invalid accelerator name"),
        slow(["--trainer.precision=bf16-true"], "trainer.precision is bf16-true; it must be 32-true or 64-true."),
        (["--ckpt_path=missing.ckpt"], "ckpt_path is missing.ckpt; it must be an existing checkpoint file."),
        slow(["--config=missing.yaml"], "missing.yaml"),
        (
            ["--trainer.callbacks+=callbacks.patching.PatchColumns", "--trainer.callbacks.donor_seed=1",
             "--trainer.callbacks.columns=[7]"],
            "PatchColumns.columns is [7]; it must be numbers from 0 to 5, the model's features.",
        ),
        slow(
            ["--trainer.callbacks+=callbacks.patching.PatchColumns", "--trainer.callbacks.donor_checkpoint=no.ckpt"],
            "PatchColumns.donor_checkpoint is no.ckpt; it must be an existing checkpoint file.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)  # fmt: skip
def test_a_bad_setting_is_refused_in_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert list(tmp_path.rglob("events*")) == []


def test_a_run_that_diverges_keeps_what_it_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optimizer = ("--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=1e6")
    assert run_cli(tmp_path, *optimizer, "--data.block_size=1") == 1
    error = capsys.readouterr().err
    step = re.search(r"became non-finite at step (\d+), in instance 0 \(seed 11\) of 1", error)
    assert step is not None
    assert error.count("\n") == 1
    assert read_trajectory(run_of(tmp_path))["steps"].tolist() == list(range(int(step[1]) + 1))


@pytest.mark.slow
def test_a_start_prints_nothing_that_a_user_cannot_act_on(tmp_path: Path) -> None:
    arguments = [
        "--config=configs/hexagon.yaml",
        "--trainer.max_steps=60",
        f"--trainer.logger.init_args.save_dir={tmp_path}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "src.cli", "fit", *arguments], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.fullmatch(
        r"computed by: kernel\nstep 60/60 .*\nseed 11.*\n(.*[\u2800-\u28ff].*\n){11}\s*"
        r"seed 11: .*\n.*loss of each feature.*\npictures: .*\nsee it in TensorBoard.*\nand open there: .*\n",
        done.stdout,
    )


@pytest.mark.slow
def test_a_terminal_without_braille_gets_the_summary_all_the_same(tmp_path: Path) -> None:
    arguments = [
        "--config=configs/hexagon.yaml",
        "--trainer.max_steps=1",
        f"--trainer.logger.init_args.save_dir={tmp_path}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "src.cli", "fit", *arguments],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert "seed 11: irregular" in done.stdout
    assert "⠀" not in done.stdout


def test_without_a_subcommand_the_choices_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "{fit,validate,test}" in capsys.readouterr().err


def test_a_refusal_without_words_is_still_one_sentence() -> None:
    assert errors.essence("") == "it was refused"


def test_the_garbage_collector_is_on_again_after_the_imports() -> None:
    assert gc.isenabled()
