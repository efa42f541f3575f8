"""How the C++ part of the objective is built, kept, and done without. No test here but the slow one compiles."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from src.objective import build, kernel
from src.objective.loss_and_gradient import losses_and_gradients, reference_losses

INPUTS = torch.ones(3, 2, 6), torch.zeros(3, 6), torch.eye(6)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache without a build, for this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.library.cache_clear()
    yield tmp_path / "toy-superposition"
    build.library.cache_clear()


@pytest.fixture(scope="module")
def built() -> Path:
    """The real library."""
    build.library.cache_clear()
    if build.library() is None:
        pytest.skip("there is no C++ compiler")
    return build.cache_folder() / f"fused-{build._build_key()}.so"


def compiler_script(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a shell script the compiler. It finds the file to write as the argument behind -o."""
    script = folder / "compiler"
    find_output = 'while [ "$1" != -o ]; do shift; done; output=$2'
    script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\narguments="$*"\n{find_output}\n{body}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(script))
    return folder / "calls"


def assert_losses_are_right() -> None:
    torch.testing.assert_close(losses_and_gradients(*INPUTS)[0], reference_losses(*INPUTS))


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
    ],
    ids=["with a reason", "without a reason", "wrongly"],
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
    message = capsys.readouterr().err
    assert "Without its C++ part" in message
    assert reason in message
    assert_losses_are_right()
    assert capsys.readouterr().err == ""


def test_no_compiler_is_done_without_and_said(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(empty_cache))
    assert_losses_are_right()
    assert "no C++ compiler: c++ or g++ or clang++" in capsys.readouterr().err


def test_a_compiler_can_come_with_arguments(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    monkeypatch.setenv("CXX", f"{empty_cache.parent / 'compiler'} -m64")
    assert build.library() is not None
    assert calls.read_text().startswith("-m64 ")


def test_a_cache_that_cannot_be_written_is_done_without(empty_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_cache.write_text("a file where the folder should be")
    assert_losses_are_right()
    assert "Without its C++ part" in capsys.readouterr().err


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
