"""One example must not change, stop or outgrow the process that runs it, nor start another: what holds it back."""

import contextlib
import gc
import logging
import multiprocessing.process
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import psutil
import pytest
import rich
import torch

from src import memory
from src.errors import ConfigError
from src.objective import build

SECONDS = 60  # after which an example hangs
BYTES_FREE = 2**29  # what the memory guards of `src.memory` are told: as many on every machine
BYTES_MORE = 12 * 2**30  # of address space that an example may take: more is a MemoryError, not a dead machine
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM]
HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # as Python does


class Hang(BaseException):
    """An example took too long."""


class Started(BaseException):
    """An example would have started a process or a connection."""


class Seen:
    """What the guard saw: output, and what was prevented."""

    def __init__(self) -> None:
        self.out, self.err = "", ""
        self.prevented: list[str] = []


@contextlib.contextmanager
def guarded(folder: Path, home: Path, alone: bool = True) -> Iterator[Seen]:
    """Run what is within in this folder; everything about the process is afterwards as before.

    Args:
        folder: the working directory.
        home: the user's.
        alone: no process and no connection may be started. The first command line of a process has its parser start
            one, to find type stubs. A variant's C++ part may be built.
    """
    seen = Seen()
    with contextlib.ExitStack() as stack:
        for protection in (_state(), _of_torch(), _inside(folder, home), _logging(), _memory()):
            stack.enter_context(protection)
        stack.enter_context(_captured(seen))
        stack.enter_context(_shown())
        if alone:
            stack.enter_context(_prevented(seen))
        stack.enter_context(_in_time(seen))
        yield seen


@contextlib.contextmanager
def _in_time(seen: Seen) -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        seen.prevented.append("hang")
        raise Hang(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 5)  # again, where it was swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _prevented(seen: Seen) -> Iterator[None]:
    def instead_of(what: str) -> Any:
        def prevent(*arguments: Any, **options: Any) -> None:
            seen.prevented.append(f"{what} {arguments[1:2]}")
            raise Started(what)

        return prevent

    start, prevent_process = subprocess.Popen.__init__, instead_of("a process")

    def compile_or_prevent(process: Any, command: Any, **options: Any) -> None:
        is_compiler = isinstance(command, list) and Path(command[-1]).parent == build.SOURCES
        (start if is_compiler else prevent_process)(process, command, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", compile_or_prevent)
        patch.setattr(subprocess.Popen, "__del__", lambda self: None)
        patch.setattr(multiprocessing.process.BaseProcess, "start", instead_of("a process"))
        patch.setattr(os, "fork", instead_of("a process"))
        patch.setattr(os, "system", instead_of("a process"))
        patch.setattr(socket.socket, "connect", instead_of("a connection"))
        patch.setattr(torch.distributed, "init_process_group", instead_of("a process group"))
        yield


@contextlib.contextmanager
def _captured(seen: Seen) -> Iterator[None]:
    """Everything on file descriptors 1 and 2, and what handlers of loggers made before would write there."""
    kept, streams = (sys.stdout, sys.stderr), []
    with contextlib.ExitStack() as stack:
        for fd in (1, 2):
            file = stack.enter_context(tempfile.TemporaryFile())
            saved = os.dup(fd)
            stack.callback(os.close, saved)
            os.dup2(file.fileno(), fd)
            stack.callback(os.dup2, saved, fd)
            stream = open(os.dup(fd), "w", encoding="utf-8", errors="replace", buffering=1)  # noqa: SIM115
            streams.append((file, stack.enter_context(stream)))
        sys.stdout, sys.stderr = (stream for _, stream in streams)
        for handler in _stream_handlers():
            handler.stream = sys.stderr
        try:
            yield
        finally:
            sys.stdout, sys.stderr = kept
            texts = []
            for file, stream in streams:
                stream.flush()
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
            seen.out, seen.err = texts


def _loggers() -> list[logging.Logger]:
    known = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]


def _stream_handlers() -> list[Any]:
    handlers = {handler for logger in _loggers() for handler in logger.handlers}
    return [handler for handler in handlers if type(handler) is logging.StreamHandler]


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    levels = [(logger, logger.level, list(logger.handlers)) for logger in _loggers()]
    streams = [(handler, handler.stream) for handler in _stream_handlers()]
    try:
        yield
    finally:
        for logger, level, handlers in levels:
            logger.setLevel(level)
            logger.handlers = handlers
        for handler, stream in streams:
            handler.stream = stream


@contextlib.contextmanager
def _shown() -> Iterator[None]:
    """Warnings on stderr, those that a user would see, and what went wrong in threads and destructors."""

    def show(message: Any, category: Any, filename: str, lineno: int, *rest: Any) -> None:
        print(f"{category.__name__}: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", threading.__excepthook__)  # in place of pytest's, as a user sees it
        patch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
        warnings.simplefilter("default")
        for category in HIDDEN:
            warnings.simplefilter("ignore", category)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def _memory() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + BYTES_MORE, hard))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memory, "free_bytes", lambda: BYTES_FREE)
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def _inside(folder: Path, home: Path) -> Iterator[None]:
    before, cwd, argv = dict(os.environ), Path.cwd(), sys.argv
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    os.environ.update(HOME=str(home), XDG_CACHE_HOME=cache, COLUMNS="120")  # where the C++ part is kept
    os.chdir(folder)
    sys.argv = ["cli"]
    try:
        yield
    finally:
        os.chdir(cwd)
        sys.argv = argv
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _of_torch() -> Iterator[None]:
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    strict, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    anomaly, matmul = torch.is_anomaly_enabled(), torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict, warn_only=warn)
        torch.set_anomaly_enabled(anomaly)
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@contextlib.contextmanager
def _state() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    ConfigError.latest = None
    gc.disable()  # a destructor of an earlier example's would speak in this one
    rich._console = None  # a progress bar that was left on it would refuse the next
    try:
        with matplotlib.rc_context():
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        gc.unfreeze()
        gc.enable()
