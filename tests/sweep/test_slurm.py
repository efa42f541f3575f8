"""What a sweep hands to SLURM: tasks that run one shard each, and a job that merges what they leave."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src import cli
from src.errors import ConfigError
from src.runs.folder import CENSUS, CHECKPOINT, RATES, read_settings
from src.sweep import __main__ as sweep
from src.sweep.options import parse
from src.sweep.shard import read_list, run_cell
from src.sweep.slurm import submit
from tests.running import ROOT
from tests.sweep.sweeping import BASE, run

# In the place of SLURM's: runs the tasks of an array one after the other, here and now, and knows what it was given.
SBATCH = """#!/bin/sh
echo "$@" >> "$LOG"
for script; do :; done
grep '^#SBATCH' "$script" >> "$LOG"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for k in $(seq 0 "${last:-0}"); do
    SLURM_ARRAY_TASK_ID=$k bash "$script" >> "$LOG" 2>&1
    echo "status $?" >> "$LOG"
done
echo "$(grep -c parsable "$LOG");cluster"
"""
SHARDS = [*BASE, "--shards=3", "--engine=slurm"]


def scripts(folder: Path, k: int = 1) -> tuple[str, str]:
    above = folder / "slurm" / str(k)
    return (above / "array.sbatch").read_text(), (above / "merge.sbatch").read_text()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the false `sbatch`, which is now the first on the path, was given and what its tasks printed."""
    command = tmp_path / "bin" / "sbatch"
    command.parent.mkdir()
    command.write_text(SBATCH)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.chdir(ROOT)
    return tmp_path / "log"


@pytest.mark.slow
def test_the_scripts_ask_for_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--jobs=2", "--cpus-per-shard=4", "--gpus-per-shard=1", "--sbatch=--time=1:00:00 --partition='a b'"]
    assert sweep.main([*SHARDS, f"--out={tmp_path}", *asked]) == 0
    array, merge = scripts(tmp_path)
    for line in ("--array=0-2%2", "--cpus-per-task=4", "--gpus-per-task=1", "--time=1:00:00", "--signal=B:TERM@120"):
        assert f"#SBATCH {line}\n" in array
    for script in (array, merge):
        assert "#SBATCH '--partition=a b'\n" in script
    assert array.endswith(
        f'exec {sys.executable} -m src.sweep.shard {tmp_path}/slurm/1/cells.json "$SLURM_ARRAY_TASK_ID"\n'
    )
    assert merge.endswith(" --merge\n")
    assert capsys.readouterr().out.splitlines() == [
        f"array=$(sbatch --parsable {tmp_path}/slurm/1/array.sbatch)",
        f"sbatch --dependency=afterany:$array {tmp_path}/slurm/1/merge.sbatch",
    ]
    assert sweep.main([*SHARDS, f"--out={tmp_path}"]) == 0
    assert "%" not in scripts(tmp_path, 2)[0].split("--ntasks")[0]


def test_without_sbatch_submitting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="it must be left out where there is no `sbatch`"):
        parse(["--shards=2", "--engine=slurm", "--submit"], "")


def test_what_sbatch_says_is_passed_on(log: Path, tmp_path: Path) -> None:
    (tmp_path / "bin/sbatch").write_text("#!/bin/sh\necho 'sbatch: error: no such partition' >&2\nexit 1\n")
    with pytest.raises(ConfigError, match="is refused by sbatch: sbatch: error: no such partition"):
        submit(tmp_path, tmp_path)


@pytest.mark.slow
def test_tasks_and_merge_come_to_the_tables_of_one_machine(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "local", "--shards=3") == 0
    capsys.readouterr()
    assert sweep.main([*SHARDS, f"--out={tmp_path / 'slurm'}", "--submit", "--sbatch=--time=5"]) == 0
    assert capsys.readouterr().out == "submitted as job 1, and the merge after it as job 2\n"
    lines = log.read_text().splitlines()
    assert lines.count("status 0") == 4
    assert f"--parsable --dependency=afterany:1 {tmp_path}/slurm/slurm/1/merge.sbatch" in lines
    assert lines.count("#SBATCH --time=5") == 2
    assert (tmp_path / "slurm" / RATES).read_bytes() == (tmp_path / "local" / RATES).read_bytes()
    assert sweep.main([*SHARDS, f"--out={tmp_path / 'slurm'}", "--submit"]) == 0  # nothing is left to submit
    assert "merged table" in capsys.readouterr().out
    assert len(log.read_text().splitlines()) == len(lines)


@pytest.mark.slow
def test_a_task_goes_on_from_its_checkpoint(log: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "whole", "--shards=3") == 0
    arguments = [*SHARDS, f"--out={tmp_path / 'part'}"]
    assert sweep.main(arguments) == 0
    cell = read_list(tmp_path / "part/slurm/1/cells.json")[1]
    assert cli.main(["fit", *cell.arguments, "--trainer.max_steps=8"]) == 0
    (cell.folder / CENSUS).unlink()
    assert (cell.folder / CHECKPOINT).is_file()
    assert run_cell(cell) == 0
    assert cell.is_finished
    whole = tmp_path / "whole" / cell.folder.relative_to(tmp_path / "part")
    assert (cell.folder / CENSUS).read_bytes() == (whole / CENSUS).read_bytes()
    assert read_settings(cell.folder)["ckpt_path"] == str(cell.folder / CHECKPOINT)


@pytest.mark.slow
def test_a_task_that_is_told_of_its_time_limit_saves_and_stops_and_goes_on_later(tmp_path: Path) -> None:
    long = ["--trainer.max_steps=8000", f"--out={tmp_path}"]
    assert sweep.main([*SHARDS, *long]) == 0
    cell = read_list(tmp_path / "slurm/1/cells.json")[0]
    environment = {**os.environ, "SLURM_ARRAY_TASK_ID": "0"}
    script = ["bash", str(tmp_path / "slurm/1/array.sbatch")]
    task = subprocess.Popen(script, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not (cell.folder / CHECKPOINT).is_file():
        assert time.monotonic() < end
        time.sleep(0.02)
    task.terminate()  # of bash, in whose place Python is
    assert task.wait(timeout=60) == 128 + signal.SIGTERM
    assert "Stopped at step" in cell.output.read_text()
    assert not cell.is_finished
    assert subprocess.run(script, env=environment, cwd=ROOT, check=False, capture_output=True).returncode == 0
    assert cell.is_finished
