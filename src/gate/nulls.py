"""What the parser lets through: a null where a class asks for a value, and a plain value where a class should be."""

import types
from collections.abc import Mapping
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, get_args, get_type_hints

from jsonargparse import Namespace

from src.errors import require

MADE_BY = ("optimizer", "lr_scheduler")
LINKED = ("model.n_features",)  # null until the data are made, which say it


def refuse_nulls(config: Any, key: str = "") -> None:
    """Raise a `ConfigError` at a null, anywhere in a configuration, that its place does not take."""
    if isinstance(config, list):
        for k, part in enumerate(config):
            refuse_nulls(part, f"{key}[{k}]")
    if not isinstance(config, Namespace | Mapping):
        return
    settings = dict(vars(config) if isinstance(config, Namespace) else config)
    if isinstance(settings.get("class_path"), str):
        _refuse_null_arguments(class_at(settings["class_path"]), settings.get("init_args"), key)
    for name, value in settings.items():
        is_no_class = name in MADE_BY and isinstance(value, list | int | float)
        require(not is_no_class, f"{key}.{name}".replace(".init_args", ""), value, "a class_path, and its init_args")
        refuse_nulls(value, f"{key}.{name}".removeprefix(".").replace(".init_args", ""))


def _refuse_null_arguments(made: Any, arguments: Any, key: str) -> None:
    """The same for the arguments of one class."""
    arguments = vars(arguments) if isinstance(arguments, Namespace) else arguments or {}
    kinds = made.__mro__ if isinstance(made, type) else [made]
    for name in [name for name, value in arguments.items() if value is None and f"{key}.{name}" not in LINKED]:
        for kind in kinds:
            function = vars(kind).get("__init__") if isinstance(kind, type) else kind
            parameter = signature(function).parameters.get(name) if function is not None else None
            if parameter is not None:
                hint = _hint(function, name)
                may_be_null = hint is None or _takes_none(hint) or parameter.default is None
                require(may_be_null, f"{key}.{name}", "null", f"given: {said(hint)}")
                break


def class_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _hint(function: Any, name: str) -> Any:
    try:
        return get_type_hints(function).get(name)
    except (NameError, TypeError, AttributeError):  # annotations that name what is not there
        return None


def _takes_none(hint: Any) -> bool:
    return hint in (Any, None, object, Parameter.empty, types.NoneType) or any(map(_takes_none, get_args(hint)))


def said(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
