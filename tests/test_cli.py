import gc
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from src import cli
from src.runs.folder import CHECKPOINT, read_stored, write_rows
from tests.running import ROOT, read_census, read_trajectory, run_cli, run_of, slow

ALL = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml"))
CONFIGS = [path for path in ALL if path.name != "defaults.yaml" and path.parent.name != "optimizers"]
BEHIND = {"henighan_2023": "configs/regimes.yaml"}  # what an overlay is of, if not of every config
OVERLAYS = sorted(path.relative_to(ROOT) for path in (ROOT / "configs" / "optimizers").glob("*.yaml"))
# Configs that differ from another in a number, or that other tests of the default run train.
ALIKE = ("hexagon", "pentagon", "patching", "features_7", "basin", "patching_rates", "regimes", "henighan_2023")
FEW_EXAMPLES = [
    "--data.n_features=50",
    "--data.feature_probability=0.1",
    "--data.n_examples=20",
    "--data.validation_size=200",
    "--model.n_instances=2",
    "--model.lr_scheduler.init_args.warmup_steps=10",
]
SMALLER = {
    "seeds": ["--model.n_instances=20"],
    "basin": ["--model.start.size=4"],
    "regimes": ["--model.lr_scheduler.init_args.warmup_steps=10", "--data.validation_size=2000"],
    "henighan_2023": ["--model.lr_scheduler.init_args.warmup_steps=10", "--data.validation_size=2000"],
}

README = (ROOT / "README.md").read_text()


def state(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / CHECKPOINT, weights_only=True)["state_dict"]


@pytest.mark.parametrize("config", [slow(path) if path.stem in ALIKE else path for path in CONFIGS], ids=str)
def test_every_config_trains(config: Path, tmp_path: Path) -> None:
    smaller = SMALLER.get(config.stem, [])
    if config.stem == "patching_rates":
        rows = [
            {"seed": 0, "geometry": "pentagon", "unlearned": "4"},
            {"seed": 11, "geometry": "hexagon", "unlearned": ""},
        ]
        smaller = [f"--model.start.census={write_rows(tmp_path / 'census.csv', rows)}"]
    if config.stem in BEHIND:
        config, smaller = Path(BEHIND[config.stem]), [f"--config={ROOT / config}", *smaller]
    assert run_cli(tmp_path, *smaller, config=config, max_steps=60) == 0
    (run,) = (path.parent for path in tmp_path.rglob("config.yaml"))
    files = {path.name for path in run.iterdir()}
    assert {"config.yaml", "census.csv", "trajectory.safetensors", "polygons.png", "checkpoints"} <= files


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of a run of one step with the default optimizer."""
    folder = tmp_path_factory.mktemp("logs")
    assert run_cli(folder, max_steps=1) == 0
    return folder


@pytest.mark.parametrize("overlay", [path if path.stem == "sgd" else slow(path) for path in OVERLAYS], ids=str)
def test_an_optimizer_overlay_changes_the_optimizer_alone(overlay: Path, plain: Path) -> None:
    """Same initialisations, same stream: the first record of any two optimizers is the same."""
    assert run_cli(plain, f"--config={ROOT / overlay}", max_steps=1) == 0
    *_, run = sorted((plain / "hexagon").iterdir(), key=lambda folder: folder.stat().st_mtime)
    config, usual = (yaml.safe_load((path / "config.yaml").read_text()) for path in (run, run_of(plain)))
    optimizer = config["model"]["init_args"].pop("optimizer")
    usual["model"]["init_args"].pop("optimizer")
    assert config == usual
    assert optimizer["class_path"].lower() == f"torch.optim.{overlay.stem}"
    assert optimizer["init_args"]["weight_decay"] == (0.01 if overlay.stem == "adamw" else 0)
    first, second = (read_trajectory(path) for path in (run, run_of(plain)))
    for name in ("W", "gradient_norms", "feature_losses"):
        assert torch.equal(first[name][0], second[name][0])


@pytest.mark.slow
def test_the_saved_config_repeats_the_run(tmp_path: Path) -> None:
    assert run_cli(tmp_path) == 0
    assert cli.main(["fit", f"--config={run_of(tmp_path) / 'config.yaml'}"]) == 0
    first, second = (state(run_of(tmp_path, version=k)) for k in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_end_of_a_run_shows_its_polygon_and_the_tensorboard_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.search(r"seed 11: \w+, \d of 6 learned, Frobenius norm \d\.\d{3}, loss 0\.\d{8}\n", out)
    assert re.search(r"tensorboard --logdir \S+version_0 --samples_per_plugin images=500", out.replace("\n", ""))
    assert "step 120/120" in out
    assert "⠀" in out


def test_a_model_of_the_users_own_trains_with_all_callbacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the README, in a file outside the project, named in YAML by its import path."""
    (source,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "my_models.py").write_text(source)
    (tmp_path / "mine.yaml").write_text(
        yaml.dump({"model": {"class_path": "my_models.LeakyModel", "init_args": {"slope": 0.2, "n_instances": 2}}})
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run_cli(tmp_path, f"--config={tmp_path / 'mine.yaml'}") == 0
    assert read_trajectory(run_of(tmp_path))["W"].shape[1] == 2
    assert "slope: 0.2" in (run_of(tmp_path) / "config.yaml").read_text()


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Also: the patch is not applied again, and the records cover the whole run."""
    config = "configs/patching.yaml"
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run_cli(whole, config=config, max_steps=220) == 0
    assert run_cli(part, config=config, max_steps=130) == 0
    experiment = Path(config).stem
    checkpoint = run_of(part, experiment) / CHECKPOINT
    assert run_cli(part, f"--ckpt_path={checkpoint}", config=config, max_steps=220) == 0
    expected, resumed = state(run_of(whole, experiment)), state(run_of(part, experiment, 1))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    steps = read_trajectory(run_of(part, experiment, 1))["steps"].tolist()
    assert steps == [0, 50, 100, 130, 150, 200, 220]


@pytest.mark.slow
def test_independent_streams_resume_to_the_same_bits(tmp_path: Path) -> None:
    options = ("--data.stream=independent", "--model.n_instances=2", "--model.optimizer=torch.optim.RMSprop")
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert run_cli(whole, *options) == 0
    assert run_cli(part, *options, max_steps=70) == 0
    assert run_cli(part, *options, f"--ckpt_path={run_of(part) / CHECKPOINT}") == 0
    expected, resumed = state(run_of(whole)), state(run_of(part, version=1))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


def run_regimes(folder: Path, *arguments: str, max_steps: int) -> int:
    return run_cli(folder, *FEW_EXAMPLES, *arguments, config="configs/regimes.yaml", max_steps=max_steps)


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


def test_examples_that_do_not_fit_into_memory_are_refused_with_what_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_regimes(tmp_path, "--data.n_examples=1000000000000", max_steps=60) == 2
    assert re.match(
        r"error: data\.n_examples is 1000000000000; it must be at most \d+, as many as fit", capsys.readouterr().err
    )


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
        (["--model.n_instances=0"], "model.n_instances is 0; it must be at least 1."),
        slow(["--model.n_instances=many"], "model.n_instances: Expected a int"),
        slow(["--model.n_instanses=2"], "model: Option 'n_instanses' is not accepted"),
        slow(["--model=Nonsense"], "Nonsense"),
        slow(["--trainer.max_stepz=1"], "unrecognized arguments: --trainer.max_stepz=1"),
        (["--model.optimizer.lr=-1"], "model.optimizer is refused by torch: Invalid learning rate: -1.0"),
        (["--trainer.max_steps=0"], "trainer.max_steps is 0; it must be at least 1."),
        slow(["--trainer.gradient_clip_val=1"], "gradient clipping is not supported"),
        (["--ckpt_path=missing.ckpt"], "ckpt_path is missing.ckpt; it must be an existing checkpoint file."),
        slow(["--config=missing.yaml"], "missing.yaml"),
        (
            ["--trainer.callbacks+=callbacks.patching.PatchColumns", "--trainer.callbacks.donor_seed=1",
             "--trainer.callbacks.columns=[7]"],
            "PatchColumns.columns is [7]; it must be numbers from 0 to 5, the model's features.",
        ),
        (
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


@pytest.mark.slow
def test_resuming_a_finished_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(tmp_path) == 0
    assert run_cli(tmp_path, f"--ckpt_path={run_of(tmp_path) / CHECKPOINT}") == 2
    assert "trainer.max_steps is 120; it must be more than 120" in capsys.readouterr().err


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
    ],
)
def test_resuming_with_another_setting_is_refused(
    argument: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path) == 0
    assert run_cli(tmp_path, f"--ckpt_path={run_of(tmp_path) / CHECKPOINT}", argument, max_steps=200) == 2
    assert sentence in capsys.readouterr().err


def test_resuming_from_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.ckpt").write_text("no checkpoint")
    assert run_cli(tmp_path, f"--ckpt_path={tmp_path / 'no.ckpt'}") == 2
    assert "it must be a checkpoint, with tensors only." in capsys.readouterr().err


def test_a_run_that_diverges_keeps_what_it_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optimizer = ("--model.optimizer=torch.optim.SGD", "--model.optimizer.lr=1e6")
    assert run_cli(tmp_path, *optimizer, "--data.block_size=1") == 1
    error = capsys.readouterr().err
    step = re.search(r"became non-finite at step (\d+), in instance 0 \(seed 11\) of 1", error)
    assert step is not None
    assert error.count("\n") == 1
    assert read_trajectory(run_of(tmp_path))["steps"].tolist() == list(range(int(step[1]) + 1))


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Killed with SIGKILL in the middle, resumed from last.ckpt: the same weights as a run that was not."""
    base = [sys.executable, "-m", "src.cli", "fit", "--config=configs/hexagon.yaml", "--trainer.max_steps=20000"]
    whole, part = tmp_path / "whole", tmp_path / "part"
    subprocess.run([*base, f"--trainer.logger.init_args.save_dir={whole}"], cwd=ROOT, check=True, capture_output=True)
    arguments = [*base, f"--trainer.logger.init_args.save_dir={part}"]
    victim = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = run_of(part) / CHECKPOINT
    while not checkpoint.is_file() and victim.poll() is None:
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    saved = torch.load(checkpoint, weights_only=True)["global_step"]
    assert 0 < saved < 20_000
    subprocess.run([*arguments, f"--ckpt_path={checkpoint}"], cwd=ROOT, check=True, capture_output=True)
    expected, resumed = state(run_of(whole)), state(run_of(part, version=1))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
def test_a_stopped_run_saves_its_last_step_and_says_how_to_resume(number: int, status: int, tmp_path: Path) -> None:
    arguments = ["--config=configs/hexagon.yaml", "--trainer.max_steps=1000000"]
    arguments.append(f"--trainer.logger.init_args.save_dir={tmp_path}")
    run = subprocess.Popen(
        [sys.executable, "-m", "src.cli", "fit", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    checkpoint = run_of(tmp_path) / CHECKPOINT
    while not checkpoint.is_file() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(number)
    out, _ = run.communicate()
    assert run.returncode == status
    saved = torch.load(checkpoint, weights_only=True)["global_step"]
    assert f"Stopped at step {saved:,}. Resume from step {saved:,}" in out
    assert str(checkpoint) in out
    assert read_trajectory(run_of(tmp_path))["steps"][-1] <= saved


@pytest.mark.slow
def test_the_main_job_ends_with_a_hexagon(tmp_path: Path) -> None:
    assert (
        cli.main(["fit", f"--config={ROOT}/configs/hexagon.yaml", f"--trainer.logger.init_args.save_dir={tmp_path}"])
        == 0
    )
    (row,) = read_census(run_of(tmp_path))
    assert row["geometry"] == "hexagon"
    assert row["n_learned"] == "6"
    assert 2.8 < float(row["frobenius_norm"]) < 2.95
    assert float(row["largest_feature_loss"]) < 1.1 * float(row["smallest_feature_loss"])


@pytest.mark.slow
def test_the_pentagon_config_ends_with_a_pentagon(tmp_path: Path) -> None:
    config = f"{ROOT}/configs/pentagon.yaml"
    assert cli.main(["fit", f"--config={config}", f"--trainer.logger.init_args.save_dir={tmp_path}"]) == 0
    (row,) = read_census(run_of(tmp_path, "pentagon"))
    assert row["geometry"] == "pentagon"
    assert row["n_learned"] == "5"
    assert 2.45 < float(row["frobenius_norm"]) < 2.6
    # An unlearned feature costs (1 - S) / 3 = 0.019 with no output at all, and a little less with its bias.
    assert float(row["largest_feature_loss"]) == pytest.approx(0.0175, abs=0.0005)


@pytest.mark.slow
def test_patching_shows_pentagon_hexagon_and_the_patched_outcome(tmp_path: Path) -> None:
    config = f"{ROOT}/configs/patching.yaml"
    assert cli.main(["fit", f"--config={config}", f"--trainer.logger.init_args.save_dir={tmp_path}"]) == 0
    rows = read_census(run_of(tmp_path, "patching"))
    assert [row["geometry"] for row in rows[:2]] == ["pentagon", "hexagon"]
    losses = read_trajectory(run_of(tmp_path, "patching"))["feature_losses"][-1, 0]
    assert losses.argmax() == 4  # the column that the config patches is the one that the pentagon does not learn


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
        r"step 60/60 .*\nseed 11.*\n(.*[\u2800-\u28ff].*\n){11}\s*"
        r"seed 11: .*\n.*loss of each feature.*\nsee it in TensorBoard.*\n",
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


@pytest.mark.slow
def test_another_optimizer_keeps_weight_decay_until_told_otherwise(tmp_path: Path) -> None:
    """What the README warns of: the settings that both optimizers have carry over."""
    for version, (arguments, decay) in enumerate((((), 0.01), (("--model.optimizer.weight_decay=0",), 0))):
        assert run_cli(tmp_path, "--model.optimizer=torch.optim.RMSprop", *arguments, max_steps=1) == 0
        config = yaml.safe_load((run_of(tmp_path, version=version) / "config.yaml").read_text())
        assert config["model"]["init_args"]["optimizer"]["init_args"]["weight_decay"] == decay


def test_without_a_subcommand_the_choices_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "{fit,validate,test}" in capsys.readouterr().err


def test_a_refusal_without_words_is_still_one_sentence() -> None:
    assert cli._essence("") == "it was refused"


def test_the_garbage_collector_is_on_again_after_the_imports() -> None:
    assert gc.isenabled()
