"""`--dry-run` says what a sweep will take, and leaves nothing behind."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from src.runs.folder import CENSUS
from src.sweep import __main__ as sweep
from src.sweep import trial
from src.sweep.cells import Cell
from tests.sweep.sweeping import BASE, Engine, run

START, OF_A_STEP = 3.0, 0.05  # seconds of the runs that are made up here
N_BYTES = 2_000_000


class Clock:
    """Runs that take as long as they are said to, and no time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.trials: list[tuple[int, int]] = []

    def run(self, cells: Sequence[Cell], place: Path, steps: int, n_threads: int) -> None:
        self.trials.append((len(cells), steps))
        self.now += START + OF_A_STEP * steps
        (place / "0").mkdir()
        (place / "0" / CENSUS).write_bytes(bytes(N_BYTES))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(trial, "_run", found.run)
    monkeypatch.setattr(trial.time, "monotonic", lambda: found.now)
    return found


@pytest.mark.parametrize(("n_steps", "trials"), [(10_000, [100, 1_000]), (700, [7, 70, 700]), (7, [1, 1, 7])])
def test_what_a_step_takes_is_told_from_two_trials(
    n_steps: int, trials: list[int], clock: Clock, tmp_path: Path
) -> None:
    config = {"trainer": {"max_steps": n_steps}}
    cells = [Cell("seeds", {}, {}, [], tmp_path / "seeds" / str(k), config) for k in range(5)]
    found = trial.estimate(cells, 2, 1)
    assert clock.trials == [(2, steps) for steps in trials]
    assert found.seconds == pytest.approx(START + OF_A_STEP * n_steps)
    assert (found.bytes, found.steps) == (N_BYTES, trials[-1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_it_prints_cells_commands_and_sums_and_runs_nothing(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Engine()
    folder = tmp_path / "sweep"
    steps = "--trainer.max_steps=10000"
    assert run(folder, "--grid=data.n_features=[4,5]", "--shards=5", "--jobs=2", steps, "--dry-run", engine=engine) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["n_features=4: 5 shards, 5 to run", "n_features=5: 5 shards, 5 to run"]
    assert len([line for line in lines if line.startswith("python -m src.cli fit --config=")]) == 10
    assert lines[-2:] == [
        "10 runs of about 8.38 minutes and 2 MB each: 41.9 minutes with 2 at a time on this machine, and",
        f"20 MB in {folder}. Reckoned from runs of up to 1,000 steps.",
    ]
    assert engine.ran == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_trial_runs_what_the_sweep_will_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*BASE, f"--out={tmp_path}", "--shards=5", "--trainer.max_steps=200"]
    assert sweep.main([*arguments, "--dry-run"]) == 0
    assert "Reckoned from runs of up to 200 steps." in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_trial_that_fails_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diverges = ["--model.optimizer=torch.optim.SGD", "--model.optimizer.init_args.lr=1e6", "--data.block_size=1"]
    weight_decay = "--model.optimizer.init_args.weight_decay=0"
    arguments = [*BASE, f"--out={tmp_path}", "--shards=5", "--trainer.max_steps=2000", *diverges, weight_decay]
    assert sweep.main([*arguments, "--dry-run"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: the trial failed with exit status 1: The loss became non-finite at"
    )
    assert list(tmp_path.iterdir()) == []
