"""Builds by a shell script in the place of a C++ compiler, and caches that are not as they should be."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from src.objective import build
from src.objective.loss_and_gradient import losses_and_gradients, reference_losses

INPUTS = torch.ones(3, 2, 6), torch.zeros(3, 6), torch.eye(6)
SOMEONE = 12345  # a user's number

# Ctrl-C is not heeded by default in a process that was started in the background.
ASK = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import build; print(build.library())"


def compiler_script(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a shell script the compiler. It finds the file to write as the argument behind -o."""
    script = folder / "compiler"
    find_output = 'while [ "$1" != -o ]; do shift; done; output=$2'
    script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\narguments="$*"\n{find_output}\n{body}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(script))
    return folder / "calls"


def n_calls(folder: Path) -> int:
    """How often the script was asked."""
    calls = folder / "calls"
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def kept(library: Path, cache: Path) -> Path:
    """Put the library where an earlier build by the same compiler would have left it."""
    cache.mkdir(mode=0o700, exist_ok=True)
    path = cache / build._name(build._build_key(), library)
    shutil.copy(library, path)
    path.chmod(0o700)
    return path


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make it seem another user's, which only root could do in truth."""
    truth = Path.stat

    def with_another_owner(self: Path, **options: Any) -> os.stat_result:
        status = truth(self, **options)
        return os.stat_result((*status[:4], SOMEONE, *status[5:])) if self == path else status

    monkeypatch.setattr(Path, "stat", with_another_owner)


def cannot(*arguments: Any, **options: Any) -> Any:
    """In the place of a function, it fails as on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


def without_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, this test's own: where a build goes that cannot be kept."""
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return temporary


def another_process() -> "subprocess.Popen[str]":
    """It asks for the library, without torch, whose import takes seconds. Its input stays open."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-c", ASK], cwd=Path(build.__file__).parent, text=True, **pipes)


def assert_losses_are_right() -> None:
    torch.testing.assert_close(losses_and_gradients(*INPUTS)[0], reference_losses(*INPUTS))
