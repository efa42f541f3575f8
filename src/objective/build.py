"""The kernel as a library: `cpp/`, built once with the machine's own C++ compiler, kept in the user's cache."""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "cpp"
MAIN = SOURCES / "fused.cpp"
SWITCH = "TOY_SUPERPOSITION_FUSED"  # 0 in the environment: do without
COMPILERS = ("c++", "g++", "clang++")
MAX_HIDDEN = 16  # beyond it a matrix product is the better way
FLAGS = ("-O2", "-std=c++17", "-shared", "-fPIC", "-pthread", f"-DMAX_HIDDEN={MAX_HIDDEN}")
OPTIONS: tuple[tuple[str, ...], ...] = (("-march=native",), ())  # this machine's vector instructions, if it can


@contextlib.contextmanager
def said(message: str) -> Iterator[None]:
    """Print the message, and go on."""
    _say(message)
    yield


# Shows a message for as long as a build takes. The command line puts a spinner here.
meanwhile: Callable[[str], contextlib.AbstractContextManager[Any]] = said


@functools.cache
def library() -> ctypes.CDLL | None:
    """The built library, or None, with a message, where it cannot be had."""
    if os.environ.get(SWITCH) == "0":
        return None
    try:
        path = cache_folder() / f"fused-{_build_key()}.so"
        if not path.exists():
            _build(path)
        return ctypes.CDLL(str(path))
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        _say(f"Without its C++ part ({error}) the objective runs on torch operations, many times slower for stacks.")
        return None


def cache_folder() -> Path:
    """Where builds are kept: `toy-superposition` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "toy-superposition"


def _build_key() -> str:
    """Names what a build depends on: the source, and the machine whose instructions it may use."""
    machine = [platform.system(), platform.machine()]
    with contextlib.suppress(OSError):  # no such file but on Linux
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        machine += sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    sources = [path.read_bytes() for path in sorted(SOURCES.iterdir()) if path.suffix in (".cpp", ".h")]
    parts = (sources, FLAGS, OPTIONS, os.environ.get("CXX"), machine)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _build(path: Path) -> None:
    """Compile into `path`, which appears whole or not at all."""
    commands = [shlex.split(os.environ["CXX"])] if os.environ.get("CXX") else [[name] for name in COMPILERS]
    compiler = next((command for command in commands if shutil.which(command[0])), None)
    if compiler is None:
        raise FileNotFoundError(f"no C++ compiler: {' or '.join(shlex.join(command) for command in commands)}")
    start = time.perf_counter()
    with meanwhile(f"Building the objective's C++ part with {shlex.join(compiler)}, once for this machine ..."):
        options = _compile(path, compiler)
    without = " ".join(option for option in OPTIONS[0] if option not in options)
    _say(f"Built in {time.perf_counter() - start:.0f} s{f', without {without}' if without else ''}: {path}")


def _compile(path: Path, compiler: list[str]) -> tuple[str, ...]:
    """With the first options that this compiler takes, which are returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        for options in OPTIONS:
            command = [*compiler, *FLAGS, *options, "-o", str(built), str(MAIN)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode == 0:
                break
        else:
            reasons = [line for line in result.stderr.splitlines() if "error" in line] or ["it failed"]
            raise OSError(f"{shlex.join(compiler)}: {reasons[0]}")
        built.replace(path)
    return options


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
