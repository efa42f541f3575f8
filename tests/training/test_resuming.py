"""A resumed run ends with the same bits, and goes on only as the run that it was."""

from pathlib import Path

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from src import cli
from src.runs.folder import CENSUS, CHECKPOINT, TRAJECTORY, read_stored
from tests.running import ROOT, read_trajectory, run_cli, run_of, run_regimes, state


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    assert run_cli(folder) == 0
    return run_of(folder) / CHECKPOINT


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Also: the patch is not applied again, and the records cover the whole run."""
    config = "configs/patching.yaml"
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run_cli(whole, config=config, max_steps=120) == 0
    assert run_cli(part, config=config, max_steps=70) == 0
    experiment = Path(config).stem
    checkpoint = run_of(part, experiment) / CHECKPOINT
    assert run_cli(part, f"--ckpt_path={checkpoint}", config=config, max_steps=120) == 0
    expected, resumed = state(run_of(whole, experiment)), state(run_of(part, experiment, 1))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    steps = read_trajectory(run_of(part, experiment, 1))["steps"].tolist()
    assert steps == [0, 50, 70, 100, 120]


@pytest.mark.slow
def test_independent_streams_resume_to_the_same_bits(tmp_path: Path) -> None:
    options = ("--data.stream=independent", "--model.n_instances=2", "--model.optimizer=torch.optim.RMSprop")
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run_cli(whole, *options) == 0
    assert run_cli(part, *options, max_steps=70) == 0
    assert run_cli(part, *options, f"--ckpt_path={run_of(part) / CHECKPOINT}") == 0
    expected, resumed = state(run_of(whole)), state(run_of(part, version=1))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize("n_examples", ["20", "null"])
def test_a_finite_or_endless_set_and_its_schedule_resume_to_the_same_bits(n_examples: str, tmp_path: Path) -> None:
    options = (f"--data.n_examples={n_examples}", "--model.lr_scheduler.init_args.total_steps=120")
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run_regimes(whole, *options, max_steps=120) == 0
    assert run_regimes(part, *options, max_steps=70) == 0
    checkpoint = run_of(part, "regimes") / CHECKPOINT
    assert run_regimes(part, *options, f"--ckpt_path={checkpoint}", max_steps=120) == 0
    expected, resumed = state(run_of(whole, "regimes")), state(run_of(part, "regimes", 1))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    stored = [read_stored(run) for run in (run_of(whole, "regimes"), run_of(part, "regimes", 1))]
    assert all(torch.equal(stored[0][name], stored[1][name]) for name in stored[0])


@pytest.mark.slow
def test_a_run_whose_learning_rate_has_reached_zero_does_not_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_regimes(tmp_path, max_steps=60) == 0
    checkpoint = run_of(tmp_path, "regimes") / CHECKPOINT
    capsys.readouterr()
    assert run_regimes(tmp_path, f"--ckpt_path={checkpoint}", max_steps=90) == 2
    allowed = "60, where the learning rate's course ends."
    assert capsys.readouterr().err == f"error: trainer.max_steps is 90; it must be {allowed}\n"
    without = ("--model.lr_scheduler=null", f"--ckpt_path={checkpoint}")
    assert run_regimes(tmp_path, *without, max_steps=90) == 2
    wanted = "error: model.lr_scheduler is null; it must be WarmupCosine, as in the checkpoint.\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.slow
def test_resumed_at_its_last_step_a_run_does_what_follows_the_steps_again(tmp_path: Path) -> None:
    """As after a disk that was full then: the census, the records and the pictures, and no step."""
    assert run_cli(tmp_path) == 0
    assert run_cli(tmp_path, f"--ckpt_path={run_of(tmp_path) / CHECKPOINT}") == 0
    first, again = run_of(tmp_path), run_of(tmp_path, version=1)
    for name in (CENSUS, TRAJECTORY, "polygons.svg", "curves.svg", "formation.svg"):
        assert (first / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.slow
def test_resuming_beyond_the_last_step_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(tmp_path) == 0
    assert run_cli(tmp_path, f"--ckpt_path={run_of(tmp_path) / CHECKPOINT}", max_steps=60) == 2
    assert "trainer.max_steps is 60; it must be at least 120, the step of the checkpoint." in capsys.readouterr().err


@pytest.mark.slow
def test_resuming_another_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(tmp_path) == 0
    checkpoint = run_of(tmp_path) / CHECKPOINT
    assert run_cli(tmp_path, f"--ckpt_path={checkpoint}", "--model.n_instances=2", max_steps=200) == 2
    assert "W is 1 x 2 x 6 in the checkpoint" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--model.optimizer=torch.optim.SGD", "model.optimizer is SGD; it must be AdamW, as in the checkpoint."),
        ("--data.stream=independent", "data.stream is independent; it must be shared, as in the checkpoint."),
        ("--data.seed=1", "data.seed is 1; it must be 0, as in the checkpoint."),
        ("--data.batch_size=10", "data.batch_size is 10; it must be 1024, as in the checkpoint."),
        (
            "--data.feature_probability=0.1",
            "feature_probability 0.1; it must be n_features 6, feature_probability 0.057",
        ),
        ("--model.first_seed=12", "the seed of instance 0 is 12; it must be 11, as in the checkpoint."),
        ("--model.init_std=1", "model.init_std is 1.0; it must be 0.378, as in the checkpoint."),
        ("--model=Leaky", "model is Leaky; it must be ReLUOutputModel, as in the checkpoint."),
        ("--model.optimizer.lr=0.1", "model.optimizer.lr is 0.1; it must be 0.001, as in the checkpoint."),
        (
            "--trainer.callbacks+=callbacks.patching.PatchColumns --trainer.callbacks.donor_seed=1",
            "an instance is seed 11, all columns from seed 1; it must be seed 11, as in the checkpoint.",
        ),
    ],
)
def test_resuming_with_another_setting_is_refused(
    argument: str, sentence: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path, f"--ckpt_path={finished}", *argument.split(), max_steps=200) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("argument", ["--data.block_size=7", "--data.validation_size=20"])
def test_what_no_step_depends_on_may_change(argument: str, finished: Path, tmp_path: Path) -> None:
    assert run_cli(tmp_path, f"--ckpt_path={finished}", argument, max_steps=121) == 0


@pytest.mark.slow
def test_the_census_of_a_checkpoint_is_of_its_own_seeds(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = f"--config={ROOT}/configs/hexagon.yaml"
    assert cli.main(["validate", config, f"--ckpt_path={finished}", "--model.first_seed=12"]) == 2
    assert "the seed of instance 0 is 12; it must be 11, as in the checkpoint." in capsys.readouterr().err


def test_resuming_from_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.ckpt").write_text("no checkpoint")
    assert run_cli(tmp_path, f"--ckpt_path={tmp_path / 'no.ckpt'}") == 2
    assert "it must be a checkpoint, with tensors only." in capsys.readouterr().err


class NeedsItsStart(Callback):
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.began = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self.began


@pytest.mark.slow
def test_a_resumed_run_begins_and_ends_for_every_callback(tmp_path: Path) -> None:
    """At its last step, where no step is left."""
    assert run_cli(tmp_path, max_steps=60) == 0
    options = (f"--ckpt_path={run_of(tmp_path) / CHECKPOINT}", f"--trainer.callbacks+={__name__}.NeedsItsStart")
    assert run_cli(tmp_path, *options, max_steps=60) == 0
    assert (run_of(tmp_path, version=1) / CENSUS).is_file()
