"""On Windows, which is only imitated here, a run goes on without SIGHUP and without our C++ part."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.objective import build
from src.runs import folder
from tests.running import ROOT, read_census, run_cli, run_of


def test_a_run_falls_back_to_tensor_operations_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    build.library.cache_clear()
    for module in (build, folder):  # Python's own modules would take it at its word
        monkeypatch.setattr(module, "sys", SimpleNamespace(platform="win32", stderr=sys.stderr))
    try:
        assert run_cli(tmp_path, max_steps=20) == 0
    finally:
        build.library.cache_clear()
    sentence = (
        "On Windows the objective runs on torch operations, many times slower for stacks; WSL has its C++ part.\n"
    )
    assert capfd.readouterr().err.count(sentence) == 1
    assert len(read_census(run_of(tmp_path))) == 1


def test_signals_that_the_system_does_not_know_are_left_out() -> None:
    code = "import signal; del signal.SIGHUP; from src.stopping import STOPPING; print(*map(int, STOPPING))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(int(signal.SIGINT)), str(int(signal.SIGTERM))]
