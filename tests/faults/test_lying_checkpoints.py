"""Checkpoints that can be read but say what no fit writes: refused in a sentence, before anything is used."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from src import cli
from src.errors import ConfigError
from src.runs.checkpoints import read_checkpoint
from src.runs.folder import CHECKPOINT
from src.training.resuming import COUNTS
from tests.running import ROOT, read_census, run_cli, run_of, slow

CONFIG = f"--config={ROOT}/configs/hexagon.yaml"
ONE_CYCLE = (
    "--model.lr_scheduler=torch.optim.lr_scheduler.OneCycleLR",
    "--model.lr_scheduler.init_args.max_lr=0.01",
    "--model.lr_scheduler.init_args.total_steps=200",
)
WEIGHTS_ONLY = ("optimizer_states", "lr_schedulers", "callbacks")
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The checkpoint of a run of 20 steps."""
    folder = tmp_path_factory.mktemp("saved")
    assert run_cli(folder, *ONE_CYCLE, max_steps=20) == 0
    return torch.load(run_of(folder) / CHECKPOINT, weights_only=True)


def written(saved: dict[str, Any], change: Change, folder: Path) -> Path:
    changed = copy.deepcopy(saved)
    change(changed)
    torch.save(changed, folder / "a.ckpt")
    return folder / "a.ckpt"


def refusal(path: Path, capsys: pytest.CaptureFixture[str], subcommand: str = "fit") -> str:
    """The one sentence with which a checkpoint is refused, with nothing written."""
    runs = path.parent / "runs"
    place = (f"--trainer.logger.init_args.save_dir={runs}", "--trainer.max_steps=30", *ONE_CYCLE)
    capsys.readouterr()
    assert cli.main([subcommand, CONFIG, *place, f"--ckpt_path={path}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not runs.exists()
    return err


def put(value: Any, *keys: Any) -> Change:
    """Replace what is at these keys."""

    def change(checkpoint: Any) -> None:
        for key in keys[:-1]:
            checkpoint = checkpoint[key]
        checkpoint[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ([], "state_dict"),
        ({"W": "x"}, "state_dict"),
        ({1: torch.zeros(1)}, "state_dict"),
        ("x", "global_step"),
        (-5, "global_step"),
        (True, "global_step"),
        ([], "hyper_parameters"),
        ([], "arguments_at_start"),
        ({}, "optimizer_at_start"),
        ([], "callbacks"),
        ({"Census": 3}, "callbacks"),
        ([], "loops"),
        ({"fit_loop": 1}, "loops"),
        ({}, "optimizer_states"),
        ([{}], "optimizer_states"),
        ([{"state": {0: 1}, "param_groups": []}], "optimizer_states"),
        ([{"state": {}, "param_groups": [{"lr": 0.1}]}], "optimizer_states"),
        ([1], "lr_schedulers"),
        ("x", "diverged"),
        ({0: "x"}, "diverged"),
        (5, "instance_names"),
        ([1], "instance_columns"),
        ([1], "data"),
        ([], "model_class"),
        ([{}], "gradient_norms"),
        ("x", "pytorch-lightning_version"),
    ],
)
def test_a_part_of_another_form_is_refused(value: Any, name: str, saved: dict[str, Any], tmp_path: Path) -> None:
    path = written(saved, put(value, name), tmp_path)
    with pytest.raises(ConfigError, match=re.escape(f"ckpt_path is {path}; it must be one whose {name} is ")):
        read_checkpoint(path)


def test_it_is_refused_before_anything_is_written(
    saved: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(saved, put([], "state_dict"), tmp_path)
    wanted = f"error: ckpt_path is {path}; it must be one whose state_dict is as a fit writes it.\n"
    assert refusal(path, capsys) == wanted


TOTAL = ("loops", "fit_loop", COUNTS, "total")
STATE = ("optimizer_states", 0, "state", 0)
GROUP = ("optimizer_states", 0, "param_groups", 0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put(torch.zeros(1, 2, 3), *STATE, "exp_avg"), "exp_avg is 1 x 2 x 3 in the checkpoint; it must be 1 x 2 x 6"),
        slow(put(torch.zeros(()), *STATE, "exp_avg_sq"), "exp_avg_sq is one number in the checkpoint"),
        slow(put(torch.zeros(1).expand(1, 2, 6), *STATE, "exp_avg"), "exp_avg is no dense tensor in the checkpoint"),
        slow(put(torch.zeros(1, 2, 6).to_sparse(), *STATE, "exp_avg"), "exp_avg is no dense tensor in the checkpoint"),
        slow(put("x", *STATE, "step"), "optimizer_states[0].state[0].step is a str in the checkpoint"),
        slow(put({"step": torch.zeros(())}, *STATE), "exp_avg is a NoneType in the checkpoint"),
        slow(put({}, "optimizer_states", 0, "state", 99), "optimizer_states[0].state is of [99] in the checkpoint"),
        slow(put([0], *GROUP, "params"), "optimizer_states[0].param_groups is of parameters [[0]] in the checkpoint"),
        slow(put("x", *GROUP, "lr"), "optimizer_states[0] is refused by torch: "),
        slow(lambda checkpoint: checkpoint["optimizer_states"][0]["param_groups"][0].pop("betas"), "'betas'"),
        slow(put([], "optimizer_states"), "optimizer_states is 0 in the checkpoint; it must be 1, as configured"),
        slow(put([], "lr_schedulers"), "lr_schedulers is 0 in the checkpoint; it must be 1, as configured"),
        slow(put("x", "lr_schedulers", 0, "last_epoch"), "lr_schedulers[0].last_epoch is 'x' in the checkpoint"),
        slow(put([], "lr_schedulers", 0, "base_lrs"), "lr_schedulers[0].base_lrs is [] in the checkpoint"),
        slow(put([{}], "lr_schedulers"), "lr_schedulers[0].total_steps is None in the checkpoint"),
        slow(put({99: 3}, "diverged"), "an instance that diverged is 99 in the checkpoint; it must be from 0 to 0"),
        slow(put([], "instance_names"), "instance_names is of 0 instances in the checkpoint; it must be of 1"),
        slow(put({}, "loops"), "loops.fit_loop is None in the checkpoint"),
        slow(put("x", *TOTAL), f"loops.fit_loop.{COUNTS}.total is 'x' in the checkpoint"),
        slow(put(True, *TOTAL, "completed"), "completed is True in the checkpoint"),
        slow(put(3, *TOTAL, "completed"), "the steps of the checkpoint's loops is 3; it must be 20"),
        slow(put([], "gradient_norms", 0, "totals"), "gradient_norms is 0 totals in the checkpoint"),
        slow(put(torch.zeros(2, 6), "state_dict", "W"), "W is 2 x 6 in the checkpoint; it must be 1 x 2 x 6"),
    ],
)
def test_what_does_not_fit_the_run_is_refused(
    change: Change, sentence: str, saved: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in refusal(written(saved, change, tmp_path), capsys)


@pytest.mark.slow
@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_what_another_command_needs_is_looked_at_by_it(
    subcommand: str, saved: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{subcommand}_loop"
    change = put([], "loops", name, "batch_progress")
    path = written(saved, change, tmp_path)
    assert f"loops.{name}.batch_progress is [] in the checkpoint" in refusal(path, capsys, subcommand)


def without_optimizer(checkpoint: dict[str, Any]) -> None:
    """As `ModelCheckpoint(save_weights_only=True)` writes it."""
    for name in WEIGHTS_ONLY:
        del checkpoint[name]


def test_weights_alone_do_not_go_on(saved: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(saved, without_optimizer, tmp_path)
    wanted = "the checkpoint of a whole run, to go on training: this one has no optimizer_states"
    assert refusal(path, capsys) == f"error: ckpt_path is {path}; it must be {wanted}.\n"


@pytest.mark.parametrize("subcommand", ["validate", slow("test")])
def test_weights_alone_can_be_looked_at(subcommand: str, saved: dict[str, Any], tmp_path: Path) -> None:
    path = written(saved, without_optimizer, tmp_path)
    place = f"--trainer.logger.init_args.save_dir={tmp_path / 'runs'}"
    assert cli.main([subcommand, CONFIG, place, f"--ckpt_path={path}"]) == 0
    if subcommand == "validate":
        assert len(read_census(run_of(tmp_path / "runs"))) == 1
