"""Runs of before the packages: certified and resumed by today's configs, and their own refused in a sentence."""

from pathlib import Path

import pytest
import torch
import yaml

from callbacks.geometry_shares import GeometryShares
from callbacks.recorder import Recorder
from callbacks.trajectory import Trajectory
from src.cli import main
from src.runs.folder import CHECKPOINT, LANDSCAPE, read_trajectory
from src.runs.moved import MOVED, as_today, states_as_today, that_train, where_now
from src.runs.tables import read_rows
from tests.running import ROOT, run_cli, run_of

SMALL = ("--model.start.size=2", "--model.start.seed=3")
CONFIG = "configs/basin.yaml"
STEPS = 60
OLD_BASIN = "src.initialisations.ReLUOutputBasin"


@pytest.fixture(scope="module")
def old_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A basin map as it was written when the start was a base class of the model, and records had a spacing."""
    folder = tmp_path_factory.mktemp("logs")
    assert run_cli(folder, *SMALL, config=CONFIG, max_steps=STEPS) == 0
    run = run_of(folder, "basin")
    settings = yaml.safe_load((run / "config.yaml").read_text())
    model = settings["model"]
    model["class_path"] = OLD_BASIN
    model["init_args"].update(model["init_args"].pop("start")["init_args"])
    for callback in settings["trainer"]["callbacks"]:
        if callback.get("init_args", {}).pop("n_records", 0) is None:
            callback["init_args"]["every_n_steps"] = 50
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    checkpoint = torch.load(run / CHECKPOINT, weights_only=True)
    (name,) = checkpoint["callbacks"]
    checkpoint["callbacks"] = {name.replace("'n_records': None", "'every_n_steps': 50"): checkpoint["callbacks"][name]}
    assert list(checkpoint["callbacks"]) == ["Trajectory{'every_n_steps': 50, 'instances': None}"]
    del checkpoint["hyper_parameters"]
    torch.save(checkpoint, run / CHECKPOINT)
    return run


@pytest.mark.slow
def test_an_older_run_is_certified_into_its_folder(old_run: Path) -> None:
    assert main(["test", f"--config={ROOT / CONFIG}", *SMALL, f"--ckpt_path={old_run / CHECKPOINT}"]) == 0
    assert len(read_rows(old_run / LANDSCAPE)) == 4


@pytest.mark.slow
def test_an_older_run_is_certified_as_no_other(old_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = "--model.start.column=1"
    assert main(["test", f"--config={ROOT / CONFIG}", *SMALL, other, f"--ckpt_path={old_run / CHECKPOINT}"]) == 2
    assert "model.init_args.start.init_args.column is 1; it must be 4, as in the run" in capsys.readouterr().err


def test_an_older_run_goes_on_with_what_it_recorded(old_run: Path, tmp_path: Path) -> None:
    resume = f"--ckpt_path={old_run / CHECKPOINT}"
    assert run_cli(tmp_path, *SMALL, resume, config=CONFIG, max_steps=2 * STEPS) == 0
    steps = read_trajectory(run_of(tmp_path, "basin"))["steps"].tolist()
    assert steps[0] == 0
    assert steps[-1] == 2 * STEPS


def test_an_older_runs_own_config_is_refused_with_the_path_to_use(
    old_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = old_run / "config.yaml"
    assert main(["test", f"--config={config}", f"--ckpt_path={old_run / CHECKPOINT}"]) == 2
    message = capsys.readouterr().err
    assert message == f"error: {OLD_BASIN} has moved; use {MOVED[OLD_BASIN]}.\n"
    settings = yaml.safe_load(config.read_text())
    settings["model"] = {"class_path": "src.model.ReLUOutputModel"}
    (old_run / "renamed.yaml").write_text(yaml.safe_dump(settings))
    assert main(["test", f"--config={old_run / 'renamed.yaml'}", f"--ckpt_path={old_run / CHECKPOINT}"]) == 2
    assert "every_n_steps of a callback is now n_records" in capsys.readouterr().err


@pytest.mark.parametrize("old", MOVED)
def test_every_path_that_moved_says_where_to(old: str) -> None:
    assert where_now(f"model: Import of {old} failed") == f"{old} has moved; use {MOVED[old]}."


def test_settings_that_did_not_move_are_left_as_they_are() -> None:
    settings = {"model.class_path": "my_models.Own", "model.init_args.seed": 3}
    assert as_today(settings) == settings
    assert where_now("model.n_features is 0") is None


@pytest.mark.parametrize("recorder", [Trajectory(), GeometryShares()])
def test_an_older_state_is_found_by_the_callback_that_it_is_of(recorder: Recorder) -> None:
    older = f"{type(recorder).__name__}{{'every_n_steps': 50, 'instances': None}}"
    assert list(states_as_today({older: {}})) == [recorder.state_key]


def test_an_argument_that_moved_to_the_start_is_refused_with_its_place() -> None:
    sentence = where_now("model: Option 'census' is not accepted")
    assert sentence == ("census is an argument of the start: --model.start PatchingArms --model.start.census.")


def test_of_an_older_runs_callbacks_those_count_that_train() -> None:
    patch = {"class_path": "callbacks.patching.PatchColumns", "init_args": {"columns": [4]}}
    own = {"class_path": "mine.Noise"}
    assert that_train([{"class_path": "callbacks.census.Census"}, patch, own]) == [patch, own]
    assert that_train(None) is None
