"""How a process is told to stop: Ctrl-C, SIGTERM and SIGHUP, the signal of a terminal that closes."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
STOPPING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))  # Windows has no SIGHUP
INTERRUPTED = 128 + signal.SIGINT
AT_ONCE = 0.3  # seconds: signals so close are one. A closing terminal and `timeout` send theirs twice


class Stopped(BaseException):
    """This process was told to stop, by this signal."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """In this block the first signal raises `Stopped`. Later ones do nothing, so that they cannot cut the ending short.

    A signal that was ignored before, as by `nohup`, stays ignored, here and in `noted`.
    """
    heard: list[int] = []

    def stop(number: int, frame: Any) -> None:
        heard.append(number)
        if len(heard) == 1:
            raise Stopped(number)

    with _handled(stop):
        yield


@contextmanager
def noted() -> Iterator[list[int]]:
    """In this block signals interrupt nothing: they are in the list that it yields. At its end the first is raised."""
    heard: list[int] = []
    last = -math.inf

    def note(number: int, frame: Any) -> None:
        nonlocal last
        if time.monotonic() - last > AT_ONCE:
            last = time.monotonic()
            heard.append(number)

    try:
        with _handled(note):
            yield heard
    finally:
        if heard:
            signal.raise_signal(heard[0])


def ignore() -> None:
    """From here on no signal stops this process: it ends anyway, and would only end in a traceback."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # the only one that may set handlers
        yield
        return
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    before = {number: own for number, own in handlers.items() if own is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, own in before.items():
            if signal.getsignal(number) is handler:  # and nobody has called `ignore`
                signal.signal(number, own)
