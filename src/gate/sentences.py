"""What torch, Lightning and the parser raise or warn of at a setting, as one sentence."""

import contextlib
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from typing import Any, TypeVar

from lightning import Callback, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import Strategy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from src.errors import ConfigError, NonFiniteError, essence

LONGEST = 400  # characters of a library's own words
LIBRARIES = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), "<frozen")
CALLERS = ("__main__", "src.cli", "src.gate.sentences", "src.sweep.cells")  # they only pass settings on
MADE_FROM_SETTINGS = (Callback, Logger, Strategy, Trainer, Optimizer, LRScheduler)
Made = TypeVar("Made")
WORKER = r"Caught \w+ in DataLoader worker process"  # how torch raises here what was raised in another process
_MISTAKES: list[tuple[type, Exception]] = []  # of constructors, which the parser folds into a text
_HELD: list[tuple[Any, ...]] = []


@contextlib.contextmanager
def in_a_sentence() -> Iterator[None]:
    """What a library raises at a setting becomes a `ConfigError`.

    An error in this project's code or in a user's, deeper than the calls that pass settings on, is left as it is; but
    for a `ValueError` of a user's constructor, which is how one refuses its settings.
    """
    _MISTAKES.clear()
    try:
        yield
    except (ConfigError, NonFiniteError, OSError):
        raise
    except Exception as error:
        if ConfigError.latest is not None and str(ConfigError.latest) in str(error):  # as the parser folds it
            raise ConfigError.latest from None
        for kind, mistake in _MISTAKES:
            if str(mistake) in str(error) and not _is_a_librarys(mistake):
                if isinstance(mistake, ValueError) and _raised_by(mistake) == "__init__":
                    raise ConfigError(f"{kind.__name__} refuses its settings: {mistake}"[:LONGEST]) from mistake
                raise mistake from None
        if isinstance(error, MisconfigurationException) or _is_a_librarys(error):
            raise ConfigError(_sentence(error)) from error
        raise


def made(class_type: type[Made], *arguments: Any, **settings: Any) -> Made:
    """What the parser makes from settings; what its constructor raises is remembered as it is."""
    try:
        return class_type(*arguments, **settings)
    except Exception as error:
        _MISTAKES.append((class_type, error))
        raise


def _is_a_librarys(error: Exception) -> bool:
    """Whether no code of ours or of the user's but the callers' was at work where the error was raised."""
    if re.match(WORKER, str(error)):
        return False
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(LIBRARIES)]
    return own[-1].f_globals.get("__name__") in CALLERS


def where_raised(error: Exception) -> str:
    """An error in a user's code: what, and where in the code of the user."""
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__)]
    own = [pair for pair in frames if not pair[0].f_code.co_filename.startswith(LIBRARIES)]
    users = [pair for pair in own if not pair[0].f_globals.get("__name__", "").startswith("src.")]
    words = f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST].rstrip(".")
    if not users:  # a hook that cannot be called, say
        return words
    frame, line = users[-1]
    return f"{Path(frame.f_code.co_filename).name}, line {line}, in {frame.f_code.co_name}: {words}"


def _raised_by(error: Exception) -> str:
    """The name of the function that raised it."""
    return [frame for frame, _ in walk_tb(error.__traceback__)][-1].f_code.co_name


def _sentence(error: Exception) -> str:
    """Whose words these are, where that is known, and the words."""
    words = " ".join(essence(str(error)).split()) or type(error).__name__
    made = [frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__)]
    names = [type(own).__name__ for own in made if isinstance(own, MADE_FROM_SETTINGS)]
    return f"{names[-1]} refuses its settings: {words}"[:LONGEST] if names else words[:LONGEST]


@contextlib.contextmanager
def warnings_held() -> Iterator[None]:
    """Warnings wait until `release_warnings`: a refusal is one sentence, and what else was noticed does not matter."""
    show = warnings.showwarning
    warnings.showwarning = lambda *arguments, **_: _HELD.append((show, *arguments))
    try:
        yield
    finally:
        warnings.showwarning = show
        _HELD.clear()


def release_warnings() -> None:
    """From now on warnings are shown, those that wait first."""
    for show, *arguments in _HELD:
        warnings.showwarning = show
        show(*arguments)
    _HELD.clear()
