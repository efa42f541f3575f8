"""How the C++ part of the objective is built, and done without. No test here but the slow one compiles."""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import psutil
import pytest
import torch

from src.objective import build, kernel
from src.objective.loss_and_gradient import losses_and_gradients
from tests.objective.builds import (
    INPUTS,
    another_process,
    assert_losses_are_right,
    compiler_script,
    n_calls,
)

# The compiler and a child of its own, which write their numbers and would go on for a minute.
HANG = "sleep 60 & echo $$ $! > {0}/unfinished; mv {0}/unfinished {0}/processes; wait"
PATIENCE = 20  # seconds in which another process does what takes it a tenth of one


def seen(path: Path) -> str:
    """What is in a file, as soon as it is there."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return path.read_text()


def assert_stopped(processes: Path) -> None:
    """Ended, if not yet waited for by the process that inherits it."""
    deadline = time.monotonic() + PATIENCE
    for number in map(int, seen(processes).split()):
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_the_first_use_builds_with_a_message_and_the_second_does_not(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    assert_losses_are_right()
    assert "Building the objective's C++ part with" in capsys.readouterr().err
    assert [path.suffix for path in empty_cache.iterdir()] == [".so"]
    build.library.cache_clear()
    assert_losses_are_right()
    assert capsys.readouterr().err == ""
    assert len(calls.read_text().splitlines()) == 1


def test_a_compiler_without_native_instructions_is_asked_for_less(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse = 'case "$arguments" in *-march*) exit 1;; esac'
    body = f'{refuse}; cp {built} "$output"'
    calls = compiler_script(empty_cache.parent, body, monkeypatch)
    assert build.library() is not None
    assert len(calls.read_text().splitlines()) == len(build.OPTIONS)
    assert "without -march=native:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('echo "note: in fused.cpp" >&2; echo "fused.cpp:1: error: what is this" >&2; exit 1', "error: what is this"),
        ("exit 1", "it failed"),
        ('echo nonsense > "$output"', "fused-"),
        (f'cp {torch._C.__file__} "$output"', "is without solve_float32 and solve_float64"),
        ("exit 0", "No such file"),
        ('echo "fatal error: writing: No space left on device" >&2; exit 1', "No space left on device"),
    ],
    ids=["with a reason", "without a reason", "wrongly", "another library", "nothing", "no space"],
)
def test_a_compiler_that_fails_is_done_without_and_said_once(
    body: str,
    reason: str,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiler_script(empty_cache.parent, body, monkeypatch)
    assert_losses_are_right()
    *_, message = capsys.readouterr().err.splitlines()
    assert message.startswith("Without its C++ part")
    assert reason in message
    assert list(empty_cache.iterdir()) == []
    assert_losses_are_right()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("chosen", ["", " "], ids=["not set", "blank"])
def test_no_compiler_is_done_without_and_said(
    chosen: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", chosen)
    monkeypatch.setenv("PATH", str(empty_cache))
    assert_losses_are_right()
    (message,) = capsys.readouterr().err.splitlines()
    assert "no C++ compiler: c++ or g++ or clang++" in message


@pytest.mark.parametrize("chosen", ['g++ "', "no-such-compiler -m64", "''"])
def test_a_compiler_that_is_no_command_is_done_without_and_said(
    chosen: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", chosen)
    assert_losses_are_right()
    (message,) = capsys.readouterr().err.splitlines()
    assert f"Without its C++ part (CXX is {chosen}; it must be a command" in message


def test_a_compiler_can_come_with_arguments(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    monkeypatch.setenv("CXX", f"{empty_cache.parent / 'compiler'} -m64")
    assert build.library() is not None
    assert calls.read_text().startswith("-m64 ")


def test_a_compiler_that_hangs_is_stopped_with_its_children_and_done_without(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "TIMEOUT", 1)
    compiler_script(empty_cache.parent, HANG.format(empty_cache.parent), monkeypatch)
    assert_losses_are_right()
    *_, message = capsys.readouterr().err.splitlines()
    assert message.startswith("Without its C++ part")
    assert "compiler was stopped after 1 s" in message
    assert_stopped(empty_cache.parent / "processes")
    assert list(empty_cache.iterdir()) == []
    assert n_calls(empty_cache.parent) == 1


def test_a_compiler_that_reads_finds_nothing_to_wait_for(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_script(empty_cache.parent, f'cat; cp {built} "$output"', monkeypatch)
    with another_process() as process:
        try:
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert len(list(empty_cache.glob("fused-*"))) == 1


def test_ctrl_c_stops_the_compiler_and_leaves_nothing(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler_script(empty_cache.parent, HANG.format(empty_cache.parent), monkeypatch)
    with another_process() as process:
        try:
            seen(empty_cache.parent / "processes")
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == -signal.SIGINT
        finally:
            process.kill()
    assert_stopped(empty_cache.parent / "processes")
    assert list(empty_cache.iterdir()) == []


def test_a_build_that_was_killed_leaves_no_library_and_is_cleared_away_a_day_later(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_script(empty_cache.parent, HANG.format(empty_cache.parent), monkeypatch)
    with another_process() as process:
        try:
            compiler = int(seen(empty_cache.parent / "processes").split()[0])
        finally:
            process.kill()
    os.killpg(compiler, signal.SIGKILL)
    (left,) = empty_cache.iterdir()
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    assert build.library() is not None
    assert left.exists()
    for path in empty_cache.glob("fused-*"):
        path.unlink()
    os.utime(left, (0, time.time() - build.ABANDONED - 60))
    build.library.cache_clear()
    assert build.library() is not None
    assert not left.exists()


def test_two_builds_at_once_are_both_whole(built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = empty_cache.parent
    wait_for_both = f"while [ $(wc -l < {folder}/calls) -lt 2 ]; do sleep 0.01; done"
    compiler_script(folder, f'{wait_for_both}; cp {built} "$output"', monkeypatch)
    with another_process() as one, another_process() as other:
        try:
            answers = [process.communicate(timeout=PATIENCE)[0] for process in (one, other)]
        finally:
            one.kill()
            other.kill()
    assert all("CDLL" in answer for answer in answers)
    (library,) = empty_cache.iterdir()
    assert library.read_bytes() == built.read_bytes()
    assert n_calls(folder) == 2


def test_it_can_be_switched_off(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(build.SWITCH, "0")
    assert not kernel.serves(INPUTS[0])
    assert_losses_are_right()
    assert capsys.readouterr().err == ""


def test_it_serves_only_what_it_can(built: Path) -> None:
    assert kernel.serves(torch.empty(3, 2, 6))
    assert kernel.serves(torch.empty(3, build.MAX_HIDDEN, 6, dtype=torch.float64))
    assert not kernel.serves(torch.empty(3, build.MAX_HIDDEN + 1, 6))
    assert not kernel.serves(torch.empty(3, 2, 6, dtype=torch.bfloat16))
    assert not kernel.serves(torch.empty(3, 2, 6, device="meta"))


@pytest.mark.slow
@pytest.mark.parametrize("options", build.OPTIONS, ids=" ".join)
def test_every_set_of_options_builds_the_same_function(
    options: tuple[str, ...], empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not any(shutil.which(name) for name in build.COMPILERS):
        pytest.skip("there is no C++ compiler")
    monkeypatch.setattr(build, "OPTIONS", (options,))
    assert build.library() is not None
    W, b = torch.randn(9, 2, 20), torch.randn(9, 20)
    for n_features in (6, 20):
        inputs = W[..., :n_features], b[:, :n_features], torch.rand(50, n_features)
        results = losses_and_gradients(*inputs)
        monkeypatch.setattr(kernel, "serves", lambda W: False)
        torch.testing.assert_close(results, losses_and_gradients(*inputs))
        monkeypatch.undo()
