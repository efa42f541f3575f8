"""Where files cannot be written a run ends in one sentence with status 74, and goes on once they can be again."""

import errno
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from src.errors import STORAGE
from src.figures import elements
from src.runs.folder import CENSUS, CHECKPOINT
from tests.faults.runs import OFTEN, finish, start, wait_for_checkpoint
from tests.running import run_cli, run_of, state

STEPS = "--trainer.max_steps=3000"


def largest_file(size: int) -> dict[str, Any]:
    """Options of a process whose files cannot grow beyond this size: what a full disk does, for a few of them."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))}


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own, mounted with the options that the test gives."""
    folder = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(folder)]
    try:
        is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        is_mounted = False
    if not is_mounted:
        folder.rmdir()
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "size", "file"),
    [((), 250_000, "events.out.tfevents"), ((OFTEN, "--model.n_instances=8"), 22_000, "last.ckpt")],
    ids=["while recording", "while saving a checkpoint"],
)
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_from_its_checkpoint(
    arguments: tuple[str, ...], size: int, file: str, tmp_path: Path
) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert finish(whole, STEPS, *arguments).returncode == 0
    ended = finish(part, STEPS, *arguments, **largest_file(size))
    assert ended.returncode == STORAGE
    assert re.fullmatch(rf"error: File too large: \S+{file}\S*\n", ended.stderr)
    saved = re.search(r"Resume from step ([\d,]+) with the same command and  --ckpt_path (\S+)", ended.stdout)
    assert saved is not None
    assert not list(part.rglob("*.part"))
    assert torch.load(saved[2], weights_only=True)["global_step"] == int(saved[1].replace(",", ""))
    assert finish(part, STEPS, *arguments, f"--ckpt_path={saved[2]}").returncode == 0
    expected, found = run_of(whole), run_of(part, version=1)
    assert all(torch.equal(values, state(found)[name]) for name, values in state(expected).items())
    assert (expected / CENSUS).read_bytes() == (found / CENSUS).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("disk", ["size=300k"], indirect=True)
def test_a_disk_without_room_is_one_sentence(disk: Path) -> None:
    ended = finish(disk, STEPS)
    assert ended.returncode == STORAGE
    assert re.fullmatch(r"error: No space left on device: \S+\n", ended.stderr)
    assert torch.load(run_of(disk) / CHECKPOINT, weights_only=True)["global_step"] > 0


@pytest.mark.parametrize("disk", ["ro"], indirect=True)
def test_a_disk_that_is_read_only_is_refused(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(disk) == 2
    wanted = "it must be one that can be made and written to: Read-only file system."
    assert capsys.readouterr().err == f"error: the run folder is '{run_of(disk)}'; {wanted}\n"


@pytest.mark.slow
def test_pictures_that_did_not_fit_can_be_had_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, content: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(elements, "write_whole", full)
        assert run_cli(tmp_path) == STORAGE
    out, err = capsys.readouterr()
    picture = run_of(tmp_path) / "polygons.png"
    assert err == f"error: No space left on device: {picture}\n"
    assert f"Resume from step 120 with the same command and  --ckpt_path {run_of(tmp_path) / CHECKPOINT}" in out
    assert run_cli(tmp_path, f"--ckpt_path={run_of(tmp_path) / CHECKPOINT}") == 0
    assert (run_of(tmp_path, version=1) / "formation.svg").is_file()


@pytest.mark.slow
def test_a_run_needs_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may be full, or on another file system than the run, so that what is moved from it is copied."""

    def full(*arguments: Any, **options: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("mkstemp", "mkdtemp", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, full)
    assert run_cli(tmp_path) == 0
    assert (run_of(tmp_path) / CHECKPOINT).is_file()


@pytest.mark.slow
def test_a_run_whose_folder_is_deleted_saves_its_state_there_and_says_so(tmp_path: Path) -> None:
    run = start(tmp_path, "--trainer.max_steps=10000000")
    checkpoint = wait_for_checkpoint(tmp_path, run)
    shutil.rmtree(run_of(tmp_path), ignore_errors=True)
    shutil.rmtree(run_of(tmp_path), ignore_errors=True)  # something may have been made meanwhile
    out, err = run.communicate(timeout=60)
    assert run.returncode == STORAGE
    assert err == f"error: the run folder was removed while the run wrote to it: {run_of(tmp_path)}\n"
    step = torch.load(checkpoint, weights_only=True)["global_step"]
    assert f"Resume from step {step:,} with the same command" in out
    steps = f"--trainer.max_steps={step + 50}"
    assert finish(tmp_path, steps, f"--ckpt_path={checkpoint}").returncode == 0


@pytest.mark.parametrize("place", ["/dev/null/x", "/proc/x"])
def test_a_folder_that_cannot_be_made_is_refused(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(Path(place)) == 2
    assert re.fullmatch(
        r"error: the run folder is '\S+'; it must be one that can be made and .*\n", capsys.readouterr().err
    )


@pytest.mark.slow
def test_runs_that_start_at_once_have_a_folder_each(tmp_path: Path) -> None:
    runs = [start(tmp_path, "--trainer.max_steps=60", f"--data.seed={seed}") for seed in range(4)]
    assert [(run.communicate()[1], run.returncode) for run in runs] == [("", 0)] * 4
    folders = sorted((tmp_path / "hexagon").iterdir())
    assert [folder.name for folder in folders] == [f"version_{k}" for k in range(4)]
    assert len({(folder / "config.yaml").read_text() for folder in folders}) == 4
    assert all((folder / CENSUS).is_file() for folder in folders)


@pytest.mark.slow
def test_a_second_run_in_a_named_folder_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    named = "--trainer.logger.init_args.version=mine"
    first = start(tmp_path, named, "--trainer.max_steps=10000000")
    while not (tmp_path / "hexagon/mine" / CHECKPOINT).is_file() and first.poll() is None:
        pass
    second = finish(tmp_path, named, "--trainer.max_steps=60")
    first.kill()
    first.communicate()
    assert second.returncode == 2
    folder = tmp_path / "hexagon/mine"
    other = "one in which no other run is at work: give this run another save_dir, or trainer.default_root_dir"
    assert second.stderr == f"error: the run folder is {folder}; it must be {other}.\n"
    assert (folder / CHECKPOINT).is_file()
    assert finish(tmp_path, named, "--trainer.max_steps=60").returncode == 0
