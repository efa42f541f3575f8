"""The kernel as a library: `cpp/`, built once with the machine's own C++ compiler, kept in the user's cache.

Another policy, or a decoder of its own, makes another library; each is known by its content.

A library runs whatever is in it. So it is loaded only from where no one but the user can write, and only undamaged.
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

SOURCES = Path(__file__).parent / "cpp"
POLICY = "policy.h"
FUNCTIONS = ("solve_float32", "solve_float64")
SWITCH = "TOY_SUPERPOSITION_FUSED"  # 0 in the environment: do without
COMPILERS = ("c++", "g++", "clang++")
MAX_HIDDEN = 16  # beyond it a matrix product is the better way
FLAGS = ("-O2", "-std=c++17", "-shared", "-fPIC", "-pthread", f"-DMAX_HIDDEN={MAX_HIDDEN}")
OPTIONS: tuple[tuple[str, ...], ...] = (("-march=native",), ())  # this machine's vector instructions, if it can
TIMEOUT = 300  # seconds for a compiler that takes a few
ABANDONED = 24 * 3600  # seconds after which a folder to build in is one whose build was killed
WORK = "toy-superposition-build-"  # how the names of those folders begin
ROOM = 2**20  # bytes, several times what a library takes
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Variant(NamedTuple):
    """What is built: by default the post's model, for all sizes."""

    name: str = ""  # the model's, for messages
    policy: str = ""  # the text of the header that the library includes as POLICY
    main: str = "fused.cpp"  # the source that is compiled
    options: tuple[str, ...] = ()  # of the compiler, the definitions that `cpp/fused.cpp` lists


THE_POSTS = Variant()


@contextlib.contextmanager
def said(message: str) -> Iterator[None]:
    """Print the message, and go on."""
    _say(message)
    yield


# Shows a message for as long as a build takes. The command line puts a spinner here.
meanwhile: Callable[[str], contextlib.AbstractContextManager[Any]] = said


@functools.cache
def library(variant: Variant = THE_POSTS) -> ctypes.CDLL | None:
    """The built library, or None, with a message, where it cannot be had."""
    if os.environ.get(SWITCH) == "0":
        return None
    if sys.platform == "win32":
        _say("On Windows the objective runs on torch operations, many times slower for stacks; WSL has its C++ part.")
        return None
    try:
        key = _build_key(variant)
        return _kept(key) or _build(key, variant)
    except OSError as error:
        _say(f"Without its C++ part ({error}) the objective runs on torch operations, many times slower for stacks.")
        return None


def cache_folder() -> Path:
    """Where builds are kept: `toy-superposition` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "toy-superposition"


def _build_key(variant: Variant = THE_POSTS) -> str:
    """Names what a build depends on: the source, and the machine whose instructions it may use."""
    machine = [platform.system(), platform.machine()]
    with contextlib.suppress(OSError):  # no such file but on Linux
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        machine += sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    sources = [path.read_bytes() for path in sorted(SOURCES.iterdir()) if path.suffix in (".cpp", ".h")]
    parts = (sources, FLAGS, OPTIONS, os.environ.get("CXX"), machine, *variant[1:])
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _name(key: str, path: Path) -> str:
    """What a library is called where it is kept. The digest of its content shows later that it is still whole."""
    return f"fused-{key}-{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.so"


def _kept(key: str) -> ctypes.CDLL | None:
    """An earlier build, if one can be trusted. One that cannot is deleted."""
    with contextlib.suppress(OSError, RuntimeError):  # a cache that cannot be used; `_build` meets and says it again
        for path in _own_cache().glob(f"fused-{key}-*.so"):
            try:
                return _load(path, key)
            except OSError as error:
                path.unlink(missing_ok=True)
                _say(f"A build of the objective's C++ part was deleted: {error}.")
    return None


def _own_cache() -> Path:
    """The cache folder, there and closed to others. RuntimeError: there is no home folder."""
    folder = cache_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is another user's")
    if status.st_mode & WRITABLE_BY_OTHERS:
        folder.chmod(stat.S_IMODE(status.st_mode) & ~WRITABLE_BY_OTHERS)
        if folder.stat().st_mode & WRITABLE_BY_OTHERS:  # a file system without permissions
            raise PermissionError(f"others can write in {folder}")
        for path in folder.glob("fused-*"):
            path.unlink(missing_ok=True)
        _say(f"Others could write in {folder}: it was closed to them, and the builds in it were deleted.")
    return folder


def _load(path: Path, key: str) -> ctypes.CDLL:
    """Load a library that is whole, the user's own, and where only the user can write."""
    status = path.lstat()
    if not (stat.S_ISREG(status.st_mode) and _is_own(status) and _is_own(path.parent.stat())):
        raise PermissionError(f"{path} may be someone else's")
    if path.name != _name(key, path):
        raise OSError(f"{path} is damaged")
    loaded = ctypes.CDLL(str(path))
    missing = [name for name in FUNCTIONS if not hasattr(loaded, name)]
    if missing:
        raise OSError(f"{path} is without {' and '.join(missing)}")
    return loaded


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & WRITABLE_BY_OTHERS


def _build(key: str, variant: Variant) -> ctypes.CDLL:
    """Compile, load, and keep what could be loaded. It appears in the cache whole or not at all."""
    compiler = _compiler()
    cache = _usable_cache()
    times = "for this run alone" if cache is None else "once for this machine"
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=WORK, dir=cache, ignore_cleanup_errors=True) as folder:
        built = Path(folder) / "fused.so"
        part = "the objective's C++ part" + (f" for {variant.name}" if variant.name else "")
        with meanwhile(f"Building {part} with {shlex.join(compiler)}, {times} ..."):
            options = _compile(compiler, built, variant)
        built.chmod(0o700)  # whatever the umask says
        built = built.rename(built.with_name(_name(key, built)))
        loaded = _load(built, key)
        kept = None if cache is None else _keep(built, cache)
    without = " ".join(option for option in OPTIONS[0] if option not in options)
    details = f"{f', without {without}' if without else ''}{f': {kept}' if kept else ''}"
    _say(f"Built in {time.perf_counter() - start:.0f} s{details}")
    return loaded


def _usable_cache() -> Path | None:
    """The cache folder if a build can be kept there; without builds that were killed."""
    try:
        folder = _own_cache()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
    except (OSError, RuntimeError) as error:
        _say_not_kept(error)
        return None
    for path in folder.glob(f"{WORK}*"):
        with contextlib.suppress(OSError):  # another process deletes it too
            if path.stat().st_mtime < time.time() - ABANDONED:
                shutil.rmtree(path)
    return folder


def _keep(built: Path, cache: Path) -> Path | None:
    """Move it to the cache, and say where it is then."""
    try:
        return built.replace(cache / built.name)
    except OSError as error:
        _say_not_kept(error)
        return None


def _compiler() -> list[str]:
    """The command in `$CXX`, or the first of `COMPILERS` that is there."""
    chosen = os.environ.get("CXX", "").strip()
    if not chosen:
        found = next(filter(shutil.which, COMPILERS), None)
        if found is None:
            raise OSError(f"no C++ compiler: {' or '.join(COMPILERS)}")
        return [found]
    with contextlib.suppress(ValueError):  # a quote without its other
        command = shlex.split(chosen)
        if shutil.which(command[0]):
            return command
    raise OSError(f"CXX is {chosen}; it must be a command of this machine")


def _compile(compiler: list[str], built: Path, variant: Variant) -> tuple[str, ...]:
    """With the first options that this compiler takes, which are returned."""
    own = list(variant.options)
    if variant.policy:
        (built.parent / POLICY).write_text(variant.policy)
        own += [f'-DPOLICY="{POLICY}"', f"-I{SOURCES}", f"-I{built.parent}"]
    for options in OPTIONS:
        status, messages = _run([*compiler, *FLAGS, *options, *own, "-o", str(built), str(SOURCES / variant.main)])
        if status == 0:
            return options
    reasons = [line for line in messages.splitlines() if "error" in line] or ["it failed"]
    raise OSError(f"{shlex.join(compiler)}: {reasons[0]}")


def _run(command: list[str]) -> tuple[int, str]:
    """Its exit status and messages. It has `TIMEOUT` seconds; neither it nor its children outlive the wait for it."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # so that its children can be stopped with it
    ) as process:
        try:
            _, messages = process.communicate(timeout=TIMEOUT)
        except BaseException as error:  # Ctrl-C too, which does not reach another session
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError(f"{command[0]} was stopped after {TIMEOUT} s") from None
            raise
    return process.returncode, messages


def _say_not_kept(error: Exception) -> None:
    _say(f"A build of the objective's C++ part cannot be kept: {error}.")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
