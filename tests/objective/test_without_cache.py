"""What is done where no build can be kept. No test compiles."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.objective import build
from tests.objective.builds import (
    assert_losses_are_right,
    cannot,
    compiler_script,
    give_away,
    kept,
    n_calls,
    without_cache,
)

CANNOT_BE_KEPT = "A build of the objective's C++ part cannot be kept: "


def assert_builds_for_this_run_alone(temporary: Path, capsys: pytest.CaptureFixture[str], reason: str) -> None:
    """And deletes what it built."""
    assert build.library() is not None
    first, second, third = capsys.readouterr().err.splitlines()
    assert first.startswith(CANNOT_BE_KEPT)
    assert reason in first
    assert "for this run alone" in second
    assert third.startswith("Built in")
    assert list(temporary.iterdir()) == []
    assert_losses_are_right()


@pytest.mark.parametrize("chmod", [cannot, lambda path, mode: None], ids=["fails", "does nothing"])
def test_a_cache_that_cannot_be_closed_to_others_is_not_used(
    chmod: Callable[..., Any],
    built: Path,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    path = kept(built, empty_cache)
    empty_cache.chmod(0o777)
    real = Path.chmod
    monkeypatch.setattr(Path, "chmod", lambda self, mode: (chmod if self == empty_cache else real)(self, mode))
    temporary = without_cache(empty_cache.parent, monkeypatch)
    reason = "No space left" if chmod is cannot else f"others can write in {empty_cache}"
    assert_builds_for_this_run_alone(temporary, capsys, reason)
    assert n_calls(empty_cache.parent) == 1
    assert list(empty_cache.iterdir()) == [path]


def test_another_user_s_cache_is_not_used_and_left_as_it_is(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    path = kept(built, empty_cache)
    empty_cache.chmod(0o777)
    give_away(empty_cache, monkeypatch)
    temporary = without_cache(empty_cache.parent, monkeypatch)
    assert_builds_for_this_run_alone(temporary, capsys, f"{empty_cache} is another user's")
    assert n_calls(empty_cache.parent) == 1
    assert list(empty_cache.iterdir()) == [path]
    assert empty_cache.stat().st_mode & 0o777 == 0o777


def a_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write_text("a file where the folder should be")


def a_full_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no device that is full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: full.open("wb"))


def no_home(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)


CAUSES = pytest.mark.parametrize(
    ("cause", "reason"),
    [(a_file, "File exists"), (a_full_disk, "No space left"), (no_home, "Could not determine home directory")],
)


@CAUSES
def test_without_a_cache_the_build_is_for_this_run_alone(
    cause: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
    built: Path,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    temporary = without_cache(empty_cache.parent, monkeypatch)
    cause(empty_cache, monkeypatch)
    assert_builds_for_this_run_alone(temporary, capsys, reason)


@CAUSES
def test_without_a_folder_for_temporary_files_either_it_is_done_without(
    cause: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
    built: Path,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    without_cache(empty_cache.parent, monkeypatch).rmdir()
    cause(empty_cache, monkeypatch)
    assert_losses_are_right()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(CANNOT_BE_KEPT)
    assert reason in first
    assert second.startswith("Without its C++ part (")


def test_a_build_for_which_the_disk_turns_out_full_is_used_and_not_kept(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    monkeypatch.setattr(os, "replace", cannot)
    assert build.library() is not None
    assert f"{CANNOT_BE_KEPT}[Errno 28] No space left on device." in capsys.readouterr().err
    assert list(empty_cache.iterdir()) == []
