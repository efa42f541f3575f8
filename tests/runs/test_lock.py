"""A folder is one process's alone, for as long as that process lives."""

import errno
import fcntl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from src.errors import ConfigError
from src.runs.lock import LOCK, claim
from tests.running import ROOT, on_linux

CLAIM = (
    "from pathlib import Path; from src.runs.lock import claim; from src.errors import ConfigError; import os, sys\n"
)
HOLDS = f"{CLAIM}with claim(Path(sys.argv[1]), 'x', 'y'): print('held', flush=True); sys.stdin.read()"
# Each time it holds the folder it makes a file that must not be there.
COMES_AND_GOES = f"""{CLAIM}
n_held, folder = 0, Path(sys.argv[1])
while n_held < 300:
    try:
        with claim(folder, "x", "y"):
            os.close(os.open(folder / "mine", os.O_CREAT | os.O_EXCL))
            os.unlink(folder / "mine")
            n_held += 1
    except ConfigError:
        pass
"""


def process(script: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def refusal(folder: Path) -> str | None:
    """What is said to who claims the folder now."""
    try:
        with claim(folder, "--out", "a folder in which no other sweep runs"):
            return None
    except ConfigError as error:
        return str(error)


def is_free(folder: Path) -> bool:
    return refusal(folder) is None


def test_a_folder_is_held_until_its_process_ends_even_by_sigkill(tmp_path: Path) -> None:
    with process(HOLDS, tmp_path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert refusal(tmp_path) == f"--out is {tmp_path}; it must be a folder in which no other sweep runs."
        other.kill()
        other.wait()
    assert (tmp_path / LOCK).exists()  # nobody was there to remove it
    assert is_free(tmp_path)


def test_a_folder_is_held_against_this_process_too_and_others_are_free(tmp_path: Path) -> None:
    with ExitStack() as held:
        for name in ("a", "b"):
            held.enter_context(claim(tmp_path / name, "--out", "free"))
        assert not is_free(tmp_path / "a")
        assert not is_free(tmp_path / "b")
        assert is_free(tmp_path / "c")
    assert is_free(tmp_path / "a")


def test_nothing_is_left_in_the_folder_and_what_the_block_raises_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claim(tmp_path, "--out", "free"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    assert is_free(tmp_path)


def test_a_folder_that_goes_while_it_is_held_is_no_error(tmp_path: Path) -> None:
    with claim(tmp_path / "a", "--out", "free"):
        (tmp_path / "a" / LOCK).unlink()
        (tmp_path / "a").rmdir()


@pytest.mark.slow
def test_removing_the_file_never_lets_two_in(tmp_path: Path) -> None:
    others = [process(COMES_AND_GOES, tmp_path) for _ in range(3)]
    assert [other.wait(timeout=60) for other in others] == [0, 0, 0]
    for other in others:
        other.communicate()


def test_a_folder_that_cannot_be_written_to_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refusal(tmp_path / "file")
    assert said is not None
    assert said.startswith(f"--out is {tmp_path / 'file'}; it must be a folder that can be written to: ")


@on_linux
def test_a_folder_in_which_no_file_can_be_made_is_not_said_to_be_held() -> None:
    said = refusal(Path("/proc"))
    assert said is not None
    assert said.startswith("--out is /proc; it must be a folder that can be written to: ")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_is_used_without(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(fd: int, operation: int) -> None:
        raise OSError(number, "no locks")

    monkeypatch.setattr(fcntl, "flock", fails)
    assert is_free(tmp_path)
