"""The ways in which a run is refused or stopped with a sentence instead of a traceback."""

import argparse
import re
from typing import NoReturn

STORAGE = 74  # exit status where files cannot be written or read: EX_IOERR of sysexits.h

# Lines of a parser's message that say only what it was about to try.
EXPECTED = r"Expected an? <class '([\w.]+)'>"
KINDS = r"Expected a <class .(NoneType|bool|collections\.abc\.Iterable).>"
BOILERPLATE = rf'(Parser key "|Does not validate|Subtypes:|Errors:|{KINDS}|Problem with given class_path|Given value)'


class ConfigError(ValueError):
    """A setting that cannot be used: the message names the field, its value and what is allowed.

    The command line prints the message and exits with status 2, before any training.
    """

    # The argument parser folds what a constructor raises into a text of its own; the command line looks here for it.
    latest: "ConfigError | None" = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        ConfigError.latest = self


class NonFiniteError(ArithmeticError):
    """A model's loss became infinite or not a number: the message says which instances, and when.

    The command line prints the message and exits with status 1; what was recorded until then is kept.
    """


def storage_sentence(error: OSError) -> str:
    """What the system says of a file that could not be written or read, and of which."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason}: {error.filename}" if error.filename else reason


def require(condition: bool, field: str, value: object, allowed: str) -> None:
    """Raise a `ConfigError` that reads "<field> is <value>; it must be <allowed>." unless `condition`."""
    if not condition:
        raise ConfigError(f"{field} is {value}; it must be {allowed}.")


class Arguments(argparse.ArgumentParser):
    """Refuses bad arguments in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def essence(message: str) -> str:
    """The keys and the first reason of a parser's message, which lists every type that it tried, in one line."""
    lines = [line.strip().removeprefix("- ") for line in message.splitlines() if line.strip()] or ["it was refused"]
    keys = [key for line in lines for key in re.findall(r'^Parser key "([^"]+)"(?: element \d+)?:$', line)]
    reasons = [line for line in lines if not re.match(BOILERPLATE, line)]
    kinds = [kind.replace("NoneType", "null") for line in lines for kind in re.findall(EXPECTED, line)]
    alone = f"it must be {' or '.join(dict.fromkeys(kinds))}" if kinds else lines[-1]
    reason = re.sub(r"<class '([\w.]+)'>", r"\1", reasons[0]) if reasons else alone
    if not keys:
        return reason
    return ".".join(keys) + ("." if re.match(r"\w+: ", reason) else ": ") + reason  # a class's own parser names its key
