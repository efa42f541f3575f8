"""Every config trains, every overlay changes the optimizer alone, and the post's configs end as they say."""

from pathlib import Path

import pytest
import torch
import yaml

from src import cli
from src.runs.tables import write_rows
from tests.running import ROOT, read_census, read_trajectory, run_cli, run_of, slow, state

ALL = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml"))
CONFIGS = [path for path in ALL if path.name != "defaults.yaml" and path.parent.name != "optimizers"]
BEHIND = {"henighan_2023": "configs/regimes.yaml"}  # what an overlay is of, if not of every config
OVERLAYS = sorted(path.relative_to(ROOT) for path in (ROOT / "configs" / "optimizers").glob("*.yaml"))
# Configs that differ from another in a number, or that other tests of the default run train.
ALIKE = [
    "patching_success",
    "hexagon",
    "pentagon",
    "patching",
    "features_7",
    "basin",
    "patching_rates",
    "regimes",
    "henighan_2023",
    "leaky",
    "softplus",
    "jump",
    "lp",
    "importance",
    "absolute_value",
    "residual_mlp",
    "sparsities",
    "sparse",
    "anticorrelated",
    "two_probabilities",
    "hierarchical",
    "signed",
    *(path.stem for path in ALL if path.parent.name == "starts" and path.stem != "opposites"),
]
SMALLER = {
    "seeds": ["--model.n_instances=20"],
    "sparsities": ["--model.n_instances=10"],
    "basin": ["--model.start.size=4"],
    "threshold": ["--model.start.n_amplitudes=3", "--model.start.n_turns=1"],
    "decided": ["--model.n_instances=20"],
    "regimes": ["--model.lr_scheduler.init_args.warmup_steps=10", "--data.validation_size=2000"],
    "henighan_2023": ["--model.lr_scheduler.init_args.warmup_steps=10", "--data.validation_size=2000"],
}


@pytest.mark.parametrize("config", [slow(path) if path.stem in ALIKE else path for path in CONFIGS], ids=str)
def test_every_config_trains(config: Path, tmp_path: Path) -> None:
    smaller = SMALLER.get(config.stem, [])
    if config.stem in ("patching_rates", "fresh_column"):
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


@pytest.mark.slow
def test_another_optimizer_keeps_weight_decay_until_told_otherwise(tmp_path: Path) -> None:
    """What the README warns of: the settings that both optimizers have carry over."""
    for version, (arguments, decay) in enumerate((((), 0.01), (("--model.optimizer.weight_decay=0",), 0))):
        assert run_cli(tmp_path, "--model.optimizer=torch.optim.RMSprop", *arguments, max_steps=1) == 0
        config = yaml.safe_load((run_of(tmp_path, version=version) / "config.yaml").read_text())
        assert config["model"]["init_args"]["optimizer"]["init_args"]["weight_decay"] == decay


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
def test_the_pair_for_which_patching_succeeds_ends_as_its_config_says(tmp_path: Path) -> None:
    config = f"{ROOT}/configs/patching_success.yaml"
    assert cli.main(["fit", f"--config={config}", f"--trainer.logger.init_args.save_dir={tmp_path}"]) == 0
    rows = read_census(run_of(tmp_path, "patching_success"))
    assert [row["geometry"] for row in rows] == ["pentagon", "hexagon", "hexagon"]
    assert float(rows[2]["frobenius_norm"]) == pytest.approx(2.867, abs=0.01)
