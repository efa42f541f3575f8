"""A word on the terminal at once, while what takes seconds to import is imported. It imports nothing itself."""

import sys

CLEAR = "\r\x1b[2K"


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
