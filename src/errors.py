"""The two ways in which a run is refused or stopped with a sentence instead of a traceback."""

import argparse
from typing import NoReturn


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


def require(condition: bool, field: str, value: object, allowed: str) -> None:
    """Raise a `ConfigError` that reads "<field> is <value>; it must be <allowed>." unless `condition`."""
    if not condition:
        raise ConfigError(f"{field} is {value}; it must be {allowed}.")


class Arguments(argparse.ArgumentParser):
    """Refuses bad arguments in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)
