"""How a sweep is told to stop: Ctrl-C and the signals like it, heeded once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 128 + signal.SIGINT


class Stopped(BaseException):
    """This process was told to stop, by this signal."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP raise `Stopped`, once; after that they do what they did before."""
    if threading.current_thread() is not threading.main_thread():  # the only one that may set handlers
        yield
        return
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, frame: Any) -> None:
        restore()
        raise Stopped(number)

    heeded = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores one
    before.update({number: signal.signal(number, stop) for number in heeded})
    try:
        yield
    finally:
        restore()
