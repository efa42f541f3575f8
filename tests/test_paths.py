"""The paths and bare names by which configurations, command lines and scripts know what is here."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml

from src.runs.folder import read_settings
from tests.running import ROOT, read_census, run_cli, run_of

PUBLIC = (
    "src.model.ToyModel",
    "src.model.ReLUOutputModel",
    "src.variants.Leaky",
    "src.variants.L4",
    "src.data.SparseFeatures",
    "src.data.FiniteFeatures",
    "src.data.SparsePopulation",
    "src.data.Features",
    "src.distributions.Distribution",
    "src.distributions.Sparse",
    "src.starts.Start",
    "src.starts.Basin",
    "src.starts.PatchingArms",
    "src.training.WarmupCosine",
    "callbacks.feature_norms.FeatureNorms",
    "callbacks.gradient_norms.GradientNorms",
    "callbacks.feature_losses.FeatureLosses",
    "callbacks.polygon_snapshots.PolygonSnapshots",
    "callbacks.trajectory.Trajectory",
    "callbacks.census.Census",
    "callbacks.landscape.Landscape",
    "callbacks.patching.PatchColumns",
)


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_path_leads_to_what_it_names(path: str) -> None:
    module, name = path.rsplit(".", 1)
    assert getattr(import_module(module), name).__name__ == name


def paths_in(value: object) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(paths_in, value))
    if not isinstance(value, dict):
        return set()
    own = {value["class_path"]} if "class_path" in value else set()
    return own.union(*map(paths_in, value.values()))


@pytest.mark.parametrize("config", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_config_names_our_classes_by_their_shortest_path(config: Path) -> None:
    ours = {path for path in paths_in(yaml.safe_load(config.read_text())) if path.startswith("src.")}
    assert {path for path in ours if path.count(".") > 2} == set()


@pytest.mark.slow
def test_a_model_its_data_and_its_start_are_known_by_bare_names(tmp_path: Path) -> None:
    names = ("--model=ReLUOutputModel", "--data=SparseFeatures", "--data.distribution=Sparse", "--model.start=Basin")
    assert run_cli(tmp_path, *names, "--model.start.size=2", config="configs/defaults.yaml", max_steps=10) == 0
    run = run_of(tmp_path, "toy")
    assert len(read_census(run)) == 4
    settings = read_settings(run)
    assert settings["model.class_path"] == "src.model.ReLUOutputModel"
    assert settings["model.init_args.start.class_path"].endswith(".Basin")


def test_a_variant_and_a_schedule_are_known_by_bare_names(tmp_path: Path) -> None:
    schedule = ("--model.lr_scheduler=WarmupCosine", "--model.lr_scheduler.warmup_steps=5")
    assert run_cli(tmp_path, "--model=Leaky", "--model.slope=0.2", *schedule, max_steps=10) == 0
    assert read_settings(run_of(tmp_path))["model.init_args.slope"] == 0.2
