"""A word on the terminal at once, while what takes seconds to import is imported. It imports next to nothing itself."""

import os
import signal
import sys

CLEAR = "\r\x1b[2K"


def begin(what: str) -> None:
    """Before the imports: say what goes on. Ctrl-C ends the process at once: there is nothing to lose yet."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed, as by `2>&-`: the next file to be opened would get what goes there
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process lives
    say(what)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def end() -> None:
    """After the imports."""
    clear()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def say(what: str) -> None:
    """Show what goes on, on the last line of a terminal; elsewhere nothing."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{CLEAR}{what} ...")
        sys.stderr.flush()


def clear() -> None:
    """Remove the word again."""
    if sys.stderr.isatty():
        sys.stderr.write(CLEAR)
        sys.stderr.flush()
