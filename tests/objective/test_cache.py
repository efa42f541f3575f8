"""Which of the kept libraries are believed. No test compiles the C++ part."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from src.objective import build
from tests.objective.builds import (
    assert_losses_are_right,
    compiler_script,
    give_away,
    kept,
    n_calls,
)


def test_a_kept_library_is_loaded_without_a_compiler(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler_script(empty_cache.parent, "exit 1", monkeypatch)
    kept(built, empty_cache)
    assert build.library() is not None
    assert n_calls(empty_cache.parent) == 0
    assert capsys.readouterr().err == ""


def test_what_is_kept_is_closed_to_others_whatever_the_umask(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"; chmod 777 "$output"', monkeypatch)
    umask = os.umask(0)
    try:
        assert build.library() is not None
    finally:
        os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in (empty_cache, *empty_cache.iterdir())} == {0o700}


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    return content[:-1000] + bytes(byte ^ 1 for byte in content[-1000:])


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [truncated, flipped, emptied])
def test_a_damaged_library_is_not_loaded_but_deleted_and_built_anew(
    damage: Callable[[bytes], bytes],
    built: Path,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    path = kept(built, empty_cache)
    path.write_bytes(damage(path.read_bytes()))
    assert build.library() is not None
    assert f"was deleted: {path} is damaged." in capsys.readouterr().err
    assert list(empty_cache.iterdir()) == [path]
    assert path.read_bytes() == built.read_bytes()
    assert_losses_are_right()


def test_a_library_named_as_they_were_before_is_not_loaded(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    empty_cache.mkdir(mode=0o700)
    (empty_cache / f"fused-{build._build_key()}.so").write_text("nonsense")
    assert build.library() is not None
    assert n_calls(empty_cache.parent) == 1


def test_a_kept_library_without_its_functions_is_deleted_and_built_anew(
    built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    path = kept(Path(torch._C.__file__), empty_cache)
    assert build.library() is not None
    assert f"was deleted: {path} is without solve_float32 and solve_float64." in capsys.readouterr().err
    assert n_calls(empty_cache.parent) == 1
    assert not path.exists()


@pytest.mark.parametrize("kind", ["writable by others", "another's", "a link", "a pipe"])
def test_a_library_that_may_be_another_user_s_is_not_loaded_but_built_anew(
    kind: str, built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    path = kept(built, empty_cache)
    if kind == "writable by others":
        path.chmod(0o770)
    elif kind == "another's":
        give_away(path, monkeypatch)
    else:
        path.unlink()
        path.symlink_to(built) if kind == "a link" else os.mkfifo(path, 0o700)
    assert build.library() is not None
    assert f"was deleted: {path} may be someone else's." in capsys.readouterr().err
    assert n_calls(empty_cache.parent) == 1
    monkeypatch.undo()
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o775, 0o757], ids=oct)
def test_a_cache_that_others_can_write_is_closed_and_its_builds_are_not_loaded(
    mode: int, built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler_script(empty_cache.parent, f'cp {built} "$output"', monkeypatch)
    kept(built, empty_cache)
    (empty_cache / "fused-of-another-machine.so").touch()
    empty_cache.chmod(mode)
    assert build.library() is not None
    assert capsys.readouterr().err.startswith(f"Others could write in {empty_cache}: it was closed to them")
    assert empty_cache.stat().st_mode & 0o777 == mode & 0o755
    assert n_calls(empty_cache.parent) == 1
    assert len(list(empty_cache.iterdir())) == 1


PLANTED = """
#include <stdio.h>
__attribute__((constructor)) static void run(void) { fclose(fopen("%s", "w")); }
void solve_float32(const void *problem) {}
void solve_float64(const void *problem) {}
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o700, 0o777], ids=["another's cache", "a cache that others can write"])
def test_what_another_user_planted_is_not_run(
    mode: int, built: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    folder = empty_cache.parent
    (folder / "planted.c").write_text(PLANTED % (folder / "it ran"))
    planted = folder / "planted.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", planted, folder / "planted.c"], check=True)
    compiler_script(folder, f'cp {built} "$output"', monkeypatch)
    kept(planted, empty_cache)
    empty_cache.chmod(mode)
    if mode == 0o700:
        give_away(empty_cache, monkeypatch)
    assert build.library() is not None
    assert n_calls(folder) == 1
    assert not (folder / "it ran").exists()
    ctypes.CDLL(str(planted))
    assert (folder / "it ran").exists()
