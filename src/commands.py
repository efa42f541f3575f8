"""What the commands have in common: a quiet beginning, and an exit status for each way in which they end."""

import gc
import io
import logging
import os
import signal
import sys
import warnings
from typing import NoReturn

from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console

from src.errors import STORAGE, ConfigError, NonFiniteError, storage_sentence
from src.objective import build
from src.stopping import INTERRUPTED, Stopped, ignore

# What ends a command with a status of its own; everything else is a traceback, for a bug of ours.
ENDINGS = (ConfigError, NonFiniteError, OSError, Stopped, KeyboardInterrupt, SystemExit)


def quiet() -> None:
    """Keep from the terminal what it cannot show, and what a user cannot act on: tips and hardware notes."""
    Console.on_broken_pipe = _print_nowhere  # type: ignore[assignment, method-assign]
    if sys.stderr.isatty():
        build.meanwhile = Console(stderr=True).status
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± must not end a run
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec")


def _print_nowhere(console: Console) -> None:
    """Nobody reads any more what is printed, as after `| head`: no reason to end a run, as rich does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def status_after(error: BaseException, remedy: str = "") -> int:
    """The exit status of a command that one of `ENDINGS` has ended; why it has is printed, but for who has ended it.

    2 for a bad setting, 1 for a run that became non-finite, 74 where files cannot be written or read, and 128 + n when
    stopped by signal n: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.

    Args:
        remedy: what to do about a file that cannot be written.
    """
    if isinstance(error, Stopped):
        return 128 + error.number
    if isinstance(error, SIGTERMException):
        return 128 + signal.SIGTERM
    if KeyboardInterrupt in (type(error), type(error.__context__)):  # Lightning makes a SystemExit of it
        return INTERRUPTED
    if isinstance(error, SystemExit):
        raise error
    sentence = f"{storage_sentence(error)}{remedy}" if isinstance(error, OSError) else str(error)
    print(f"error: {sentence}", file=sys.stderr)
    return {ConfigError: 2, NonFiniteError: 1}.get(type(error), STORAGE)


def exit_with(status: int) -> NoReturn:
    """End the process without a last search for garbage among all that was imported, which takes a second."""
    ignore()
    gc.freeze()
    sys.exit(status)
