"""A value for a constructor's argument, good or bad, drawn by the argument's type."""

import collections.abc
import datetime
import importlib
import inspect
import pkgutil
import types
import typing
from functools import cache
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers
import lightning.pytorch.plugins  # noqa: F401
import torch
from hypothesis import strategies as st
from jsonargparse._parameter_resolvers import get_signature_parameters
from lightning.pytorch import accelerators, profilers, strategies
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

import callbacks
import tests.variants  # noqa: F401

for _module in pkgutil.iter_modules(callbacks.__path__, "callbacks."):
    importlib.import_module(_module.name)

Values = st.SearchStrategy[Any]
LIBRARIES = ("lightning.pytorch.", "lightning.fabric.", "torch.optim.")
WHERE = ("src.", "callbacks.", "tests.variants.", *LIBRARIES)  # whose classes can be named in a configuration
LONG = "x" * 300  # longer than a file's name may be
NUMBERS = [-1, 0, 1, 2, 2**31, 2**32, 10**12, 10**30]
REALS = [0.0, -0.5, 1.0, 2.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")]
TEXTS = [
    "",
    " ",
    "a\0b",
    LONG,
    "/dev/null/x",
    "/proc/x",
    "ü☃𝔘",
    "null",
    "[",
    "a: b",
    "a\nb",
    "\ud800",
    "%s",
    "~nobody/x",
]
JUNK = [None, -1, 0, 1.5, 10**12, float("nan"), "", "junk", True, [], [None], {}, {"a": 1}, "nope.Nope"]
NO_CLASSES = [
    "nope.Nope",
    "src.model.Nope",
    "collections.Counter",
    "torch.nn.ReLU",
    "src.model",
    "src.distributions.Distribution",
    "",
    17,
    [],
    None,
]
WORDS = [
    *("val_loss", "lr", "00:00:00:10", "2", "0", "-1", "norm", "min", "epoch", "{census}", "{checkpoint}"),
    *(*accelerators.AcceleratorRegistry.available_accelerators(), *strategies.StrategyRegistry.available_strategies()),
    *(name.removesuffix("Profiler").lower() for name in profilers.__all__),
]
# A run of the defaults takes these too long, and whoever asks for so many has to wait.
SMALL: dict[str, dict[str, Any]] = {"Basin": {"size": 2}, "FiniteFeatures": {"n_examples": 9, "validation_size": 200}}
TAKES_LONG = {"max_iter", "ns_steps", "steps_per_trial", "max_trials", "num_training_steps", "window"}
NEW_TYPES = (typing.Union, types.UnionType)


def one_of(*choices: Values) -> Values:
    """One of these, each as likely; `|` would count what they are made of."""
    return st.sampled_from(choices).flatmap(lambda chosen: chosen)


def mixed(good: Values, bad: Values) -> Values:
    """More good ones than bad ones."""
    return one_of(good, good, good, bad)


@cache
def classes_of(base: type) -> list[type]:
    """All public classes under this one that a user can name and make."""
    found, due = set(), [base]
    while due:
        kind = due.pop()
        if kind not in found:
            found.add(kind)
            due += type.__subclasses__(kind)
    ours = {path_of(kind): kind for kind in found if path_of(kind).startswith(WHERE) and "." not in kind.__qualname__}
    public = [kind for _, kind in sorted(ours.items()) if not kind.__name__.startswith("_")]
    return [kind for kind in public if not inspect.isabstract(kind)]


def path_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@cache
def parameters_of(kind: Any) -> dict[str, Any]:
    """What the parser of a configuration knows of a constructor: type and default of each argument, by name."""
    given = ("params", "optimizer") if issubclass(kind, Optimizer | LRScheduler) else ()
    return {own.name: own for own in get_signature_parameters(kind, None) if own.name not in given}


@st.composite
def arguments(draw: Any, kind: Any) -> dict[str, Any]:
    """Up to two arguments of a constructor, and always those without a default."""
    known = parameters_of(kind)
    needed = [name for name, own in known.items() if own.default is inspect.Parameter.empty and name != "n_features"]
    others = sorted(known.keys() - set(needed))
    chosen = draw(st.lists(st.sampled_from(others), max_size=2, unique=True)) if others else []
    drawn = {name: draw(value_of(known[name])) for name in [*needed, *chosen]}
    return {**SMALL.get(kind.__name__, {}), **drawn}


def value_of(parameter: Any) -> Values:
    """Of an argument: most often good, and then often its default."""
    annotation, default = parameter.annotation, parameter.default
    if parameter.name in TAKES_LONG:
        return st.sampled_from([None, -1, 0, 1, 2, "junk"])
    if annotation is inspect.Parameter.empty:
        return st.sampled_from([*NUMBERS, *JUNK])
    is_plain = type(default) in (bool, int, float, str)
    return mixed(one_of(st.just(default), good(annotation)) if is_plain else good(annotation), bad(annotation))


@st.composite
def instance(draw: Any, base: type) -> dict[str, Any]:
    """A class below this one and its arguments."""
    kind = draw(st.sampled_from(classes_of(base)))
    path = draw(st.sampled_from([path_of(kind)] * 4 + [kind.__name__]))
    return {"class_path": path, "init_args": draw(arguments(kind))}


def no_instance() -> Values:
    """What is no class, or none that belongs in a configuration."""
    named = st.sampled_from(NO_CLASSES).map(lambda path: {"class_path": path, "init_args": {"a": 1}})
    return one_of(st.sampled_from(NO_CLASSES), named)


def good(annotation: Any) -> Values:
    """Of the type, and of a usual size."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin in NEW_TYPES:
        return st.sampled_from([part for part in parts if part is not torch.Tensor]).flatmap(good)
    if origin is None or origin is collections.abc.Callable:
        return _callable(parts) if origin else _plain(annotation)
    if origin is dict:
        return st.dictionaries(st.sampled_from(["a", "seconds"]), good(parts[1]), max_size=2)
    if origin is tuple and Ellipsis not in parts:
        return st.tuples(*map(good, parts)).map(list)
    return st.lists(good(parts[0]), min_size=1, max_size=3)


def _plain(annotation: Any) -> Values:
    usual: dict[Any, Values] = {
        bool: st.booleans(),
        int: st.integers(0, 4),
        float: st.sampled_from([0.5, 1e-3, 0.1, 1.0, 0.9]),
        str: st.sampled_from(WORDS),
        Path: st.just("sub"),
        types.NoneType: st.none(),
        dict: st.just({}),
        list: st.just([]),
        datetime.timedelta: st.just("00:00:00:10"),
    }
    if annotation in usual:
        return usual[annotation]
    if isinstance(annotation, type) and classes_of(annotation):
        return instance(annotation)
    return st.sampled_from([*NUMBERS, *JUNK])


def _callable(parts: tuple[Any, ...]) -> Values:
    """A class where a function is asked for that makes an optimizer or a scheduler; else any function."""
    made = [part for part in (*parts[-1:], *typing.get_args(parts[-1] if parts else None)) if isinstance(part, type)]
    bases = [base for base in (Optimizer, LRScheduler) if any(issubclass(kind, base) for kind in made)]
    return instance(bases[0]) if bases else st.sampled_from(["builtins.print", "builtins.len", "time.time"])


def bad(annotation: Any) -> Values:
    """Of the type but extreme, or of another type."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in NEW_TYPES:
        return st.sampled_from(parts).flatmap(bad)
    odd = one_of(
        st.sampled_from(TEXTS), st.text(max_size=12).filter(lambda drawn: "/" not in drawn and ".." not in drawn)
    )
    extreme = {
        bool: st.sampled_from(["maybe", 2, None]),
        int: st.sampled_from(NUMBERS),
        float: st.sampled_from(REALS),
        str: odd,
        Path: odd,
        list: st.sampled_from([[], [None], ["junk"], [[]]]),
        tuple: st.lists(st.sampled_from(REALS), max_size=3),
        dict: st.sampled_from([{"a": -1}, {0: 0}, {"": None}]),
    }
    own = extreme.get(annotation, extreme.get(origin, no_instance()))
    return mixed(own, st.sampled_from(JUNK))
